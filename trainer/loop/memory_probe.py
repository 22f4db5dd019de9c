"""The largest part of any step, computed first: a training that lacks memory says so before its first step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curate.core.errors import ServiceError
from trainer.config import TrainConfig
from trainer.data.batches import step_batches
from trainer.data.tokenized_row import TokenizedRow
from trainer.loop.micro_batches import MicroBatches
from trainer.loop.schedule import steps_in_all

_NAMED_ROWS = 3


def probe(computing: MicroBatches, model: Any, train: Sequence[TokenizedRow], config: TrainConfig) -> None:
    """Compute the round that takes the most memory, once, and forget the result: no step depends on it.

    Raises: ServiceError naming the longest rows where the memory is not enough.
    """
    lengths, steps = [row.size for row in train], steps_in_all(len(train), config)
    batches = step_batches(lengths, config.batch_rows, config.seed, steps)
    largest = max((computing.largest([train[number] for number in batch]) for batch in batches), key=_tokens)
    model.train()
    try:
        computing.try_out(largest)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        longest = sorted(largest, key=lambda row: -row.longest)[:_NAMED_ROWS]
        raise ServiceError(
            f"not enough memory for {_tokens(largest)} tokens at once; nothing was trained",
            where=f"rows {', '.join(row.name for row in longest)} and those beside them",
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


def _tokens(rows: Sequence[TokenizedRow]) -> int:
    return sum(row.size for row in rows)
