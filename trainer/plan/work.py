"""What there is to compute: the steps of a training, gone through with the dataset's real lengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from trainer.batches import epoch_batches
from trainer.config import TrainConfig
from trainer.packing import shared_prefix
from trainer.parts import split_step
from trainer.sample import Sample
from trainer.schedule import steps_in_all


@dataclass(frozen=True, slots=True)
class Work:
    """A training in numbers. Its steps are computed in `parts`, each one forward and backward pass.

    `tokens` are computed in all steps; a prefix that the rows of a part share counts once. `at_once` of them, and
    `positions_at_once` of the predictions, are in memory together at most. `held_out` tokens go through a forward pass
    alone, all times together that the held-out loss is measured. `longest` is the longest row, with preferences a pair.
    """

    steps: int
    parts: int
    tokens: int
    supervised: int
    held_out: int
    at_once: int
    positions_at_once: int
    longest: int


def work(train: Sequence[Sample], held_out: Sequence[Sample], config: TrainConfig, threads: int) -> Work:
    """What `config` computes, with `threads` parts of a step at once. Later epochs are taken to be like the first."""
    lengths = [len(sample.ids) for sample in train]
    steps = steps_in_all(len(train), config)
    batches = epoch_batches(lengths, config.batch_rows, config.seed, 0)
    done = batches[:steps]
    passes = tokens = supervised = most = most_positions = 0
    for rows in done:
        parts = split_step([train[row] for row in rows], config.micro_batch_tokens, threads)
        sizes = [_computed(part) for part in parts]
        passes += len(parts)
        tokens += sum(size for size, _ in sizes)
        supervised += sum(positions for _, positions in sizes)
        most = max(most, sum(nlargest(threads, (size for size, _ in sizes))))
        most_positions = max(most_positions, sum(nlargest(threads, (positions for _, positions in sizes))))
    times = steps / len(done)
    return Work(
        steps=steps,
        parts=round(passes * times),
        tokens=round(tokens * times),
        supervised=round(supervised * times),
        held_out=_measures(steps, len(batches), config) * sum(sample.size for sample in held_out),
        at_once=most,
        positions_at_once=most_positions,
        longest=max(sample.size for sample in train),
    )


def _computed(part: Sequence[Sample]) -> tuple[int, int]:
    """How many tokens a part computes, and how many it predicts."""
    rows = [row for sample in part for row in sample.rows]
    shared = shared_prefix(rows) * (len(rows) - 1) if len(rows) > 1 else 0
    return sum(len(row.inputs) for row in rows) - shared, sum(row.supervised_count for row in rows)


def _measures(steps: int, epoch_steps: int, config: TrainConfig) -> int:
    """How often the held-out loss is measured: before the first step, each so many steps, and at the end."""
    every = config.held_out_every or epoch_steps
    return 1 + math.ceil(steps / every)
