# ruff: noqa: N806 - a tensor's name ends in its shape
"""Rows behind one another without padding, and the prefix that they share computed once. The result is the same.

Rows of one task mostly begin with the same instructions. Here a part of a step is one sequence: the shared prefix, then
what each row has of its own. Every row keeps its own positions and attends to the prefix and itself only, so losses and
gradients are those of the rows alone. Shapes: N predicted tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from trainer.attention import NAME, Pack
from trainer.batches import Batch, pad, rows_of, weights_of
from trainer.loan import Share
from trainer.loss import loss_sum, unwrapped
from trainer.sample import Sample

_PROBE_ROWS, _PROBE_TOKENS = 3, 24  # enough for rows to see each other, were they let
# Relative: rounding is far below, a row that saw another, or stood at another's positions, far above.
_PROBE_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-2}

Collate = Callable[[Sequence[Sample], torch.device], Batch]


def shared_prefix(samples: Sequence[Sample]) -> int:
    """How many first tokens all samples share, short of any that the loss counts and of any sample's last."""
    shortest = min(samples, key=lambda sample: len(sample.ids))
    limit = len(shortest.ids) - 1
    for sample in samples:
        counted = next((at for at, counts in enumerate(sample.supervised) if counts and at), limit + 1)
        # What is predicted first is predicted from a token of the row's own.
        limit = min(limit, counted - 1)
        if sample.ids[:limit] != shortest.ids[:limit]:
            limit = next(at for at in range(limit) if sample.ids[at] != shortest.ids[at])
    return limit


def pack(samples: Sequence[Sample], device: torch.device, loan: Share | None = None) -> Batch:
    """The samples as one sequence; of a pair, what its answers share beyond the prefix stands there once too.

    A prefix that is borrowed, by `loan`, stands in the lender's sequence.
    """
    rows = rows_of(samples)
    borrowed = loan.borrowed if loan else 0
    prefix = shared_prefix(rows) if len(rows) > 1 else loan.loan.tokens if loan else 0
    ids, positions = list(rows[0].ids[borrowed:prefix]), list(range(borrowed, prefix))
    spans: list[tuple[int, int]] = []
    prompts: dict[int, int] = {}
    predicting: list[int] = []
    targets: list[int] = []

    def add(new: list[int], first: int) -> int:
        start = len(ids)
        ids.extend(new)
        positions.extend(range(first, first + len(new)))
        spans.append((start, len(ids)))
        return start

    for sample in samples:
        seen, prompt = prefix, None
        if sample.rejected and (shared := shared_prefix(sample.rows)) > prefix:
            add(sample.ids[prefix:shared], prefix)
            seen, prompt = shared, len(spans) - 1
        for row in sample.rows:
            start = add(row.inputs[seen:], seen)
            if prompt is not None:
                prompts[len(spans) - 1] = prompt
            counted = [at for at in range(1, len(row.ids)) if row.supervised[at]]
            predicting += [start + at - 1 - seen for at in counted]
            targets += [row.ids[at] for at in counted]
    predicting_N, targets_N = torch.tensor(predicting, device=device), torch.tensor(targets, device=device)
    rows_apart = Pack(prefix - borrowed, spans, predicting_N, prompts, loan)
    more = {"position_ids": torch.tensor([positions], device=device), "pack": rows_apart}
    return Batch(torch.tensor([ids], device=device), predicting_N, targets_N, more, weights_of(rows, device))


@contextmanager
def row_layout(model: Any, samples: Sequence[Sample]) -> Iterator[Collate]:
    """How to put rows into tensors for this model: packed where that gives the model's own losses, else padded.

    Models with another kind of attention, or with none, are found out by trying on pieces of the shortest samples.
    """
    config = unwrapped(model).config
    before = config._attn_implementation
    few = [row.glimpse(_PROBE_TOKENS) for row in sorted(samples, key=lambda sample: sample.size)[:_PROBE_ROWS]]
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


def _loss_or_none(model: Any, samples: Sequence[Sample], device: torch.device) -> float | None:
    try:
        return float(loss_sum(model, pack(samples, device)))
    except Exception:  # noqa: BLE001 - a model that doesn't know our arguments may fail in any way; padding serves it
        return None
