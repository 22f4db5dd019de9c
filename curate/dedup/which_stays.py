"""Which of several rows that repeat each other stays: an order that does not depend on where they stood."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row, encode_row
from curate.recipe.recipe import Dedup
from curate.table.row_ref import Entry
from curate.table.selection import first_names, known_ranks, names, take

UNNAMED = Dedup()
"""What a recipe without near duplicates goes by."""
_SIGNS = {"longest": -1.0, "shortest": 1.0}
_SORTED_IDS = 1 << 16  # ids that are in memory at once, and those of as many more rows as have one rank


def preference(settings: Dedup) -> Callable[[Entry], tuple[Any, ...]]:
    """A sort key: gold before synthetic, then by `prefer`, then by id and content; the smallest is kept."""
    ranks = ranking(settings)

    def key(entry: Entry) -> tuple[Any, ...]:
        known = entry.held.ranks(entry.at, settings)
        return (*(known if known is not None else ranks(entry.row)), entry.id, _Content(entry))

    return key


def in_order(entries: Sequence[Entry], settings: Dedup) -> NDArray[np.int64]:
    """The positions of the entries in order of preference; of entries that are equal in all, the earlier first."""
    if (first_names(entries) != np.arange(len(entries))).any():
        # The place in the list comes second, so that two rows that say the same are never compared themselves.
        key = preference(settings)
        return np.array([at for _, at in sorted((key(entry), at) for at, entry in enumerate(entries))], np.int64)
    ranks = known_ranks(entries, settings)
    if ranks is None:
        make = ranking(settings)
        made = [entry.held.ranks(entry.at, settings) or make(entry.row) for entry in entries]
        ranks = list(np.array(made, np.float64).reshape(len(entries), -1 if made else 0).T)
    order, differs = _by_ranks(ranks, len(entries))
    del ranks
    edges = np.flatnonzero(differs)
    first = 0
    while first < order.size:
        # Ids decide between equal ranks: those of whole groups, so many at a time that few are in memory.
        after = int(np.searchsorted(edges, first + _SORTED_IDS))
        last = int(edges[after]) if after < edges.size else order.size
        order[first:last] = _by_names(entries, order[first:last], np.cumsum(differs[first:last]))
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


def _by_names(entries: Sequence[Entry], positions: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The positions of some entries group by group, those of each in the order of their ids."""
    found = names(take(entries, positions))
    by_name = np.array(sorted(range(len(found)), key=found.__getitem__), np.int64)
    ordered: NDArray[np.int64] = positions[by_name[np.argsort(groups[by_name], kind="stable")]]
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


def ranks_of(
    settings: Dedup,
    lengths: NDArray[np.int64],
    is_synthetic: NDArray[np.bool_],
    rows: Mapping[int, Row],
    is_plain: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The numbers of `ranking` for many rows.

    `lengths` are their `text_lengths`; `rows` those, by number, that may have more than plain text (`is_plain`), an
    origin and messages.
    """
    chosen = [name for name in settings.prefer if name != "gold"]
    rank = ranking(settings)
    found = np.tile(np.array(rank(Row(id="", messages=[])), np.float64), (len(lengths), 1))
    found[:, 0] = is_synthetic
    for place, name in enumerate(chosen, start=1):
        if name in _SIGNS:
            found[:, place] = _SIGNS[name] * lengths[:, 0]
    for at, row in rows.items():
        if is_plain[at] and set(chosen) <= _SIGNS.keys():
            found[at, 0] = row.origin != "gold"
        else:
            found[at] = rank(row)  # lengths count tool calls, and preferences do not
    return found


class _Content:
    """A row's content as the last word between rows that are equal in all else: most are never asked for it.

    Of rows that say the same, the bytes that would be written decide: they need not be the same.
    """

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and self._bytes() == other._bytes()

    def __lt__(self, other: "_Content") -> bool:
        return self._bytes() < other._bytes()

    def _bytes(self) -> tuple[bytes, bytes]:
        return encode_row(self._entry.row), self._entry.line

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
