# ruff: noqa: N806 - a tensor's name ends in its shape
"""Greedy answers from a model in this process, many at once and the same as one at a time.

Prompts are read without padding, behind what they share, which was read once; then all of them are continued together,
and a row that ends leaves the batch. Tensor suffixes: B rows, T tokens, S columns, V vocabulary.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from curate.core.chat.chat_format import ChatFormat
from curate.core.console import Advance
from evalkit.backends.prefixes import common_prefix, prefix_groups
from evalkit.backends.threads import side_by_side
from evalkit.backends.transformers_batch import BatchRow, RowBatch
from evalkit.backends.transformers_forward import Forward
from evalkit.backends.types import Answer, Request, failed
from trainer.layers.onednn_weights import PackedWeights
from trainer.model.load import free_bytes, quiet_libraries

# Decoding gets cheaper per row the wider it is; beyond this the gain is small and answers come late.
_MAX_ROWS = 256
_MEMORY_SHARE = 0.25  # of the free memory, for keys and values: weights, activations and other programs need the rest
_PLAIN_ROWS = 16
_FEW_ROWS = 4  # fewer rows than these aren't worth a thread of their own


class TransformersLocal:
    """Backend for a causal language model of transformers, with or without a PEFT adapter on it.

    `weights` are shared by all backends of one base.
    """

    def __init__(self, model: Any, chat: ChatFormat, weights: PackedWeights | None = None) -> None:
        self.model = model.eval()
        self._forward = Forward(self.model, weights or PackedWeights())
        self.chat = chat
        self._inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._shares_prefix: bool | None = None

    def generate(
        self, requests: Sequence[Request], *, max_tokens: int, advance: Advance
    ) -> Iterator[tuple[Request, Answer]]:
        """Each request with its answer, as rows end.

        A row's latency runs from the start of its batch to its last token: the batch shares the processor, so it says
        how long an answer took in this batch, not what one request alone would have taken.
        """
        limit = getattr(self._inner.config, "max_position_embeddings", None)
        fitting = []
        for request in requests:
            length = len(request.prompt_ids)
            if limit and length + max_tokens > limit:
                advance(1)
                yield (
                    request,
                    failed(
                        f"{length} tokens of prompt and {max_tokens} of answer exceed the model's context of {limit}",
                        prompt_tokens=length,
                    ),
                )
            else:
                fitting.append(request)
        if not fitting:
            return
        if self._shares_prefix is None:
            self._shares_prefix = self._forward.agrees(
                max(fitting, key=lambda request: len(request.prompt_ids)).prompt_ids
            )
        if not self._shares_prefix:
            yield from self._generate_plain(_by_length(fitting), max_tokens, advance)
            return
        for group in prefix_groups([request.prompt_ids for request in fitting], max_tokens):
            yield from self._generate_shared(_by_length([fitting[n] for n in group]), max_tokens, advance)

    def next_logits(self, ids: list[int]) -> torch.Tensor:
        """The logits_V of the token after this prompt, by the model's own attention."""
        return self._forward.next_logits(ids)

    def _generate_shared(
        self, requests: list[Request], max_tokens: int, advance: Advance
    ) -> Iterator[tuple[Request, Answer]]:
        with self._forward.prepared():
            # A prefix for one request alone would hide the reading of it from the latency.
            shared = common_prefix([request.prompt_ids for request in requests]) if len(requests) > 1 else 0
            prefix = self._forward.prefix(requests[0].prompt_ids[:shared]) if shared else None
            rows = [BatchRow(request, request.prompt_ids[shared:]) for request in requests]
            # On processors, each thread takes its share of every length.
            on_processor = self._inner.device.type == "cpu"
            hands = min(torch.get_num_threads(), math.ceil(len(rows) / _FEW_ROWS)) if on_processor else 1
            size = max(1, self._rows_that_fit(len(rows[-1].ids) + max_tokens) // hands)

            def answer(share: list[BatchRow], advance: Advance) -> Iterator[tuple[Request, Answer]]:
                for start in range(0, len(share), size):
                    started = time.monotonic()
                    batch = RowBatch(self._forward, share[start : start + size], prefix, max_tokens, self.chat.stop_ids)
                    for row, reason in batch.run(advance):
                        latency_ms = (time.monotonic() - started) * 1000
                        yield row.request, self._answer(row.request, row.made, reason, latency_ms)

            yield from side_by_side(answer, [rows[hand::hands] for hand in range(hands)], advance)

    def _generate_plain(
        self, requests: list[Request], max_tokens: int, advance: Advance
    ) -> Iterator[tuple[Request, Answer]]:
        """For models whose attention is not the plain kind: transformers' own padded batches."""
        # Between virtual tokens and a prompt there is no room for padding: PEFT would shift the prompt's positions.
        rows = 1 if self._forward.has_virtual_tokens else _PLAIN_ROWS
        for start in range(0, len(requests), rows):
            wave = requests[start : start + rows]
            started = time.monotonic()
            width = max(len(request.prompt_ids) for request in wave)
            pad = min(self.chat.stop_ids)
            ids_BT = torch.tensor([[pad] * (width - len(r.prompt_ids)) + r.prompt_ids for r in wave])
            mask_BT = torch.tensor([[0] * (width - len(r.prompt_ids)) + [1] * len(r.prompt_ids) for r in wave])
            # PEFT warns that virtual tokens shift positions: that is what they are trained to do.
            with torch.inference_mode(), quiet_libraries():
                out_BT = self.model.generate(
                    input_ids=ids_BT.to(self._inner.device),
                    attention_mask=mask_BT.to(self._inner.device),
                    do_sample=False,
                    max_new_tokens=max_tokens,
                    eos_token_id=sorted(self.chat.stop_ids),
                    pad_token_id=pad,
                )
            latency_ms = (time.monotonic() - started) * 1000
            for request, made in zip(wave, out_BT[:, width:].tolist(), strict=True):
                end = next((i for i, token in enumerate(made) if token in self.chat.stop_ids), None)
                advance(1)
                kept = made if end is None else made[: end + 1]
                yield request, self._answer(request, kept, "length" if end is None else "stop", latency_ms)

    def _answer(self, request: Request, made: list[int], reason: str, latency_ms: float) -> Answer:
        ids = made[:-1] if reason == "stop" else made
        return Answer(
            text=self.chat.tokenizer.decode(ids, skip_special_tokens=True),
            finish_reason=reason,
            prompt_tokens=len(request.prompt_ids),
            completion_tokens=len(made),
            latency_ms=round(latency_ms, 1),
        )

    def _rows_that_fit(self, columns: int) -> int:
        config = self._inner.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        row_bytes = 2 * config.num_hidden_layers * heads * size * self._inner.dtype.itemsize * columns
        return max(1, min(_MAX_ROWS, int(free_bytes(self._inner.device) * _MEMORY_SHARE / row_bytes)))


def _by_length(requests: Sequence[Request]) -> list[Request]:
    return sorted(requests, key=lambda request: len(request.prompt_ids))
