"""What there is to compute: the steps of a training, gone through with the dataset's real lengths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config import TrainConfig
from trainer.data.batches import epoch_batches, sequences_of
from trainer.data.tokenized_row import TokenizedRow
from trainer.loop.micro_batches import ParallelRound, may_share_prefix, split_step
from trainer.loop.schedule import steps_in_all
from trainer.packing.pack import common_prefix


@dataclass(frozen=True, slots=True)
class Work:
    """A training in numbers.

    Attributes:
        parts: how many micro-batches all steps have, each one forward and backward pass.
        tokens: computed in all steps. A prefix that rows share counts once for a micro-batch, or for all that are
            computed at once.
        supervised: tokens that the loss counts, in all steps.
        held_out: tokens that go through a forward pass alone, all times together that the held-out loss is measured.
        at_once, positions_at_once: the most tokens, and predictions, that are in memory together.
        longest: the longest row's tokens, with preferences a pair's.
    """

    steps: int
    parts: int
    tokens: int
    supervised: int
    held_out: int
    at_once: int
    positions_at_once: int
    longest: int


def work(train: Sequence[TokenizedRow], held_out: Sequence[TokenizedRow], config: TrainConfig, threads: int) -> Work:
    """What `config` computes, with `threads` micro-batches at once. Later epochs are taken to be like the first."""
    lengths = [len(row.ids) for row in train]
    steps = steps_in_all(len(train), config)
    batches = epoch_batches(lengths, config.batch_rows, config.seed, 0)
    done, shares = batches[:steps], may_share_prefix(config, config.checkpointing)
    passes = tokens = supervised = most = most_positions = 0
    for batch in done:
        for one in split_step(
            [train[number] for number in batch], config.micro_batch_tokens, threads, shares_prefix=shares
        ):
            size, positions = _computed(one)
            passes += len(one.parts)
            tokens += size
            supervised += positions
            most, most_positions = max(most, size), max(most_positions, positions)
    times = steps / len(done)
    return Work(
        steps=steps,
        parts=round(passes * times),
        tokens=round(tokens * times),
        supervised=round(supervised * times),
        held_out=_measures(steps, len(batches), config) * sum(row.size for row in held_out),
        at_once=most,
        positions_at_once=most_positions,
        longest=max(row.size for row in train),
    )


def _computed(one: ParallelRound) -> tuple[int, int]:
    """How many tokens a round computes, and how many it predicts."""
    size = positions = 0
    for number, part in enumerate(one.parts):
        sequences = sequences_of(part)
        shared = common_prefix(sequences) if len(sequences) > 1 else one.shared_tokens
        elsewhere = one.shared_tokens if number else 0
        size += sum(len(sequence.inputs) for sequence in sequences) - shared * (len(sequences) - 1) - elsewhere
        positions += sum(sequence.supervised_count for sequence in sequences)
    return size, positions


def _measures(steps: int, epoch_steps: int, config: TrainConfig) -> int:
    """How often the held-out loss is measured: before the first step, each so many steps, and at the end."""
    every = config.held_out_every or epoch_steps
    return 1 + math.ceil(steps / every)
