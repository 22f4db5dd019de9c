"""Which of several rows that repeat each other stays: an order that does not depend on where they stood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, isnan
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row, encode_row
from curate.recipe.recipe import Dedup
from curate.table.chunk import ChunkRows
from curate.table.selection import RowRef, RowSelection

UNNAMED = Dedup()
"""What a recipe without near duplicates goes by."""
_SIGNS = {"longest": -1.0, "shortest": 1.0}
_SORTED_IDS = 1 << 16  # ids that are in memory at once, and those of as many more rows as have one rank


@dataclass(frozen=True)
class Ranks:
    """The numbers that rows are preferred by, as a column: shape (n, k), the smaller the better, the first decides."""

    settings: Dedup
    name: ClassVar[str] = "ranks"

    def make(self, rows: ChunkRows) -> NDArray[np.float64]:
        """The numbers of these rows."""
        chosen = [name for name in self.settings.prefer if name != "gold"]
        rank = ranking(self.settings)
        found = np.tile(np.array(rank(Row(id="", messages=[])), np.float64), (len(rows), 1))
        by_length = set(chosen) <= _SIGNS.keys()
        if rows.is_plain.any():
            found[:, 0] = rows.is_synthetic
            for place, name in enumerate(chosen, start=1):
                if name in _SIGNS:
                    found[:, place] = _SIGNS[name] * rows.lengths[:, 0]
        for at, row in rows.objects.items() if by_length else ():
            if rows.is_plain[at]:
                found[at, 0] = row.origin != "gold"
        # Lengths count tool calls, and preferences do not.
        odd = [at for at in rows.objects if not (rows.is_plain[at] and by_length)]
        if odd:
            found[odd] = [rank(rows.objects[at]) for at in odd]
        return found


def in_order(rows: RowSelection, settings: Dedup) -> NDArray[np.int64]:
    """The positions of the rows in order of preference: gold before synthetic, then by `prefer`, then by id.

    Of rows with one id and one rank what they say decides; of those that are equal in all, the earlier comes first.
    """
    ranks = rows.values(Ranks(settings))
    if (rows.first_with_id() != np.arange(len(rows))).any():
        found = zip(map(tuple, ranks.tolist()), rows, strict=True)
        # The place in the list comes second, so that two rows that say the same are never compared themselves.
        keys = [(*rank, row.id, _Content(row), at) for at, (rank, row) in enumerate(found)]
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
    order, differs = _by_ranks(list(ranks.T), len(rows))
    del ranks
    edges = np.flatnonzero(differs)
    first = 0
    while first < order.size:
        # Ids decide between equal ranks: those of whole groups, so many at a time that few are in memory.
        after = int(np.searchsorted(edges, first + _SORTED_IDS))
        last = int(edges[after]) if after < edges.size else order.size
        order[first:last] = _by_id(rows, order[first:last], np.cumsum(differs[first:last]))
        first = last
    return order


def _by_ranks(ranks: Sequence[NDArray[np.float64]], total: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The positions in the order of the ranks, and which of them differs in rank from the one before it."""
    telling = [one for one in ranks if (one != one[:1]).any()]
    order = np.lexsort(telling[::-1]) if telling else np.arange(total)
    differs = np.zeros(total, np.bool_)
    for one in telling:
        in_turn = one[order]
        differs[1:] |= in_turn[1:] != in_turn[:-1]
    return order, differs


def _by_id(rows: RowSelection, positions: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions of some rows group by group, those of each in the order of their ids."""
    found = rows.take(positions).ids()
    by_id = np.array(sorted(range(len(found)), key=found.__getitem__), np.int64)
    ordered: NDArray[np.int64] = positions[by_id[np.argsort(groups[by_id], kind="stable")]]
    return ordered


def ranking(settings: Dedup) -> Callable[[Row], tuple[float, ...]]:
    """The function that gives a row's numbers: 0 for gold, then those that `prefer` goes by, the smaller the better."""
    rules: dict[str, Callable[[Row], float]] = {
        "longest": lambda row: -_length(row),
        "shortest": _length,
        "newest": lambda row: -_time(_found(row, settings.newest_by)),
        "score": lambda row: -_number(_found(row, settings.score_by)),
    }
    chosen = [rules[name] for name in settings.prefer if name != "gold"]
    return lambda row: (float(row.origin != "gold"), *[float(rule(row)) for rule in chosen])


class _Content:
    """A row's content as the last word between rows that are equal in all else: most are never asked for it.

    Of rows that say the same, the bytes that would be written decide: they need not be the same.
    """

    __slots__ = ("_row",)

    def __init__(self, row: RowRef) -> None:
        self._row = row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and self._bytes() == other._bytes()

    def __lt__(self, other: "_Content") -> bool:
        return self._bytes() < other._bytes()

    def _bytes(self) -> tuple[bytes, bytes]:
        return encode_row(self._row.row), self._row.line

    __hash__ = None  # type: ignore[assignment]  # only ever compared


def _length(row: Row) -> int:
    sizes = [len(one.content) if isinstance(one.content, str) else len(one.text) for one in row.messages]
    return sum(sizes)


def _found(row: Row, path: str) -> Any:
    value: Any = row.meta
    for key in path.removeprefix("meta.").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> float:
    """The value as a number; what is none comes before every number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value):
        return -inf
    return float(value)


def _time(value: Any) -> float:
    """Seconds since 1970 of an ISO 8601 date, or the number itself; a date without a zone is taken as UTC."""
    if not isinstance(value, str):
        return _number(value)
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        return -inf
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
