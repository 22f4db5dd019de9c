"""Gradient checkpointing: layers computed again in the backward pass, where what they keep doesn't fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from curate.core.console import say
from trainer.data.tokenized_row import TokenizedRow
from trainer.model.load import free_bytes, unwrapped

_PROBE_TOKENS = 24  # what is kept grows with the tokens alone; what is freed again may stay with the C library
# What is kept between the passes is most of a step's memory, not all: gradients and the output head need some too.
SHARE_OF_FREE = 0.5


@contextmanager
def recomputing(model: Any, *, wanted: bool, draws: bool) -> Iterator[None]:
    """Within the block, layers keep only their input. `draws`: there is dropout, which must fall the same again."""
    causal = unwrapped(model)
    if not wanted:
        yield
        return
    causal.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": draws})
    try:
        yield
    finally:
        causal.gradient_checkpointing_disable()


def needs_recomputing(
    model: torch.nn.Module,
    loss: Callable[[Sequence[TokenizedRow]], torch.Tensor],
    rows: Sequence[TokenizedRow],
    tokens: int,
) -> bool:
    """Whether what `loss` keeps for its backward pass over `tokens` tokens is too much for the memory that is free.

    Counted on the shortest row, tensor by tensor, so that it holds for any architecture. The model's weights are there
    anyway, and count for nothing.
    """
    shortest = min(rows, key=lambda row: row.size).glimpse(_PROBE_TOKENS)
    weights = {value.untyped_storage().data_ptr() for value in model.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor):
        measured = loss([shortest])
    needed = sum(kept.values()) / shortest.size * tokens
    free = free_bytes(measured.device)
    if needed <= free * SHARE_OF_FREE:
        return False
    say(
        f"a step would keep about {needed / 2**30:.1f} GiB between its passes, and {free / 2**30:.1f} GiB are free:"
        " layers are computed again in the backward pass, which takes about a third longer"
    )
    return True
