"""Answers or scores looked up by item and contender, in lists that are too long for memory."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from curate.core.rows.row import Row
from evalkit.records.lines import Generation, Score

T = TypeVar("T", Generation, Score)


class ByItemAndContender(Generic[T]):
    """Entries of a sequence by item and contender, in their order, read when they are asked for.

    Every pair of a contender and an item has a number; entries about neither count behind all of them. With two
    contenders and three items:

        contender   a a a b b b   neither
        item        0 1 2 0 1 2
        pair        0 1 2 3 4 5   6

    `_order` holds the entries' places sorted by pair, `_starts` where each pair begins in it: 8 bytes an entry.
    """

    def __init__(self, entries: Sequence[T], items: Sequence[Row], contenders: Sequence[str]) -> None:
        self._entries: Sequence[T] = entries
        self._count = len(items)
        self._first = {name: place * self._count for place, name in enumerate(contenders)}
        places = {item.id: place for place, item in enumerate(items)}
        other = len(contenders) * self._count
        pairs = np.fromiter(
            (
                self._first[entry.contender] + places[entry.item]
                if entry.contender in self._first and entry.item in places
                else other
                for entry in entries
            ),
            np.int64,
            len(entries),
        )
        self._order = np.argsort(pairs, kind="stable")
        self._starts = np.searchsorted(pairs[self._order], np.arange(other + 1))

    def of(self, item: int, contender: str) -> list[T]:
        """The entries about one contender's answers to one item.

        Args:
            item: the place of the item in the list that this was made with.
        """
        pair = self._first[contender] + item
        order = self._order[self._starts[pair] : self._starts[pair + 1]].tolist()
        if order and order[-1] - order[0] == len(order) - 1:
            return list(self._entries[order[0] : order[-1] + 1])  # side by side, as they mostly are: read at once
        return [self._entries[place] for place in order]
