# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""Rows behind one another without padding, and the prefix that they share computed once. The result is the same.

Rows of one task mostly begin with the same instructions. Here a part of a step is one sequence: the shared prefix, then
what each row has of its own. Every row keeps its own positions and attends to the prefix and itself only, so losses and
gradients are those of the rows alone. Shapes: T tokens, P of the prefix, L of a row's own, N query heads, H key heads,
D head size.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from trainer.batches import Batch, pad, rows_of, weights_of
from trainer.loss import loss_sum, unwrapped
from trainer.sample import Sample

NAME = "acidtest_packed_rows"
_PROBE_ROWS = 3
# Relative: rounding is far below, a row that saw another, or stood at another's positions, far above.
_PROBE_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-2}

Collate = Callable[[Sequence[Sample], torch.device], Batch]


@dataclass(frozen=True, slots=True)
class Pack:
    """Which tokens of a packed sequence belong together: the prefix first, then `spans`, each a row's own tokens.

    `prompts` says which of the spans, by its number, is no row but the prompt that two answers share, for each span
    that sees one.
    """

    prefix: int
    spans: list[tuple[int, int]]
    prompts: dict[int, int] = field(default_factory=dict)

    def behind(self, count: int) -> "Pack":
        """The same rows behind `count` more tokens that all of them see."""
        spans = [(start + count, end + count) for start, end in self.spans]
        return Pack(self.prefix + count, spans, self.prompts)


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


def pack(samples: Sequence[Sample], device: torch.device) -> Batch:
    """The samples as one sequence; of a pair, what its answers share beyond the prefix stands there once too."""
    rows = rows_of(samples)
    prefix = shared_prefix(rows) if len(rows) > 1 else 0
    ids, positions = list(rows[0].ids[:prefix]), list(range(prefix))
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
            start = add(row.ids[seen:], seen)
            if prompt is not None:
                prompts[len(spans) - 1] = prompt
            counted = [at for at in range(1, len(row.ids)) if row.supervised[at]]
            predicting += [start + at - 1 - seen for at in counted]
            targets += [row.ids[at] for at in counted]
    more = {"position_ids": torch.tensor([positions], device=device), "pack": Pack(prefix, spans, prompts)}
    predicting_N, targets_N = torch.tensor(predicting, device=device), torch.tensor(targets, device=device)
    return Batch(torch.tensor([ids], device=device), predicting_N, targets_N, more, weights_of(rows, device))


@contextmanager
def row_layout(model: Any, samples: Sequence[Sample]) -> Iterator[Collate]:
    """How to put rows into tensors for this model: packed where that gives the model's own losses, else padded.

    Models with another kind of attention, or with none, are found out by trying on the shortest samples.
    """
    config = unwrapped(model).config
    before = config._attn_implementation
    few = sorted(samples, key=lambda sample: sample.size)[:_PROBE_ROWS]
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


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    pack: Pack | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row of a packed sequence, out_1TND from query_1NTD, key_1HTD and value_1HTD.

    Keys beyond the queries are of learned virtual tokens: they stand before the sequence, and every row sees them.
    """
    if pack is None:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **more)
        return out, None
    prefix, before, outs = pack.prefix, key.shape[2] - query.shape[2], []
    for number, (start, end) in enumerate([(0, prefix), *pack.spans] if prefix else pack.spans, start=-bool(prefix)):
        ranges = [(before + start, before + end)]
        if number in pack.prompts:
            first, last = pack.spans[pack.prompts[number]]
            ranges.insert(0, (before + first, before + last))
        if common := before + (prefix if start else 0):
            ranges.insert(0, (0, common))
        key_1HSD, value_1HSD = (_joined(part, ranges) for part in (key, value))
        seen = key_1HSD.shape[2] - (end - start)
        mask_LS = _sight(end - start, seen, more.get("sliding_window"), query.device)
        span = (query[:, :, start:end], key_1HSD, value_1HSD, mask_LS)
        cap = more.get("softcap")
        outs.append(_capped(*span, scaling, cap) if cap else _plain(*span, scaling))
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous(), None


def _joined(part_1HTD: torch.Tensor, ranges: Sequence[tuple[int, int]]) -> torch.Tensor:
    pieces = [part_1HTD[:, :, start:end] for start, end in ranges]
    return torch.cat(pieces, dim=2) if len(pieces) > 1 else pieces[0]


def _plain(
    query_1NLD: torch.Tensor,
    key_1HSD: torch.Tensor,
    value_1HSD: torch.Tensor,
    mask_LS: torch.Tensor | None,
    scale: float | None,
) -> torch.Tensor:
    grouped, causal = query_1NLD.shape[1] != key_1HSD.shape[1], mask_LS is None
    return scaled_dot_product_attention(
        query_1NLD, key_1HSD, value_1HSD, attn_mask=mask_LS, is_causal=causal, scale=scale, enable_gqa=grouped
    )


def _capped(
    query_1NLD: torch.Tensor,
    key_1HSD: torch.Tensor,
    value_1HSD: torch.Tensor,
    mask_LS: torch.Tensor | None,
    scale: float | None,
    cap: float,
) -> torch.Tensor:
    """Attention whose scores are squeezed between -cap and cap, which torch has no fast kernel for."""
    group, own, size = query_1NLD.shape[1] // key_1HSD.shape[1], *query_1NLD.shape[2:]
    scores_1NLS = query_1NLD @ key_1HSD.repeat_interleave(group, 1).transpose(2, 3)
    scores_1NLS = torch.tanh(scores_1NLS * (size**-0.5 if scale is None else scale) / cap) * cap
    if mask_LS is None:
        mask_LS = torch.ones(own, own, dtype=torch.bool, device=query_1NLD.device).tril()
    weights_1NLS = scores_1NLS.masked_fill(~mask_LS, float("-inf")).softmax(-1)
    return weights_1NLS @ value_1HSD.repeat_interleave(group, 1)


def _sight(own: int, seen: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """Which of prefix and own tokens each own token sees; None: each sees those up to itself."""
    windowed = window is not None and own + seen > window
    if not (seen or windowed):
        return None
    mask_LS = torch.ones(own, seen + own, dtype=torch.bool, device=device).tril(seen)
    return mask_LS.triu(seen - window + 1) if window is not None and windowed else mask_LS


AttentionInterface.register(NAME, attend)
