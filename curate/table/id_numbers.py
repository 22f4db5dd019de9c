"""Numbers for ids: what repeats what is worked out on numbers, and few ids are text at a time."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from curate.table.row_ref import Entry
from curate.table.selection import Chosen, find, names, take

Numbers: TypeAlias = NDArray[np.int64] | NDArray[np.int32]


class Ids:
    """Equal ids have equal numbers, from 0: for rows that were read, those of the first rows that have them."""

    def __init__(self, several: Iterable[Sequence[Entry]]) -> None:
        """`several` are rows whose ids may be asked for; of one reading are those that stay on disk."""
        whole = next((some.whole for some in several if isinstance(some, Chosen)), None)
        self._read = whole.all() if whole is not None else None
        self._rows = 0 if self._read is None else len(self._read)
        self._others: dict[str, int] = {}

    def of(self, entries: Sequence[Entry]) -> NDArray[np.int64]:
        """The number of each entry's id."""
        if isinstance(entries, Chosen) and self._read is not None and entries.whole is self._read.whole:
            firsts = entries.whole.first_names()
            return entries.numbers if firsts is None else firsts[entries.numbers]
        return self.of_names(names(entries))

    def of_names(self, found: Sequence[str]) -> NDArray[np.int64]:
        """The number of each of these ids."""
        known: dict[str, int] = {}
        if self._read is not None and found:
            rows = find(self._read, set(found))
            for name, number in zip(names(take(self._read, rows)), rows.tolist(), strict=True):
                known.setdefault(name, number)
        numbers = [known[name] if name in known else self._other(name) for name in found]
        return np.array(numbers, np.int64)

    def _other(self, name: str) -> int:
        return self._others.setdefault(name, self._rows + len(self._others))

    def isin(self, numbers: Numbers, others: Numbers) -> NDArray[np.bool_]:
        """Which of the numbers are among the others: a byte for each id, where numpy's own takes 40."""
        there = np.zeros(self._rows + len(self._others), np.bool_)
        there[others] = True
        found: NDArray[np.bool_] = there[numbers]
        return found

    def names(self, numbers: Numbers) -> list[str]:
        """The ids with these numbers."""
        of_rows = numbers < self._rows
        read = names(take(self._read, numbers[of_rows].astype(np.int64))) if self._read is not None else []
        if of_rows.all():
            return read
        others, given = list(self._others), iter(read)
        return [next(given) if of_row else others[number - self._rows]
                for of_row, number in zip(of_rows.tolist(), numbers.tolist(), strict=True)]  # fmt: skip
