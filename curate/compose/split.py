"""Splitting: groups go whole to train, val or test, each by a draw that depends on its name and the seed alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.core.manifest import SIDES, Side
from curate.core.rows.row_text import KEY_BYTES
from curate.core.seeding import stable_seed, stable_seeds
from curate.core.union_find import UnionFind
from curate.recipe.recipe import Split
from curate.table.chunk import ChunkRows
from curate.table.row_table import encoded_ids
from curate.table.selection import RowSelection

_GROUP, _PROMPT = "group\x00", "prompt\x00"
_DECIDED = 1 << 16  # rows whose sides are looked up at once


@dataclass(frozen=True)
class SideDraw:
    """What decides a row's side, as a column: a draw from 0 to 1 of its group, or of its prompt where it has none."""

    settings: Split
    seed: int
    name: ClassVar[str] = "side_draw"

    def make(self, rows: ChunkRows) -> NDArray[np.float64]:
        """The draws of these rows, shape (n,)."""
        seed = _seed(self.settings, self.seed)
        prompts = rows.draw_keys.tobytes().hex().encode()
        ends = range(2 * KEY_BYTES, len(prompts) + 1, 2 * KEY_BYTES)
        draws = np.frombuffer(stable_seeds(seed, prompts, ends, _PROMPT), "<u8").astype(np.uint64)
        for at, group in rows.groups.items() if self.settings.by == "group" else ():
            draws[at] = stable_seed(seed, _GROUP + group)
        return draws / 2.0**64


@dataclass(frozen=True)
class OrderDraw:
    """What decides a row's place on its side, as a column: a number drawn from its id."""

    settings: Split
    seed: int
    name: ClassVar[str] = "order_draw"

    def make(self, rows: ChunkRows) -> NDArray[np.uint64]:
        """The draws of these rows, shape (n,)."""
        data, sizes = encoded_ids(rows.ids)
        draws = stable_seeds(_seed(self.settings, self.seed), data, np.cumsum(sizes).tolist())
        return np.frombuffer(draws, "<u8")


def split_rows(rows: RowSelection, settings: Split, seed: int, ties: Mapping[str, str]) -> dict[Side, RowSelection]:
    """The rows of each side, in an order that depends on seed and ids alone. No group and no tie crosses sides.

    The draw of a group never changes, so adding rows moves no old one, except where a new row ties two groups
    together: then they follow the one whose draw is smaller. Shares are met on average, not to the row.
    """
    draws, orders = rows.values(SideDraw(settings, seed)), rows.values(OrderDraw(settings, seed))
    tied = rows.find(ties.keys())
    tie_of = [ties[name] for name in rows.take(tied).ids()]
    # Rows of one group have one draw, and no two groups have the same: it stands for the group.
    merged = np.array(_merge(list(zip(draws[tied].tolist(), tie_of, strict=True)))).reshape(-1, 2)
    # Test comes first, so that changing the share of val leaves test as it is.
    edges = np.array([settings.shares.test, settings.shares.test + settings.shares.val])
    side_of = np.empty(draws.size, np.uint8)
    for first in range(0, draws.size, _DECIDED):
        decided = _decided(draws[first : first + _DECIDED], merged)
        side_of[first : first + _DECIDED] = np.searchsorted(edges, decided, "right")
    _check(draws, side_of, dict(zip(tied.tolist(), tie_of, strict=True)))
    del draws  # eight bytes a row
    order = _in_order(rows, orders)
    by_side = {"test": 0, "val": 1, "train": 2}
    return {side: rows.take(order[side_of[order] == by_side[side]]) for side in SIDES}


def _decided(draws: NDArray[np.float64], merged: NDArray[np.float64]) -> NDArray[np.float64]:
    """The draws that decide: of groups that are tied, that of the one they follow."""
    if not merged.size:
        return draws
    asked, given = merged.T
    found = np.minimum(np.searchsorted(asked, draws), asked.size - 1)
    return np.where(asked[found] == draws, given[found], draws)


def _in_order(rows: RowSelection, orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    order = np.argsort(orders, kind="stable")
    in_turn = orders[order]
    if (in_turn[1:] == in_turn[:-1]).any():
        ids = rows.ids()
        order = np.array(sorted(range(len(rows)), key=lambda at: (orders[at], ids[at])), np.int64)
    return order


def _seed(settings: Split, seed: int) -> int:
    return seed if settings.seed is None else settings.seed


def count_labels(sides: Mapping[Side, RowSelection]) -> dict[str, dict[str, int]]:
    """How many rows of each label each side has."""
    return {side: dict(sorted(rows.labels().items())) for side, rows in sides.items()}


def _merge(pairs: Sequence[tuple[float, str]]) -> list[tuple[float, float]]:
    """Each draw in the pairs, the smallest first, with the smallest of all draws that ties connect it with."""
    sets = UnionFind[float]()
    first: dict[str, float] = {}
    for draw, tie in pairs:
        sets.join(draw, first.setdefault(tie, draw))
    return sorted(sets.all().items())


def _check(draws: NDArray[np.float64], side_of: NDArray[np.uint8], ties: Mapping[int, str]) -> None:
    """Raises: RuntimeError where a group or a tie stands on two sides: that would be a fault of this module."""
    by_draw = np.argsort(draws)
    drawn, sides = draws[by_draw], side_of[by_draw]
    if ((drawn[1:] == drawn[:-1]) & (sides[1:] != sides[:-1])).any():
        raise RuntimeError("the split tears a group apart")
    seen: dict[str, int] = {}
    for at, tie in ties.items():
        if seen.setdefault(tie, int(side_of[at])) != side_of[at]:
            raise RuntimeError(f"the split tears {tie!r} apart at row {at}")
