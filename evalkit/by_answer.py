"""Which answers and scores are about which item and contender, without holding any of them."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from curate.core.rows.row import Row
from evalkit.records import Generation, Score

T = TypeVar("T", Generation, Score)


class ByAnswer(Generic[T]):
    """Entries of a sequence by item and contender, in their order, read when they are asked for."""

    def __init__(self, entries: Sequence[T], items: Sequence[Row], contenders: Sequence[str]) -> None:
        self._entries: Sequence[T] = entries
        self._count = len(items)
        self._first = {name: place * self._count for place, name in enumerate(contenders)}
        places = {item.id: place for place, item in enumerate(items)}
        # Each pair of contender and item is a number; what is about neither counts behind all of them.
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
        """What is about the item at this place, and this contender."""
        pair = self._first[contender] + item
        order = self._order[self._starts[pair] : self._starts[pair + 1]].tolist()
        if order and order[-1] - order[0] == len(order) - 1:
            return list(self._entries[order[0] : order[-1] + 1])  # side by side, as they mostly are: read at once
        return [self._entries[place] for place in order]
