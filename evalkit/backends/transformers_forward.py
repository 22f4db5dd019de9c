# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""Forward passes for generating: prompts as one sequence without padding, then one token a row.

Shapes: B rows, T tokens, S columns of the cache, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain
from typing import Any

import torch

from evalkit.backends.prefix_attention import Prefix, SlotCache, shared_prefix_attention
from trainer.layers.lean_layers import lean_layers
from trainer.layers.onednn_weights import PackedWeights
from trainer.model.load import unwrapped
from trainer.packing.pack import Pack

_SAMPLE_TOKENS = 48  # enough for a wrong position or mask to show
# Between two ways of summing the same float32 products; a wrong mask or a dropped softcap is far above it.
_SAME_LOGITS = 1e-3


class Forward:
    """A model's forward passes; those that generate need a block of `prepared`."""

    def __init__(self, model: Any, weights: PackedWeights) -> None:
        self._model = model
        self._inner = unwrapped(model)
        self._weights = weights
        self._leaves_out: bool | None = None
        """Whether the last layer makes nothing of tokens whose logits nobody wants; the first reading finds out."""

    @property
    def has_virtual_tokens(self) -> bool:
        """Whether an adapter puts learned tokens before every prompt."""
        settings = getattr(self._model, "active_peft_config", None)
        return settings is not None and settings.is_prompt_learning

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Within the block, the model computes as fast as it can, in the ways that `agrees` tries."""
        with self._weights.used_by(self._inner), lean_layers(self._model), shared_prefix_attention(self._inner):
            yield

    def mask(self, rows: int, columns: int) -> torch.Tensor:
        """What is added to the scores of own tokens where nothing is hidden, mask_BS."""
        return torch.zeros(rows, columns, dtype=self._inner.dtype, device=self._inner.device)

    @torch.inference_mode()
    def next_logits(self, ids: list[int]) -> torch.Tensor:
        """The logits_V of the token after this prompt, by the model's own attention."""
        ids_1T = torch.tensor([ids], device=self._inner.device)
        logits: torch.Tensor = self._model(input_ids=ids_1T).logits[0, -1].float()
        return logits

    def prefix(self, ids: list[int]) -> Prefix:
        """Keys and values of these tokens."""
        cache = SlotCache(rows=1, columns=len(ids))
        self.read([ids], [slice(0, len(ids))], 0, cache)
        return cache.as_prefix()

    @torch.inference_mode()
    def read(self, rows: Sequence[list[int]], columns: Sequence[slice], first: int, cache: SlotCache) -> torch.Tensor:
        """The logits_BV after each row's tokens, which stand behind the cache's prefix.

        They become the cache's rows from `first` on, each at its `columns`.
        """
        ends = list(accumulate(map(len, rows)))
        spans = [(end - len(row), end) for row, end in zip(rows, ends, strict=True)]
        places = zip(columns, spans, strict=True)
        cache.read([(row, place, slice(*span)) for row, (place, span) in enumerate(places, first)])
        device = self._inner.device
        pack = Pack(0, spans, torch.tensor(ends, device=device) - 1)
        output = self._model(
            input_ids=torch.tensor([list(chain.from_iterable(rows))], device=device),
            position_ids=torch.tensor([[cache.shared + i for row in rows for i in range(len(row))]], device=device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=pack.predicting if self._leaves_out is False else 0,
            pack=pack,
        )
        logits: torch.Tensor = output.logits[0]
        if self._leaves_out is None:
            self._leaves_out = len(logits) < ends[-1]
        return logits if len(logits) == len(rows) else logits[pack.predicting]

    @torch.inference_mode()
    def step(
        self, tokens: Sequence[int], positions: Sequence[int], mask_BS: torch.Tensor, cache: SlotCache
    ) -> torch.Tensor:
        """The logits_BV after one more token of each row, which the cache stores where it was told."""
        device = self._inner.device
        output = self._model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            position_ids=torch.tensor(positions, device=device)[:, None],
            attention_mask=mask_BS[:, None, None],
            past_key_values=cache,
            use_cache=True,
            shared_prefix=cache.prefix,
        )
        logits_BV: torch.Tensor = output.logits[:, -1]
        return logits_BV

    def agrees(self, ids: list[int]) -> bool:
        """Whether this model gives the same logits here as by its own forward.

        Models with sliding windows, soft caps, virtual tokens or attention of their own don't.
        """
        config = self._inner.config
        kinds = getattr(config, "layer_types", None)
        windowed = getattr(config, "sliding_window", None) if kinds is None else set(kinds) - {"full_attention"}
        sample = ids[-_SAMPLE_TOKENS:]
        if windowed or self.has_virtual_tokens or len(sample) < 4:
            return False
        expected_V = self.next_logits(sample)
        try:
            with self.prepared():
                got_V = self._in_steps(sample)
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
            return False  # a model that takes none of these arguments: its own way works for it
        scale = max(1.0, float(expected_V.abs().max()))
        return bool((expected_V - got_V).abs().max() <= _SAME_LOGITS * scale)

    def _in_steps(self, ids: list[int]) -> torch.Tensor:
        """The logits_V after these tokens: the first half read as a prefix, the last like one that was just made."""
        shared = len(ids) // 2
        width = len(ids) - shared
        cache = SlotCache(1, width, self.prefix(ids[:shared]))
        self.read([ids[shared:-1]], [slice(0, width - 1)], 0, cache)
        cache.step(1, 0, width - 1)
        return self.step(ids[-1:], [len(ids) - 1], self.mask(1, width), cache)[0].float()
