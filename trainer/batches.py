# ruff: noqa: N806, N815 - a tensor's name ends in its shape
"""Which rows each step computes, and their tensors. The order is a pure function of lengths, seed and epoch.

Shapes: B rows, T tokens.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from curate.core.seeding import stable_seed
from trainer.dataset import Sample

# Rows are sorted by length inside windows of this many batches: about 5 % padding on rows of mixed lengths, while
# which rows meet in a batch still changes from epoch to epoch.
_WINDOW_BATCHES = 8
_PAD_ID = 0  # any token does: padding comes last, causal attention never looks ahead, and no loss is taken there


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors, padded at the end to the longest."""

    ids_BT: torch.Tensor
    supervised_BT: torch.Tensor


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


def split_by_tokens(rows: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """The rows in parts of at most `max_tokens` padded tokens each (one row at least), similar lengths together."""
    parts: list[list[int]] = []
    for row in sorted(rows, key=lambda i: -lengths[i]):
        # Longest first: the first row of a part says how long the others are padded.
        if parts and lengths[parts[-1][0]] * (len(parts[-1]) + 1) <= max_tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def collate(samples: Sequence[Sample], device: torch.device | str = "cpu") -> Batch:
    """The samples as one padded batch."""
    longest = max(len(sample.ids) for sample in samples)
    ids_BT = torch.full((len(samples), longest), _PAD_ID, dtype=torch.long)
    supervised_BT = torch.zeros((len(samples), longest), dtype=torch.bool)
    for i, sample in enumerate(samples):
        ids_BT[i, : len(sample.ids)] = torch.tensor(sample.ids)
        supervised_BT[i, : len(sample.ids)] = torch.tensor(sample.supervised)
    return Batch(ids_BT.to(device), supervised_BT.to(device))
