"""Whether a step's rows are packed or padded: found out by trying."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from trainer.data.batches import Batch, pad
from trainer.data.tokenized_row import TokenizedRow
from trainer.loop.cross_entropy import loss_sum
from trainer.model.load import unwrapped
from trainer.packing.attention import NAME
from trainer.packing.pack import pack

_PROBE_ROWS, _PROBE_TOKENS = 3, 24  # enough for rows to see each other, were they let
# Relative: rounding is far below, a row that saw another, or stood at another's positions, far above.
_PROBE_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-2}

Collate = Callable[[Sequence[TokenizedRow], torch.device], Batch]


@contextmanager
def row_layout(model: Any, rows: Sequence[TokenizedRow]) -> Iterator[Collate]:
    """How to put rows into tensors for this model: packed where that gives the model's own losses, else padded.

    Models with another kind of attention, or with none, are found out by trying on pieces of the shortest rows.
    """
    config = unwrapped(model).config
    before = config._attn_implementation
    few = [row.glimpse(_PROBE_TOKENS) for row in sorted(rows, key=lambda row: row.size)[:_PROBE_ROWS]]
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            expected = float(loss_sum(model, pad(few, device)))
            config._attn_implementation = NAME
            packed = _loss_or_none(model, few, device)
        tolerance = _PROBE_TOLERANCE.get(unwrapped(model).dtype, 1e-2)
        if packed is not None and abs(packed - expected) <= tolerance * abs(expected):
            yield pack
        else:
            config._attn_implementation = before
            yield pad
    finally:
        config._attn_implementation = before


def _loss_or_none(model: Any, rows: Sequence[TokenizedRow], device: torch.device) -> float | None:
    try:
        return float(loss_sum(model, pack(rows, device)))
    except Exception:  # noqa: BLE001 - a model that doesn't know our arguments may fail in any way; padding serves it
        return None
