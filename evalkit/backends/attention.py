# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""Attention for generating many answers at once: keys and values stay in place, a shared prompt prefix is stored once.

Shapes: B rows, T new tokens, S own tokens kept so far, P tokens of the shared prefix, H key heads, G query heads per
key head, D head size. What transformers does by default costs several times more here: it copies all keys for every
query head and again whenever the cache grows by one token.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.cache_utils import Cache

NAME = "acidtest_shared_prefix"
Prefix = list[tuple[torch.Tensor, torch.Tensor]]  # per layer: keys_1HPD, values_1HPD


class SlotCache(Cache):  # type: ignore[misc]  # transformers has no types
    """Keys and values of up to `rows` rows and `columns` tokens, allocated once and written in place.

    Prompts end at the same column (shorter ones start later), so all rows write their next token to one column.
    `place` says where the next forward pass writes.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(layers=[])
        self.rows = rows
        self.columns = columns
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self._row = slice(0, rows)
        self._column = slice(0, 0)
        self._seen_from: int | None = None

    def place(self, row: slice, column: slice, seen_from: int | None = None) -> None:
        """Write next to these rows and columns; a decoding step sees its rows' columns from `seen_from` on."""
        self._row, self._column, self._seen_from = row, column, seen_from

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values that the new tokens may look at, after storing theirs."""
        if layer_idx == len(self.keys):
            for kept, states in ((self.keys, key_states), (self.values, value_states)):
                kept.append(states.new_empty(self.rows, states.shape[1], self.columns, states.shape[-1]))
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        keys[self._row, :, self._column] = key_states
        values[self._row, :, self._column] = value_states
        if self._seen_from is None:
            return key_states, value_states
        seen = slice(self._seen_from, self._column.stop)
        return keys[self._row, :, seen], values[self._row, :, seen]

    def move(self, source: int, target: int, column: slice) -> None:
        """Copy a row's kept tokens over another row, in every layer."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, column] = tensor[source, :, column]

    def as_prefix(self) -> Prefix:
        """What one cached row holds, to be shared by others."""
        return list(zip(self.keys, self.values, strict=True))

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - transformers' signature
        """How many columns are filled."""
        return int(self._column.start)


@contextmanager
def shared_prefix_attention(model: Any) -> Iterator[None]:
    """Within the block, `model` attends through this module."""
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    shared_prefix: Prefix | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention, out_BTND, over the shared prefix and the rows' own tokens; query_BNTD with N = H G.

    `attention_mask` is boolean, over prefix and own tokens, where prompts are read; additive, over own tokens, where
    each row goes on by one token.
    """
    prefix = shared_prefix[module.layer_idx] if shared_prefix else None
    if attention_mask.dtype != torch.bool:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return _attend_one(query, key, value, attention_mask, scale, prefix), None
    if prefix:
        rows = key.shape[0]
        key = torch.cat([prefix[0].expand(rows, -1, -1, -1), key], dim=2)
        value = torch.cat([prefix[1].expand(rows, -1, -1, -1), value], dim=2)
    grouped = query.shape[1] != key.shape[1]
    out_BNTD = scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=grouped
    )
    return out_BNTD.transpose(1, 2).contiguous(), None


def _attend_one(
    query_BN1D: torch.Tensor,
    key_BHSD: torch.Tensor,
    value_BHSD: torch.Tensor,
    mask_B11S: torch.Tensor,
    scale: float,
    prefix: tuple[torch.Tensor, torch.Tensor] | None,
) -> torch.Tensor:
    """One token per row, out_B1ND. One softmax spans prefix and own tokens, so sharing changes no result.

    The prefix is read once for all rows: its part is one matrix product per key head, not one per row.
    """
    rows, heads = query_BN1D.shape[0], key_BHSD.shape[1]
    group, size = query_BN1D.shape[1] // heads, query_BN1D.shape[-1]
    query_BHGD = query_BN1D.view(rows, heads, group, size) * scale
    own_BHGS = query_BHGD @ key_BHSD.transpose(2, 3) + mask_B11S
    if prefix is None:
        out_BHGD = own_BHGS.softmax(-1) @ value_BHSD
    else:
        prefix_key_HPD, prefix_value_HPD = prefix[0][0], prefix[1][0]
        length = prefix_key_HPD.shape[1]
        query_HbD = query_BHGD.transpose(0, 1).reshape(heads, rows * group, size)  # b: rows and groups together
        shared_HbP = query_HbD @ prefix_key_HPD.transpose(1, 2)
        shared_BHGP = shared_HbP.view(heads, rows, group, length).transpose(0, 1)
        weight = torch.cat([shared_BHGP, own_BHGS], dim=-1).softmax(-1)
        weight_HbP = weight[..., :length].transpose(0, 1).reshape(heads, rows * group, length)
        shared_out_HbD = weight_HbP @ prefix_value_HPD
        out_BHGD = weight[..., length:] @ value_BHSD
        out_BHGD = out_BHGD + shared_out_HbD.view(heads, rows, group, -1).transpose(0, 1)
    return out_BHGD.reshape(rows, 1, heads * group, -1)


AttentionInterface.register(NAME, attend)
