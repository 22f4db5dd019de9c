# ruff: noqa: N806 - a tensor's name ends in its shape
"""Rows behind one another without padding, and the prefix that they share computed once. The result is the same.

Rows of one task mostly begin with the same instructions. A pack is one sequence: the prefix that all its rows share,
then what each row has of its own. Three rows `P P P a a a`, `P P P b b`, `P P P c c c c` become

    index       0  1  2 | 3  4  5 | 6  7 | 8  9 10 11
    token       P  P  P | a  a  a | b  b | c  c  c  c
    position    0  1  2 | 3  4  5 | 3  4 | 3  4  5  6      as in the row alone
    prefix 3, spans   (3, 6)    (6, 8)   (8, 12)

and each token attends to the prefix and, up to itself, to its own row (`x`), to no other row:

              P P P a a a b b c c c c
        P     x
        P     x x
        P     x x x
        a     x x x x
        a     x x x x x
        a     x x x x x x
        b     x x x       x
        b     x x x       x x
        c     x x x           x
        c ... x x x           x x ...

So losses and gradients are those of the rows alone, for 12 tokens in place of the 21 that padding to the longest would
compute. Two details:

- The last token that the loss counts is predicted, nothing is predicted from it: it and what follows isn't computed.
- The chosen and the rejected answer of a pair share their prompt beyond the prefix too. It is a span of its own, which
  both answers' spans see: `prompts` says for the number of a span which other span it sees.

The prefix may be computed in another pack, on another thread: see `trainer.packing.shared_prefix`.
Shapes: N predicted tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from trainer.data.batches import Batch, sequences_of, weights_of
from trainer.data.tokenized_row import TokenizedRow
from trainer.packing.shared_prefix import PrefixSide

T = TypeVar("T")
# A row's first token and the one after its last, and the ranges of keys that it sees before its own.
RowSpan = tuple[int, int, list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Pack:
    """Which tokens of a packed sequence belong together.

    Attributes:
        prefix: how many tokens at the start all rows see.
        spans: where each row's own tokens start and end, in the sequence.
        predicting: the indices that the loss looks at.
        prompts: for the number of a span that sees another one, a prompt that two answers share, the number of that.
        side: this sequence's side of a prefix that several sequences share, if there is one.
    """

    prefix: int
    spans: list[tuple[int, int]]
    predicting: torch.Tensor
    prompts: dict[int, int] = field(default_factory=dict)
    side: PrefixSide | None = None
    _made: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def behind(self, count: int) -> "Pack":
        """The same rows behind `count` more tokens that all of them see."""
        spans = [(start + count, end + count) for start, end in self.spans]
        return Pack(self.prefix + count, spans, self.predicting + count, self.prompts)

    def rows(self, before: int) -> list[RowSpan]:
        """The prefix, if there is one, and each row, with the keys that it sees besides its own.

        Args:
            before: how many keys stand before the sequence: those of learned virtual tokens, or of a prefix that is
                computed elsewhere. Every row sees them, and ranges of keys count from the first of them.
        """
        rows = [(0, self.prefix, [(0, before)] if before else [])] if self.prefix else []
        common = [(0, before + self.prefix)] if before + self.prefix else []
        for number, (start, end) in enumerate(self.spans):
            prompt = [self.spans[self.prompts[number]]] if number in self.prompts else []
            rows.append((start, end, [*common, *((before + first, before + last) for first, last in prompt)]))
        return rows

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` makes, made once for each `key`: all layers of a kind take the same."""
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found


def common_prefix(rows: Sequence[TokenizedRow]) -> int:
    """How many first tokens all rows share, short of any that the loss counts and of any row's last."""
    shortest = min(rows, key=lambda row: len(row.ids))
    limit = len(shortest.ids) - 1
    for row in rows:
        counted = next((at for at, counts in enumerate(row.supervised) if counts and at), limit + 1)
        # What is predicted first is predicted from a token of the row's own.
        limit = min(limit, counted - 1)
        if row.ids[:limit] != shortest.ids[:limit]:
            limit = next(at for at in range(limit) if row.ids[at] != shortest.ids[at])
    return limit


def pack(rows: Sequence[TokenizedRow], device: torch.device, side: PrefixSide | None = None) -> Batch:
    """The rows as one sequence, laid out as drawn above.

    Args:
        side: this sequence's side of a prefix that others share; where it is computed in another sequence, it is left
            out of this one, and positions begin behind it.
    """
    sequences = sequences_of(rows)
    left_out = side.left_out if side else 0
    prefix = common_prefix(sequences) if len(sequences) > 1 else side.shared.tokens if side else 0
    ids, positions = list(sequences[0].ids[left_out:prefix]), list(range(left_out, prefix))
    spans: list[tuple[int, int]] = []
    prompts: dict[int, int] = {}
    predicting: list[int] = []
    targets: list[int] = []

    def add(new: list[int], first: int) -> int:
        start = len(ids)
        ids.extend(new)
        positions.extend(range(first, first + len(new)))
        spans.append((start, len(ids)))
        return start

    for row in rows:
        seen, prompt = prefix, None
        if row.rejected and (shared := common_prefix(row.sequences)) > prefix:
            add(row.ids[prefix:shared], prefix)
            seen, prompt = shared, len(spans) - 1
        for sequence in row.sequences:
            start = add(sequence.inputs[seen:], seen)
            if prompt is not None:
                prompts[len(spans) - 1] = prompt
            counted = [at for at in range(1, len(sequence.ids)) if sequence.supervised[at]]
            predicting += [start + at - 1 - seen for at in counted]
            targets += [sequence.ids[at] for at in counted]
    predicting_N, targets_N = torch.tensor(predicting, device=device), torch.tensor(targets, device=device)
    layout = Pack(prefix - left_out, spans, predicting_N, prompts, side)
    more = {"position_ids": torch.tensor([positions], device=device), "pack": layout}
    return Batch(torch.tensor([ids], device=device), predicting_N, targets_N, more, weights_of(sequences, device))
