"""The processes that compute one training together, as `torchrun` starts them: each takes a share of every step's rows.

All of them hold the same weights and go through the same steps; the first one alone writes and talks.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.errors import ProvenanceError, ServiceError, first_line

if TYPE_CHECKING:
    import torch

    from trainer.data.tokenized_row import TokenizedRow

_GO_ON = "start the training again: it goes on from its last checkpoint"


@dataclass(frozen=True)
class ProcessGroup:
    """Which of how many processes this one is."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and talks."""
        return self.rank == 0

    def own_share(self, rows: "Sequence[TokenizedRow]") -> "list[TokenizedRow]":
        """This process's part of the rows, of about the same size as the others'; maybe none."""
        if self.size == 1:
            return list(rows)
        from trainer.data.batches import split_by_tokens

        lengths = [row.size for row in rows]
        parts = split_by_tokens(range(len(rows)), lengths, max(1, sum(lengths)), self.size)
        return [rows[number] for number in parts[self.rank]] if self.rank < len(parts) else []

    def summed(self, loss: float, gradients: "Sequence[torch.Tensor]") -> "tuple[float, list[torch.Tensor]]":
        """Loss and gradients, each added up over all processes: the same numbers in every one."""
        if self.size == 1:
            return loss, list(gradients)
        import torch

        device = gradients[0].device if gradients else torch.device("cuda" if torch.cuda.is_available() else "cpu")
        losses = torch.tensor([loss], dtype=torch.float64, device=device)
        with _told_apart():
            torch.distributed.all_reduce(losses)
            if gradients:
                flat = torch.cat([gradient.flatten() for gradient in gradients])
                torch.distributed.all_reduce(flat)
                pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
                gradients = [new.view(old.shape) for new, old in zip(pieces, gradients, strict=True)]
        return float(losses), list(gradients)

    def agree(self, what: Callable[[], Any]) -> None:
        """Do nothing where `what()` is the same in all processes. Raises: ProvenanceError where it isn't.

        A process alone doesn't work it out: digests of weights take their time.
        """
        if self.size == 1:
            return
        import torch

        found: list[Any] = [None] * self.size
        with _told_apart():
            torch.distributed.all_gather_object(found, what())
        if any(other != found[0] for other in found):
            raise ProvenanceError(
                "the processes don't start from the same rows, settings, weights and checkpoint",
                where=f"process {self.rank} of {self.size}",
                fix="give all of them the same files and versions, and one output folder that they share",
            )

    def wait(self) -> None:
        """Return once all processes have come here."""
        if self.size > 1:
            import torch

            with _told_apart():
                torch.distributed.barrier()


ONE_PROCESS = ProcessGroup()


def process_count() -> int:
    """How many processes `torchrun` has started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this is the process that writes and talks."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """The processes of this training, connected: by NCCL on GPUs, else by gloo. All but the first are silent."""
    if process_count() == 1:
        yield ONE_PROCESS
        return
    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    with _told_apart():
        torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        group = ProcessGroup(torch.distributed.get_rank(), torch.distributed.get_world_size())
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            if group.is_main:
                yield group
            else:
                with redirect_stderr(nowhere):
                    yield group
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _told_apart() -> Iterator[None]:
    """Say in our words that another process is gone, or was never there."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ServiceError(
            f"the other processes of this training can't be reached: {first_line(error)}", fix=_GO_ON
        ) from error
