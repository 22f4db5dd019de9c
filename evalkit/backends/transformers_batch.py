# ruff: noqa: N806 - a tensor's name ends in its shape
"""Rows of a local model that are read and continued together. Tensor suffixes: B rows, S columns, V vocabulary."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

import torch

from curate.core.console import Advance
from evalkit.backends.prefix_attention import Prefix, SlotCache
from evalkit.backends.transformers_forward import Forward
from evalkit.backends.types import Request

# Large enough to keep the processor busy, small enough that one layer's activations stay in its cache.
_READ_TOKENS = 2048
_READ_SHARE = 0.5  # of a request's progress when its prompt is read: on short answers, about half of the work


@dataclass
class BatchRow:
    """A request on its way through a batch."""

    request: Request
    ids: list[int]
    """The prompt's tokens after the shared prefix."""
    made: list[int] = field(default_factory=list)


class RowBatch:
    """Rows that are read and continued together."""

    def __init__(
        self, forward: Forward, rows: list[BatchRow], prefix: Prefix | None, max_tokens: int, stop_ids: Set[int]
    ) -> None:
        self.rows = rows
        self._forward = forward
        self._max_tokens = max_tokens
        self._stop_ids = stop_ids
        self._width = max(len(row.ids) for row in rows)
        """The column after which every prompt ends."""
        columns = self._width + max_tokens
        self._cache = SlotCache(len(rows), columns, prefix)
        self._mask_BS = forward.mask(len(rows), columns)

    def run(self, advance: Advance) -> Iterator[tuple[BatchRow, str]]:
        """Each row with the reason why it ended."""
        tokens = self._read(advance)
        for step in range(self._max_tokens):
            for row, token in zip(self.rows, tokens, strict=True):
                row.made.append(token)
            yield from self._drop_ended(advance)
            if not self.rows:
                return
            advance(0, "writing answers")
            tokens = self._step(self._width + step)

    @torch.inference_mode()
    def _read(self, advance: Advance) -> list[int]:
        """The first token of every row."""
        tokens: list[int] = []
        for part in _parts([len(row.ids) for row in self.rows]):
            ids = [row.ids for row in self.rows[part]]
            columns = [slice(self._width - len(row), self._width) for row in ids]
            logits_BV = self._forward.read(ids, columns, part.start, self._cache)
            tokens += logits_BV.argmax(-1).tolist()
            for row, taken in enumerate(columns, start=part.start):
                self._mask_BS[row, : taken.start] = -torch.inf
            advance(_READ_SHARE * len(ids), "reading prompts")
        return tokens

    @torch.inference_mode()
    def _step(self, column: int) -> list[int]:
        """The next token of every row, after storing the last one at `column`."""
        count = len(self.rows)
        first = self._width - max(len(row.ids) for row in self.rows)
        self._cache.step(count, first, column)
        made = [row.made[-1] for row in self.rows]
        positions = [self._cache.shared + len(row.ids) + len(row.made) - 1 for row in self.rows]
        mask_BS = self._mask_BS[:count, first : column + 1]
        return self._forward.step(made, positions, mask_BS, self._cache).argmax(-1).tolist()

    def _drop_ended(self, advance: Advance) -> Iterator[tuple[BatchRow, str]]:
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
                    self._cache.move(last, index, slice(0, self._width + len(row.made) - 1))
                    self._mask_BS[index] = self._mask_BS[last]
                self.rows[index] = self.rows[last]
            self.rows.pop()
            advance(1 - _READ_SHARE, "writing answers")
            yield row, reason

    def _ended(self, row: BatchRow) -> str | None:
        if row.made[-1] in self._stop_ids:
            return "stop"
        return "length" if len(row.made) >= self._max_tokens else None


def _parts(lengths: Sequence[int]) -> Iterator[slice]:
    """Slices of `lengths` that hold at most `_READ_TOKENS` tokens each, or one row."""
    start = tokens = 0
    for end, length in enumerate(lengths):
        if end > start and tokens + length > _READ_TOKENS:
            yield slice(start, end)
            start, tokens = end, 0
        tokens += length
    yield slice(start, len(lengths))
