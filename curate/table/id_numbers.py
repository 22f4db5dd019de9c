"""Numbers for ids: what repeats what is worked out on numbers, and few ids are text at a time."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from curate.table.rejections import Records
from curate.table.row_table import RowTable
from curate.table.selection import RowSelection

Numbers: TypeAlias = NDArray[np.int64] | NDArray[np.int32]


class IdNumbers:
    """Equal ids have equal numbers, from 0: for rows of a table, those of the first rows that have them."""

    def __init__(self, table: RowTable) -> None:
        self._rows = RowSelection.all_of(table)
        self._others: dict[str, int] = {}

    def of(self, records: Records) -> NDArray[np.int64]:
        """The number of each record's id, -1 for one that has none."""
        if isinstance(records, RowSelection) and records.table is self._rows.table:
            firsts = records.table.first_with_id()
            return records.numbers if firsts is None else firsts[records.numbers]
        named = records.ids()
        return np.where([name is None for name in named], -1, self.of_ids([name or "" for name in named]))

    def of_ids(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The number of each of these ids."""
        known: dict[str, int] = {}
        if ids:
            rows = self._rows.find(set(ids))
            for name, number in zip(self._rows.take(rows).ids(), rows.tolist(), strict=True):
                known.setdefault(name, number)
        others, total = self._others, len(self._rows)
        numbers = [known[name] if name in known else others.setdefault(name, total + len(others)) for name in ids]
        return np.array(numbers, np.int64)

    def isin(self, numbers: Numbers, others: Numbers) -> NDArray[np.bool_]:
        """Which of the numbers are among the others: a byte for each id, where numpy's own takes 40."""
        there = np.zeros(len(self._rows) + len(self._others), np.bool_)
        there[others] = True
        found: NDArray[np.bool_] = there[numbers]
        return found

    def ids(self, numbers: Numbers) -> list[str]:
        """The ids with these numbers."""
        total = len(self._rows)
        of_rows = numbers < total
        read = self._rows.take(numbers[of_rows].astype(np.int64)).ids()
        if of_rows.all():
            return read
        others, given = list(self._others), iter(read)
        return [next(given) if of_row else others[number - total]
                for of_row, number in zip(of_rows.tolist(), numbers.tolist(), strict=True)]  # fmt: skip
