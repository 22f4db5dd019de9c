"""The largest part of any step, computed first: a training that lacks memory says so before its first step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curate.core.errors import ServiceError
from trainer.batches import step_batches
from trainer.config import TrainConfig
from trainer.parts import Parts
from trainer.sample import Sample
from trainer.schedule import steps_in_all

_NAMED_ROWS = 3


def probe(parts: Parts, model: Any, train: Sequence[Sample], config: TrainConfig) -> None:
    """Compute the parts that take the most memory, once, and forget the result: nothing that a step depends on changes.

    Raises: ServiceError naming the longest rows where the memory is not enough.
    """
    lengths, steps = [sample.size for sample in train], steps_in_all(len(train), config)
    batches = step_batches(lengths, config.batch_rows, config.seed, steps)
    largest = max((parts.largest([train[row] for row in rows]) for rows in batches), key=_tokens)
    model.train()
    try:
        parts.try_out(largest)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        longest = sorted(largest, key=lambda sample: -sample.longest)[:_NAMED_ROWS]
        raise ServiceError(
            f"not enough memory for {_tokens(largest)} tokens at once; nothing was trained",
            where=f"rows {', '.join(sample.row for sample in longest)} and those beside them",
            fix="lower micro_batch_tokens (it changes no result); `trainer plan` says what else would help",
        ) from error


def peak_bytes() -> int:
    """The most memory that was taken so far: on the GPU, or without one by this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():
        # Of this program alone; what `getrusage` says begins with the peak of the program that started it.
        found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(found.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS, which has no /proc


def _tokens(samples: Sequence[Sample]) -> int:
    return sum(sample.size for sample in samples)
