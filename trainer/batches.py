# ruff: noqa: N815 - a tensor's name ends in its shape
"""Which rows each step computes, and their tensors. The order is a pure function of lengths, seed and epoch.

Shapes: B rows, T tokens.
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
from trainer.sample import Sample

# Rows are sorted by length inside windows of this many batches: about 5 % padding on rows of mixed lengths, while
# which rows meet in a batch still changes from epoch to epoch.
_WINDOW_BATCHES = 8
_PAD_ID = 0  # any token does: padding comes last, causal attention never looks ahead, and no loss is taken there


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors. The hidden states at `predicting_N`, rows flattened, are to predict `targets_N`.

    `weights_N` says how much each counts, None: all the same. `more` is what the model's forward pass takes besides the
    tokens.
    """

    ids_BT: torch.Tensor
    predicting_N: torch.Tensor
    targets_N: torch.Tensor
    more: dict[str, Any] = field(default_factory=dict)
    weights_N: torch.Tensor | None = None


def epoch_batches(lengths: Sequence[int], batch_rows: int, seed: int, epoch: int) -> list[list[int]]:
    """Every row's index once, in batches of rows of similar length, in random order. A short batch is the last."""
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
    rows: Sequence[int],
    lengths: Sequence[int],
    max_tokens: int,
    at_once: int = 1,
    ahead: int = 0,
    costs: Sequence[float] | None = None,
) -> list[list[int]]:
    """The rows in parts that take about equally long, so that `at_once` parts have about `max_tokens` together at most.

    There are at least `at_once` parts and a multiple of it, as far as there are rows: nobody waits for the last part.
    The first of each `at_once` parts has `ahead` tokens to compute before its rows. `costs` says how long each row
    takes, a token being 1, where it isn't by its length.
    """
    total = sum(lengths[row] for row in rows)
    count = min(at_once * math.ceil(total / max_tokens), len(rows))
    costs = lengths if costs is None else costs
    parts: list[list[int]] = [[] for _ in range(count)]
    before = [0 if number % at_once else ahead for number in range(count)]
    sizes: list[tuple[float, int]] = [(size, number) for number, size in enumerate(before)]
    heapq.heapify(sizes)
    for row in sorted(rows, key=lambda i: (-costs[i], i)):
        # The longest first, each to the smallest part so far: within a third of the best there is.
        size, number = heapq.heappop(sizes)
        parts[number].append(row)
        heapq.heappush(sizes, (size + costs[row], number))
    for part in parts:
        if not part:  # it had too much ahead
            part.append(max(parts, key=len).pop())
    _even_out(parts, costs, before)
    return parts


def _even_out(parts: list[list[int]], costs: Sequence[float], before: Sequence[float]) -> None:
    """Let the part that takes longest give the quickest one a row, or get a quicker one for it, as long as that helps.

    `before` is what each part has to do besides its rows.
    """

    def moved(given: int, taken: int | None) -> float:
        return costs[given] - (0 if taken is None else costs[taken])

    sizes = [size + sum(costs[row] for row in part) for part, size in zip(parts, before, strict=True)]
    while len(parts) > 1:
        long, short = (choose(range(len(parts)), key=sizes.__getitem__) for choose in (max, min))
        gap = sizes[long] - sizes[short]
        pairs = itertools.product(parts[long], [*parts[short], *([None] if len(parts[long]) > 1 else [])])
        given, taken = min(pairs, key=lambda pair: abs(gap - 2 * moved(*pair)))
        change = moved(given, taken)
        if abs(gap - 2 * change) > gap - 1:  # less than a token would be gained
            return
        parts[long].remove(given)
        parts[short].append(given)
        if taken is not None:
            parts[short].remove(taken)
            parts[long].append(taken)
        sizes[long], sizes[short] = sizes[long] - change, sizes[short] + change


def pad(samples: Sequence[Sample], device: torch.device) -> Batch:
    """The samples side by side, padded at the end to the longest.

    No attention mask goes with them: causal attention from real tokens never looks at padding behind them.
    """
    samples = rows_of(samples)
    inputs = [sample.inputs for sample in samples]
    longest = max(map(len, inputs))
    ids = [known + [_PAD_ID] * (longest - len(known)) for known in inputs]
    counted = [(b, t) for b, sample in enumerate(samples) for t in range(1, len(sample.ids)) if sample.supervised[t]]
    return Batch(
        torch.tensor(ids, device=device),
        torch.tensor([b * longest + t - 1 for b, t in counted], device=device),
        torch.tensor([samples[b].ids[t] for b, t in counted], device=device),
        weights_N=weights_of(samples, device),
    )


def rows_of(samples: Sequence[Sample]) -> list[Sample]:
    """What is computed for the samples: themselves, of pairs both answers one behind the other."""
    return [row for sample in samples for row in sample.rows]


def weights_of(samples: Sequence[Sample], device: torch.device) -> torch.Tensor | None:
    """How much each supervised token of the samples counts, in their order; None where all count alike."""
    if all(sample.weights is None for sample in samples):
        return None
    weights = [
        sample.weights[at] if sample.weights else 1.0
        for sample in samples
        for at in range(1, len(sample.ids))
        if sample.supervised[at]
    ]
    return torch.tensor(weights, device=device)
