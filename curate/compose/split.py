"""Splitting: groups go whole to train, val or test, each by a draw that depends on its name and the seed alone."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.compose.growing import find_beginnings
from curate.core.errors import DataError
from curate.core.manifest import SIDES, Side
from curate.core.rows.row_text import KEY_BYTES
from curate.core.seeding import stable_seed, stable_seeds
from curate.core.union_find import UnionFind
from curate.recipe.recipe import Split
from curate.table.chunk import ChunkRows
from curate.table.class_of_row import OWN_FIELDS, class_name, field_value
from curate.table.row_table import encoded_ids
from curate.table.selection import RowSelection

_GROUP, _PROMPT = "group\x00", "prompt\x00"
_DECIDED = 1 << 16  # rows whose sides are looked up at once
_ORDER: tuple[Side, ...] = ("test", "val", "train")  # of the numbers of sides
_SIDES_BY_NAME: dict[str, Side] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "development": "val", "eval": "val", "evaluation": "val", "test": "test", "testing": "test",
}  # fmt: skip
_DEVIATIONS = 4  # standard deviations, which rows drawn one by one pass once in 16,000 times
_SHOWN = 8  # names of rows and values, enough to see what they are


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


def split_rows(
    rows: RowSelection, settings: Split, seed: int, ties: Mapping[str, str], warnings: list[str] | None = None
) -> dict[Side, RowSelection]:
    """The rows of each side, in an order that depends on seed and ids alone. No group and no tie crosses sides.

    The draw of a group never changes, so adding rows moves no old one, except where a new row ties two groups
    together: then they follow the one whose draw is smaller; and a conversation follows the shortest row that it begins
    with. Shares are met on average, not to the row. Where the settings name a field, rows stand where it says, and what
    crosses sides is told.

    Args:
        rows: the rows.
        settings: the recipe's.
        seed: the recipe's, for settings without one.
        ties: for ids of rows that belong together what they share.
        warnings: takes sentences on sides that are not what was asked for.

    Raises: DataError where a row's field names no side.
    """
    warnings = warnings if warnings is not None else []
    draws, orders = rows.values(SideDraw(settings, seed)), rows.values(OrderDraw(settings, seed))
    tied = rows.find(ties.keys())
    tie_of = [ties[name] for name in rows.take(tied).ids()]
    grown = find_beginnings(rows)
    # Rows of one group have one draw, and no two groups have the same: it stands for the group.
    pairs = list(zip(draws[tied].tolist(), tie_of, strict=True))
    begun = list(zip(draws[list(grown)].tolist(), draws[list(grown.values())].tolist(), strict=True))
    merged = np.array(_merge(pairs, begun)).reshape(-1, 2)
    if settings.given is not None:
        side_of = _given_sides(rows, settings.given)
        warnings += _told_leaks(rows, _decided(draws, merged), side_of)
    else:
        # Test comes first, so that changing the share of val leaves test as it is.
        edges = np.array([settings.shares.test, settings.shares.test + settings.shares.val])
        side_of = np.empty(draws.size, np.uint8)
        for first in range(0, draws.size, _DECIDED):
            decided = _decided(draws[first : first + _DECIDED], merged)
            side_of[first : first + _DECIDED] = np.searchsorted(edges, decided, "right")
        _check(draws, side_of, dict(zip(tied.tolist(), tie_of, strict=True)), grown)
        if told := _told_shares(side_of, settings):
            sizes = np.unique(_decided(draws, merged), return_counts=True)[1]
            # What one set more or less on a side makes is no fault of the draw.
            warnings += [text for miss, text in told if miss > sizes.max()]
    del draws  # eight bytes a row
    order = _in_order(rows, orders)
    return {side: rows.take(order[side_of[order] == number]) for side, number in _numbered(SIDES)}


def _numbered(sides: Sequence[Side]) -> list[tuple[Side, int]]:
    return [(side, _ORDER.index(side)) for side in sides]


def _told_shares(side_of: NDArray[np.uint8], settings: Split) -> list[tuple[float, str]]:
    """By how many rows sides miss their shares that miss them by more than rows drawn one by one do, and a sentence."""
    told = []
    total = side_of.size
    for side, number in _numbered(SIDES):
        share, count = getattr(settings.shares, side), int((side_of == number).sum())
        miss = abs(count - share * total)
        if count and miss > _DEVIATIONS * math.sqrt(total * share * (1 - share)):
            text = f"{side} has {count} of {total} rows ({count / total:.1%}), and its share is {share:g}"
            told.append((miss, f"{text}: rows that belong together are many; other shares or another seed may do"))
    return told


def _given_sides(rows: RowSelection, field: str) -> NDArray[np.uint8]:
    """The number of the side that each row's field names. Raises: DataError where one names none."""
    by = field if field in OWN_FIELDS else f"meta.{field.removeprefix('meta.')}"
    names = [class_name(value) for value in map(field_value(by, {}), rows.rows)]
    number_of = {name: _ORDER.index(_SIDES_BY_NAME[name.strip().lower()]) for name in set(names) & _named(names)}
    if unknown := Counter(name for name in names if name not in number_of):
        seen = ", ".join(f"{name!r} {count}" for name, count in Counter(names).most_common(_SHOWN))
        more = f" and {len(set(names)) - _SHOWN} other values" if len(set(names)) > _SHOWN else ""
        raise DataError(
            f"{unknown.total()} of {len(names)} rows name no side in {by}; its values are {seen}{more}",
            where="split.from",
            fix=f"sides are called {', '.join(_SIDES_BY_NAME)}; name another field, or leave `from` out",
        )
    return np.array([number_of[name] for name in names], np.uint8)


def _named(names: Sequence[str]) -> set[str]:
    return {name for name in names if name.strip().lower() in _SIDES_BY_NAME}


def _told_leaks(rows: RowSelection, sets: NDArray[np.float64], side_of: NDArray[np.uint8]) -> list[str]:
    """A sentence on rows that belong together and stand on different sides; `sets` has one number for each set."""
    _, of = np.unique(sets, return_inverse=True)
    first, last = np.full(of.size, 9, np.uint8), np.zeros(of.size, np.uint8)
    np.minimum.at(first, of, side_of)
    np.maximum.at(last, of, side_of)
    torn = np.flatnonzero(first[of] != last[of])
    if not torn.size:
        return []
    counts = ", ".join(f"{int((side_of[torn] == number).sum())} in {side}" for side, number in _numbered(SIDES))
    names = ", ".join(rows.take(torn[:_SHOWN]).ids())
    return [
        f"{torn.size} rows belong to rows on another side of the split that is given ({counts}): they share a group or"
        f" a prompt, nearly say the same, or one begins with the other, so what is tested may be trained: {names}"
    ]


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


def _merge(pairs: Sequence[tuple[float, str]], begun: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each draw that others are connected with, the smallest first, and the draw that decides for all of these.

    That is the smallest of all draws that ties connect. But a conversation that goes on from another follows it:
    of many draws the smallest is often small, and long conversations would seldom be in train.

    Args:
        pairs: a draw and a tie of it, for each row that has one.
        begun: the draw of a row, and that of the row which it begins with.
    """
    sets = UnionFind[float]()
    first: dict[str, float] = {}
    for draw, tie in pairs:
        sets.join(draw, first.setdefault(tie, draw))
    for draw, start in begun:
        sets.join(draw, start)
    followers = {draw for draw, start in begun if draw != start}
    members = sets.all()
    decides: dict[float, float] = {}
    for draw in sorted(members, key=lambda draw: (draw in followers, draw)):
        decides.setdefault(members[draw], draw)
    return sorted((draw, decides[smallest]) for draw, smallest in members.items())


def _check(
    draws: NDArray[np.float64], side_of: NDArray[np.uint8], ties: Mapping[int, str], grown: Mapping[int, int]
) -> None:
    """Raises: RuntimeError where a group or a tie stands on two sides: that would be a fault of this module."""
    by_draw = np.argsort(draws)
    drawn, sides = draws[by_draw], side_of[by_draw]
    if ((drawn[1:] == drawn[:-1]) & (sides[1:] != sides[:-1])).any():
        raise RuntimeError("the split tears a group apart")
    seen: dict[str, int] = {}
    for at, tie in ties.items():
        if seen.setdefault(tie, int(side_of[at])) != side_of[at]:
            raise RuntimeError(f"the split tears {tie!r} apart at row {at}")
    if any(side_of[at] != side_of[start] for at, start in grown.items()):
        raise RuntimeError("the split tears a conversation from its beginning")
