"""The learning rate at each step."""

import math

from trainer.config import TrainConfig


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """The rate for step `step` (from 0) of `total`: a linear rise over the warm-up, then the schedule down to 0.

    The first step already learns, and the last step still does: rates are taken at the middle of each step.
    """
    rise = config.warmup * total
    here = step + 0.5
    if here < rise:
        return config.learning_rate * here / rise
    gone = (here - rise) / (total - rise)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * gone))
    return config.learning_rate * (1 - gone) if config.schedule == "linear" else config.learning_rate


def steps_in_all(rows: int, config: TrainConfig) -> int:
    """How many optimizer steps a training has."""
    steps = config.epochs * math.ceil(rows / config.batch_rows)
    return min(steps, config.max_steps) if config.max_steps else steps
