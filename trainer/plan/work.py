"""What there is to compute: the steps of a training, gone through with the dataset's real lengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.batches import epoch_batches
from trainer.config import TrainConfig
from trainer.packing import shared_prefix
from trainer.parts import Round, may_lend, split_step
from trainer.sample import Sample
from trainer.schedule import steps_in_all


@dataclass(frozen=True, slots=True)
class Work:
    """A training in numbers. Its steps are computed in `parts`, each one forward and backward pass.

    `tokens` are computed in all steps; a prefix that rows share counts once for a part, or for all parts that are
    computed at once. `at_once` of them, and `positions_at_once` of the predictions, are in memory together at most.
    `held_out` tokens go through a forward pass alone, all times together that the held-out loss is measured. `longest`
    is the longest row, with preferences a pair.
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
    done, lends = batches[:steps], may_lend(config, config.checkpointing)
    passes = tokens = supervised = most = most_positions = 0
    for rows in done:
        for together in split_step([train[row] for row in rows], config.micro_batch_tokens, threads, lends=lends):
            size, positions = _computed(together)
            passes += len(together.parts)
            tokens += size
            supervised += positions
            most, most_positions = max(most, size), max(most_positions, positions)
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


def _computed(together: Round) -> tuple[int, int]:
    """How many tokens a round computes, and how many it predicts."""
    size = positions = 0
    for number, part in enumerate(together.parts):
        rows = [row for sample in part for row in sample.rows]
        shared = shared_prefix(rows) if len(rows) > 1 else together.lent
        size += sum(len(row.inputs) for row in rows) - shared * (len(rows) - 1) - (together.lent if number else 0)
        positions += sum(row.supervised_count for row in rows)
    return size, positions


def _measures(steps: int, epoch_steps: int, config: TrainConfig) -> int:
    """How often the held-out loss is measured: before the first step, each so many steps, and at the end."""
    every = config.held_out_every or epoch_steps
    return 1 + math.ceil(steps / every)
