# ruff: noqa: N806 - a tensor's name ends in its shape
"""Greedy answers from a model in this process, many at once and the same as one at a time.

Prompts are read in batches of like length after their shared start was read once; then all of them are continued
together, and a row that ends leaves the batch. Tensor suffixes: B rows, T tokens, S columns, V vocabulary.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from curate.core.chat import ChatFormat
from curate.core.console import Advance
from evalkit.backends.attention import Prefix, SlotCache, shared_prefix_attention
from evalkit.backends.prefixes import common_prefix, prefix_groups
from evalkit.backends.side_by_side import side_by_side
from evalkit.generate import Answer, Request, failed
from trainer.model import free_bytes, quiet_libraries

# Large enough to keep the processor busy, small enough that one layer's activations stay in its cache.
_READ_TOKENS = 2048
# Decoding gets cheaper per row the wider it is; beyond this the gain is small and answers come late.
_MAX_ROWS = 256
_MEMORY_SHARE = 0.25  # of the free memory, for keys and values: weights, activations and other programs need the rest
_READ_SHARE = 0.5  # of a request's progress when its prompt is read: on short answers, about half of the work
_PLAIN_ROWS = 16
_FEW_ROWS = 4  # fewer rows than these aren't worth a thread of their own
# Between two ways of summing the same float32 products; a wrong mask or a dropped softcap is far above it.
_SAME_LOGITS = 1e-3


@dataclass
class _Row:
    """A request on its way through a batch."""

    request: Request
    ids: list[int]
    """The prompt's tokens after the shared prefix."""
    made: list[int] = field(default_factory=list)


class TransformersLocal:
    """Backend for a causal language model of transformers, with or without a PEFT adapter on it."""

    def __init__(self, model: Any, chat: ChatFormat) -> None:
        self.model = model.eval()
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
            self._shares_prefix = self._agrees(max(fitting, key=lambda request: len(request.prompt_ids)).prompt_ids)
        if not self._shares_prefix:
            yield from self._generate_plain(_by_length(fitting), max_tokens, advance)
            return
        for group in prefix_groups([request.prompt_ids for request in fitting], max_tokens):
            yield from self._generate_shared(_by_length([fitting[n] for n in group]), max_tokens, advance)

    @torch.inference_mode()
    def next_logits(self, ids: list[int]) -> torch.Tensor:
        """The logits_V of the token after this prompt, by the model's own attention."""
        logits: torch.Tensor = self.model(input_ids=torch.tensor([ids]).to(self._inner.device)).logits[0, -1].float()
        return logits

    def _generate_shared(
        self, requests: list[Request], max_tokens: int, advance: Advance
    ) -> Iterator[tuple[Request, Answer]]:
        with shared_prefix_attention(self._inner):
            # A prefix for one request alone would hide the reading of it from the latency.
            shared = common_prefix([request.prompt_ids for request in requests]) if len(requests) > 1 else 0
            prefix = self._read_prefix(requests[0].prompt_ids[:shared]) if shared else None
            rows = [_Row(request, request.prompt_ids[shared:]) for request in requests]
            # On processors, each thread takes its share of every length.
            on_processor = self._inner.device.type == "cpu"
            hands = min(torch.get_num_threads(), math.ceil(len(rows) / _FEW_ROWS)) if on_processor else 1
            size = max(1, self._rows_that_fit(len(rows[-1].ids) + max_tokens) // hands)

            def answer(share: list[_Row], advance: Advance) -> Iterator[tuple[Request, Answer]]:
                for start in range(0, len(share), size):
                    started = time.monotonic()
                    batch = _Batch(self, share[start : start + size], prefix, shared, max_tokens)
                    for row, reason in batch.run(advance):
                        latency_ms = (time.monotonic() - started) * 1000
                        yield row.request, self._answer(row.request, row.made, reason, latency_ms)

            yield from side_by_side(answer, [rows[hand::hands] for hand in range(hands)], advance)

    def _generate_plain(
        self, requests: list[Request], max_tokens: int, advance: Advance
    ) -> Iterator[tuple[Request, Answer]]:
        """For models whose attention is not the plain kind: transformers' own padded batches."""
        settings = getattr(self.model, "active_peft_config", None)
        # Between virtual tokens and a prompt there is no room for padding: PEFT would shift the prompt's positions.
        rows = 1 if settings is not None and settings.is_prompt_learning else _PLAIN_ROWS
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

    @torch.inference_mode()
    def _read_prefix(self, ids: list[int]) -> Prefix:
        cache = SlotCache(rows=1, columns=len(ids))
        cache.place(slice(0, 1), slice(0, len(ids)))
        self.forward([ids], cache, None, 0)
        return cache.as_prefix()

    @torch.inference_mode()
    def forward(
        self, ids: list[list[int]], cache: SlotCache, prefix: Prefix | None, prefix_length: int
    ) -> torch.Tensor:
        """The logits_BV after each prompt; prompts shorter than the longest are padded on the left."""
        width = max(map(len, ids))
        lengths_B1 = torch.tensor([[len(row)] for row in ids])
        ids_BT = torch.tensor([[0] * (width - len(row)) + row for row in ids])
        column_T = torch.arange(width)
        real_BT = column_T >= width - lengths_B1
        positions_BT = (column_T - (width - lengths_B1)).clamp(min=0) + prefix_length
        causal_TT = torch.ones(width, width, dtype=torch.bool).tril()
        # A padding token sees itself: a query that sees nothing gives NaN, and NaN times zero is NaN.
        mask_BTT = (causal_TT & real_BT[:, None, :]) | torch.eye(width, dtype=torch.bool)
        if prefix:
            mask_BTT = torch.cat([torch.ones(len(ids), width, prefix_length, dtype=torch.bool), mask_BTT], dim=-1)
        return self.call(ids_BT, positions_BT, mask_BTT[:, None], cache, prefix)

    def call(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, cache: SlotCache, prefix: Prefix | None
    ) -> torch.Tensor:
        """One forward pass: the logits_BV of each row's last token."""
        device = self._inner.device
        output = self.model(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            attention_mask=mask.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            shared_prefix=prefix,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _rows_that_fit(self, columns: int) -> int:
        config = self._inner.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        row_bytes = 2 * config.num_hidden_layers * heads * size * self._inner.dtype.itemsize * columns
        return max(1, min(_MAX_ROWS, int(free_bytes(self._inner.device) * _MEMORY_SHARE / row_bytes)))

    def _agrees(self, ids: list[int]) -> bool:
        """Whether this model gives the same logits here as through its own attention.

        Models with sliding windows, soft caps or attention of their own don't, and take the plain way.
        """
        config = self._inner.config
        kinds = getattr(config, "layer_types", None)
        windowed = getattr(config, "sliding_window", None) if kinds is None else set(kinds) - {"full_attention"}
        sample = ids[-48:]
        if windowed or len(sample) < 3:
            return False
        with torch.inference_mode():
            expected_V = self.model(input_ids=torch.tensor([sample]).to(self._inner.device)).logits[0, -1]
            try:
                with shared_prefix_attention(self._inner):
                    shared = len(sample) // 2
                    prefix = self._read_prefix(sample[:shared])
                    width = len(sample) - shared
                    cache = SlotCache(rows=1, columns=width)
                    cache.place(slice(0, 1), slice(0, width - 1))
                    self.forward([sample[shared:-1]], cache, prefix, shared)
                    cache.place(slice(0, 1), slice(width - 1, width), seen_from=0)
                    got_V = self.call(
                        torch.tensor([sample[-1:]]),
                        torch.tensor([[len(sample) - 1]]),
                        torch.zeros(1, 1, 1, width, dtype=self._inner.dtype),
                        cache,
                        prefix,
                    )[0]
            except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
                return False  # a model that takes none of these arguments: its own way works for it
        scale = max(1.0, float(expected_V.abs().max()))
        return bool((expected_V - got_V).abs().max() <= _SAME_LOGITS * scale)


class _Batch:
    """Rows that are read and continued together."""

    def __init__(
        self, backend: TransformersLocal, rows: list[_Row], prefix: Prefix | None, shared: int, max_tokens: int
    ) -> None:
        self.backend = backend
        self.rows = rows
        self.prefix = prefix
        self.shared = shared
        self.max_tokens = max_tokens
        self.width = max(len(row.ids) for row in rows)
        """The column after which every prompt ends."""
        columns = self.width + max_tokens
        self.cache = SlotCache(len(rows), columns)
        inner = backend._inner
        self.mask_BS = torch.zeros(len(rows), columns, dtype=inner.dtype, device=inner.device)

    def run(self, advance: Advance) -> Iterator[tuple[_Row, str]]:
        """Each row with the reason why it ended."""
        tokens = self._read(advance)
        for step in range(self.max_tokens):
            for row, token in zip(self.rows, tokens, strict=True):
                row.made.append(token)
            yield from self._drop_ended(advance)
            if not self.rows:
                return
            advance(0, "writing answers")
            tokens = self._step(self.width + step)

    @torch.inference_mode()
    def _read(self, advance: Advance) -> list[int]:
        """The first token of every row. Rows come sorted by length, so neighbours need little padding."""
        tokens: list[int] = []
        for part in _like_lengths([len(row.ids) for row in self.rows]):
            ids = [row.ids for row in self.rows[part]]
            width = max(map(len, ids))
            self.cache.place(part, slice(self.width - width, self.width))
            logits_BV = self.backend.forward(ids, self.cache, self.prefix, self.shared)
            tokens += logits_BV.argmax(-1).tolist()
            for index, row_ids in enumerate(ids, start=part.start):
                self.mask_BS[index, : self.width - len(row_ids)] = -torch.inf
            # Columns before this part's are never written for its rows: zero times whatever memory held must be zero.
            for tensor in (*self.cache.keys, *self.cache.values):
                tensor[part, :, : self.width - width] = 0
            advance(_READ_SHARE * len(ids), "reading prompts")
        return tokens

    @torch.inference_mode()
    def _step(self, column: int) -> list[int]:
        """The next token of every row, after storing the last one at `column`."""
        count = len(self.rows)
        first = self.width - max(len(row.ids) for row in self.rows)
        self.cache.place(slice(0, count), slice(column, column + 1), seen_from=first)
        ids_B1 = torch.tensor([[row.made[-1]] for row in self.rows])
        positions_B1 = torch.tensor([[self.shared + len(row.ids) + len(row.made) - 1] for row in self.rows])
        mask_B11S = self.mask_BS[:count, None, None, first : column + 1]
        return self.backend.call(ids_B1, positions_B1, mask_B11S, self.cache, self.prefix).argmax(-1).tolist()

    def _drop_ended(self, advance: Advance) -> Iterator[tuple[_Row, str]]:
        """Yield the rows that ended; the last rows take their places, so only those are copied."""
        index = 0
        while index < len(self.rows):
            row = self.rows[index]
            reason = self._ended(row)
            if reason is None:
                index += 1
                continue
            last = len(self.rows) - 1
            if index < last:
                with torch.inference_mode():
                    self.cache.move(last, index, slice(0, self.width + len(row.made) - 1))
                    self.mask_BS[index] = self.mask_BS[last]
                self.rows[index] = self.rows[last]
            self.rows.pop()
            advance(1 - _READ_SHARE, "writing answers")
            yield row, reason

    def _ended(self, row: _Row) -> str | None:
        if row.made[-1] in self.backend.chat.stop_ids:
            return "stop"
        return "length" if len(row.made) >= self.max_tokens else None


def _by_length(requests: Sequence[Request]) -> list[Request]:
    return sorted(requests, key=lambda request: len(request.prompt_ids))


def _like_lengths(lengths: Sequence[int]) -> Iterator[slice]:
    """Slices of ascending `lengths` that hold at most `_READ_TOKENS` tokens each, padding included."""
    start = 0
    for end, length in enumerate(lengths):
        if end > start and (end + 1 - start) * length > _READ_TOKENS:
            yield slice(start, end)
            start = end
    yield slice(start, len(lengths))
