# ruff: noqa: N803, N806 - a tensor's name ends in its shape
"""Attention for generating many answers at once: keys and values stay in place, a shared prompt prefix is stored once.

Prompts are read as one packed sequence, without padding; then every row goes on by one token at a time. Shapes: B rows,
T new tokens, S own tokens kept so far, P tokens of the shared prefix, H key heads, G query heads per key head, D head
size. What transformers does by default costs several times more here: it copies all keys for every query head and again
whenever the cache grows by one token.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from trainer.packing.attention import attend as attend_packed
from trainer.packing.pack import Pack

NAME = "acidtest_shared_prefix"
Prefix = list[tuple[torch.Tensor, torch.Tensor]]  # per layer: keys_1HPD, values_1HPD


class SlotCache(Cache):  # type: ignore[misc]  # transformers has no types
    """Keys and values of up to `rows` rows and `columns` tokens, allocated once and written in place.

        columns        0 1 2 3 4 | 5 6 7 ...
        row 0          p p p p p | a a a        p: the prompt behind the shared prefix
        row 1          . . p p p | a a a        a: the answer, a token a step
        row 2          . p p p p | a a a        .: never written, zero, and hidden by the mask

    Prompts end at the same column (shorter ones start later), so all rows write their next token to one column. Call
    `read` before a forward pass over prompts, and `step` before one that goes on by a token a row.
    """

    def __init__(self, rows: int, columns: int, prefix: Prefix | None = None) -> None:
        super().__init__(layers=[])
        self.rows = rows
        self.columns = columns
        self.prefix = prefix
        """What all rows share."""
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self._reads: list[tuple[int, slice, slice]] | None = None
        self._count = self._first = self._column = 0

    @property
    def shared(self) -> int:
        """How many tokens the prefix has."""
        return self.prefix[0][0].shape[2] if self.prefix else 0

    def read(self, reads: list[tuple[int, slice, slice]]) -> None:
        """The next forward pass reads a packed sequence of prompts.

        Args:
            reads: for each prompt its row, its columns in the cache, and its span in the sequence.
        """
        self._reads = reads

    def step(self, count: int, first: int, column: int) -> None:
        """The next forward pass goes on by one token in each of the first `count` rows.

        Args:
            count: how many rows take part.
            first: the first column that any of them looks at.
            column: where the new tokens' keys and values are written.
        """
        self._reads = None
        self._count, self._first, self._column = count, first, column

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values that the new tokens may look at, after storing theirs."""
        if layer_idx == len(self.keys):
            for kept, states in ((self.keys, key_states), (self.values, value_states)):
                kept.append(states.new_zeros(self.rows, states.shape[1], self.columns, states.shape[-1]))
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        if self._reads is None:
            keys[: self._count, :, self._column] = key_states[:, :, 0]
            values[: self._count, :, self._column] = value_states[:, :, 0]
            seen = slice(self._first, self._column + 1)
            return keys[: self._count, :, seen], values[: self._count, :, seen]
        for row, columns, span in self._reads:
            keys[row, :, columns] = key_states[0, :, span]
            values[row, :, columns] = value_states[0, :, span]
        if self.prefix is None:
            return key_states, value_states
        before = self.prefix[layer_idx]
        return torch.cat([before[0], key_states], dim=2), torch.cat([before[1], value_states], dim=2)

    def move(self, source: int, target: int, column: slice) -> None:
        """Copy a row's kept tokens over another row, in every layer."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, column] = tensor[source, :, column]

    def as_prefix(self) -> Prefix:
        """What one cached row holds, to be shared by others."""
        return list(zip(self.keys, self.values, strict=True))

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - transformers' signature
        """How many columns are filled."""
        return self._column


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
    attention_mask: torch.Tensor | None,
    *,
    pack: Pack | None = None,
    shared_prefix: Prefix | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention, out_BTND, over the shared prefix and the rows' own tokens; query_BNTD with N = H G.

    `pack` says which tokens belong together where prompts are read: then the prefix's keys stand before the others.
    Where each row goes on by one token, `attention_mask` is added to the scores of its own.
    """
    if pack is not None:
        return attend_packed(module, query, key, value, None, pack=pack, **more)
    if attention_mask is None:
        raise ValueError("one step of decoding needs its mask")
    prefix = shared_prefix[module.layer_idx] if shared_prefix else None
    scale = query.shape[-1] ** -0.5 if more.get("scaling") is None else more["scaling"]
    return _attend_one(query, key, value, attention_mask, scale, prefix), None


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
