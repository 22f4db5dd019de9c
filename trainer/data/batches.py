# ruff: noqa: N815 - a tensor's name ends in its shape
"""Which rows each step computes, and their tensors. The order is a pure function of lengths, seed and epoch.

Shapes: B rows, T tokens, N predicted tokens.
"""

import heapq
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from curate.core.seeding import stable_seed
from trainer.data.tokenized_row import TokenizedRow

# Rows are sorted by length inside windows of this many batches: about 5 % padding on rows of mixed lengths, while
# which rows meet in a batch still changes from epoch to epoch.
_WINDOW_BATCHES = 8
_PAD_ID = 0  # any token does: padding comes last, causal attention never looks ahead, and no loss is taken there


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors.

    Attributes:
        ids_BT: the tokens; padded at the end, or of a pack the one sequence.
        predicting_N: where, in the flattened tokens, the hidden states are that predict something.
        targets_N: what they are to predict.
        more: what the model's forward pass takes besides the tokens.
        weights_N: how much each prediction counts; None: all the same.
    """

    ids_BT: torch.Tensor
    predicting_N: torch.Tensor
    targets_N: torch.Tensor
    more: dict[str, Any] = field(default_factory=dict)
    weights_N: torch.Tensor | None = None


def epoch_batches(lengths: Sequence[int], batch_rows: int, seed: int, epoch: int) -> list[list[int]]:
    """Every row's index once, in batches of rows of similar length, in random order. A short batch is the last.

    Args:
        lengths: of each row, in tokens.
        batch_rows: how many rows a batch has.
        seed, epoch: what the order depends on, beside the lengths.
    """
    chance = random.Random(stable_seed(seed, f"epoch {epoch}"))
    order = list(range(len(lengths)))
    chance.shuffle(order)
    # The rows that don't fill a batch are set apart first, so that sorting can't make them the longest ones each time.
    whole = len(order) - len(order) % batch_rows
    window = batch_rows * _WINDOW_BATCHES
    batches = []
    for start in range(0, whole, window):
        near = sorted(order[start : min(start + window, whole)], key=lambda i: lengths[i])
        batches += [near[i : i + batch_rows] for i in range(0, len(near), batch_rows)]
    chance.shuffle(batches)
    return [*batches, order[whole:]] if whole < len(order) else batches


def step_batches(lengths: Sequence[int], batch_rows: int, seed: int, steps: int) -> Iterator[list[int]]:
    """The rows of each of the first `steps` steps, epoch after epoch."""
    epochs = (epoch_batches(lengths, batch_rows, seed, epoch) for epoch in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(epochs), steps)


def split_by_tokens(
    rows: Sequence[int], lengths: Sequence[int], max_tokens: int, at_once: int = 1, ahead: int = 0
) -> list[list[int]]:
    """The rows in parts of about the same size.

    Args:
        rows: the rows' numbers.
        lengths: of the row of each number, in tokens.
        max_tokens: about how many tokens `at_once` parts have together at most.
        at_once: how many parts are computed at the same time.
        ahead: how many tokens the first of each `at_once` parts has to compute before its rows.

    Returns: the numbers of each part's rows. There are at least `at_once` parts and a multiple of it, as far as there
    are rows: nobody waits for the last part.
    """
    total = sum(lengths[row] for row in rows)
    count = min(at_once * math.ceil(total / max_tokens), len(rows))
    parts: list[list[int]] = [[] for _ in range(count)]
    sizes = [(0 if number % at_once else ahead, number) for number in range(count)]
    heapq.heapify(sizes)
    for row in sorted(rows, key=lambda i: (-lengths[i], i)):
        # The longest first, each to the smallest part so far: within a third of the best there is.
        size, number = heapq.heappop(sizes)
        parts[number].append(row)
        heapq.heappush(sizes, (size + lengths[row], number))
    for part in parts:
        if not part:  # it had too much ahead
            part.append(max(parts, key=len).pop())
    return parts


def pad(rows: Sequence[TokenizedRow], device: torch.device) -> Batch:
    """The rows side by side, padded at the end to the longest.

    No attention mask goes with them: causal attention from real tokens never looks at padding behind them.
    """
    sequences = sequences_of(rows)
    inputs = [one.inputs for one in sequences]
    longest = max(map(len, inputs))
    ids = [known + [_PAD_ID] * (longest - len(known)) for known in inputs]
    counted = [(b, t) for b, one in enumerate(sequences) for t in range(1, len(one.ids)) if one.supervised[t]]
    return Batch(
        torch.tensor(ids, device=device),
        torch.tensor([b * longest + t - 1 for b, t in counted], device=device),
        torch.tensor([sequences[b].ids[t] for b, t in counted], device=device),
        weights_N=weights_of(sequences, device),
    )


def sequences_of(rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """What is computed for the rows: themselves, of pairs both answers one behind the other."""
    return [sequence for row in rows for sequence in row.sequences]


def weights_of(rows: Sequence[TokenizedRow], device: torch.device) -> torch.Tensor | None:
    """How much each supervised token of the rows counts, in their order; None where all count alike."""
    if all(row.weights is None for row in rows):
        return None
    weights = [
        row.weights[at] if row.weights else 1.0 for row in rows for at in range(1, len(row.ids)) if row.supervised[at]
    ]
    return torch.tensor(weights, device=device)
