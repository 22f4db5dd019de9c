"""Some rows of a table, in any order: what stages take and return."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row
from curate.table.chunk import ChunkRows, ColumnMaker
from curate.table.row_table import NO_VALUE, Place, RowTable

_AT_ONCE = 4096  # rows whose ids are read together
_BLOCK_BYTES = 8 << 20  # lines that are written together: enough that what a block costs doesn't count


class RowRef:
    """One row where it is talked about: a table and the row's number in it. What it says is read when asked for."""

    __slots__ = ("id", "number", "table")

    def __init__(self, table: RowTable, number: int, id: str) -> None:
        self.table, self.number, self.id = table, number, id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RowRef):
            return NotImplemented
        return self.place == other.place and self.raw == other.raw and self.line == other.line

    __hash__ = None  # type: ignore[assignment]  # rows are told apart by their numbers, or by their ids

    def __repr__(self) -> str:
        return f"RowRef({self.number}, {self.id!r}, {self.place})"

    @property
    def row(self) -> Row:
        """The row, decoded anew each time: ask once, and ask `id` and the like where they do."""
        return self.table.row(self.number)

    @property
    def place(self) -> Place:
        """Where the record stood."""
        return self.table.place(self.number)

    @property
    def raw(self) -> bytes:
        """The bytes of the record."""
        return self.table.raw(self.number)

    @property
    def line(self) -> bytes:
        """The row as a dataset's line, without its end."""
        return self.table.line(self.number)

    @property
    def label(self) -> str | None:
        """The row's label."""
        return self.table.label(self.number)

    @property
    def group(self) -> str | None:
        """The row's group."""
        return self.table.group(self.number)


class RowObjects(Sequence[Row]):
    """The rows of a selection as objects, each decoded when it is asked for."""

    def __init__(self, table: RowTable, numbers: NDArray[np.int64]) -> None:
        self._table, self._numbers = table, numbers

    def __len__(self) -> int:
        return self._numbers.size

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> "RowObjects": ...
    def __getitem__(self, at: int | slice) -> "Row | RowObjects":
        if isinstance(at, slice):
            return RowObjects(self._table, self._numbers[at])
        return self._table.row(int(self._numbers[at]))

    def __iter__(self) -> Iterator[Row]:
        return map(self._table.row, self._numbers.tolist())


class RowSelection(Sequence[RowRef]):
    """Rows of `table`: those with these `numbers`, an array of shape (n,), in this order."""

    __slots__ = ("numbers", "table")

    def __init__(self, table: RowTable, numbers: NDArray[np.int64]) -> None:
        self.table, self.numbers = table, numbers

    @classmethod
    def all_of(cls, table: RowTable) -> "RowSelection":
        """Every row of a table."""
        return cls(table, np.arange(len(table)))

    @classmethod
    def of_rows(cls, rows: Sequence[Row], source: str, path: str, table: RowTable | None = None) -> "RowSelection":
        """Rows that are made here, as records of this source on the lines of this path."""
        table = table if table is not None else RowTable()
        return cls(table, table.append_rows(rows, own_record=True, place=Place(source, path, 1, 0)))

    def __len__(self) -> int:
        return self.numbers.size

    @overload
    def __getitem__(self, at: int) -> RowRef: ...
    @overload
    def __getitem__(self, at: slice) -> "RowSelection": ...
    def __getitem__(self, at: int | slice) -> "RowRef | RowSelection":
        if isinstance(at, slice):
            return RowSelection(self.table, self.numbers[at])
        number = int(self.numbers[at])
        return RowRef(self.table, number, self.table.id(number))

    def __iter__(self) -> Iterator[RowRef]:
        for first in range(0, len(self), _AT_ONCE):
            some = self.numbers[first : first + _AT_ONCE]
            for number, name in zip(some.tolist(), self.table.ids(some), strict=True):
                yield RowRef(self.table, number, name)

    def take(self, positions: Any) -> "RowSelection":
        """The rows at these positions (an array or a list), or those that a mask of shape (n,) chooses."""
        chosen = np.asarray(positions)
        return RowSelection(self.table, self.numbers[chosen if chosen.size else chosen.astype(np.int64)])

    def without(self, positions: Any) -> "RowSelection":
        """The rows but those at these positions."""
        stays = np.ones(len(self), np.bool_)
        stays[np.asarray(positions, np.int64)] = False
        return RowSelection(self.table, self.numbers[stays])

    def followed_by(self, *others: "RowSelection") -> "RowSelection":
        """These rows, then those of other selections of the same table."""
        return RowSelection(self.table, np.concatenate([self.numbers, *(other.numbers for other in others)]))

    def changed(self, positions: Sequence[int], rows: Sequence[Row], *, own_record: bool) -> "RowSelection":
        """These rows with others in the place of those at some positions, derived from them.

        `own_record`: is what a new row is written as its record too? Else its record is that of the row it replaces.
        """
        if not positions:
            return self
        numbers = self.numbers.copy()
        at = np.array(positions, np.int64)
        numbers[at] = self.table.append_rows(rows, self.numbers[at], own_record=own_record)
        return RowSelection(self.table, numbers)

    def positions_outside(self, others: "RowSelection") -> NDArray[np.int64]:
        """The positions of the rows that are not among the others."""
        return np.flatnonzero(~np.isin(self.numbers, others.numbers))

    def positions_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the rows with these numbers stand, -1 for those that don't."""
        order = np.argsort(self.numbers, kind="stable")
        if not order.size:
            return np.full(numbers.size, -1)
        at = order[np.minimum(np.searchsorted(self.numbers[order], numbers), order.size - 1)]
        found: NDArray[np.int64] = np.where(self.numbers[at] == numbers, at, -1)
        return found

    def given(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers, where they are of others those of the rows among these that the others are derived from."""
        found: NDArray[np.int64] = np.where(
            np.isin(numbers, self.numbers), numbers, self.table.column("derived_from")[numbers]
        )
        return found

    def find(self, ids: Collection[str]) -> NDArray[np.int64]:
        """The positions of the rows with these ids."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        at = np.flatnonzero(np.isin(self.column("id_hash"), hashes))
        return at[[name in ids for name in self.table.ids(self.numbers[at])]] if at.size else at

    def ids(self) -> list[str]:
        """The id of each."""
        return self.table.ids(self.numbers)

    @property
    def rows(self) -> RowObjects:
        """The rows as objects."""
        return RowObjects(self.table, self.numbers)

    def column(self, name: str) -> NDArray[Any]:
        """A column of the table for these rows: shape (n,) or (n, k)."""
        found: NDArray[Any] = self.table.column(name)[self.numbers]
        return found

    def values(self, maker: ColumnMaker) -> NDArray[Any]:
        """What the maker makes of these rows: the column made while reading, where there is one, else made now."""
        return self.column(maker.name) if self.table.has(maker) else maker.make(ChunkRows(list(self.rows)))

    def first_with_id(self) -> NDArray[np.int64]:
        """For each row the position of the first that has its id."""
        firsts = self.table.first_with_id()
        numbers = self.numbers if firsts is None else firsts[self.numbers]
        there = np.zeros(len(self.table), np.bool_)
        there[numbers] = True
        if there.sum() == numbers.size:
            return np.arange(numbers.size)
        _, at, of = np.unique(numbers, return_index=True, return_inverse=True)
        found: NDArray[np.int64] = at[of]
        return found

    def labels(self) -> Counter[str]:
        """How many rows have which label, in the order in which the labels come."""
        numbers, firsts, counts = np.unique(self.column("label"), return_index=True, return_counts=True)
        found: Counter[str] = Counter()
        for at in np.argsort(firsts).tolist():
            found[(self.table.labels[numbers[at]] if numbers[at] >= 0 else "") or NO_VALUE] += int(counts[at])
        return found

    @property
    def is_labelled(self) -> bool:
        """Has any of the rows a label?"""
        return bool((self.column("label") >= 0).any())

    def by_source(self) -> dict[str, NDArray[np.int64]]:
        """The positions of the rows of each source."""
        sources = self.table.sources
        known = {name: number for number, name in enumerate(dict.fromkeys(sources))}
        of_file = np.array([known[name] for name in sources] or [0], np.int64)
        found = of_file[self.column("file")]
        return {name: at for name, number in known.items() if (at := np.flatnonzero(found == number)).size}

    def places(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """Paths, which of them is each row's, and its line there."""
        return self.table.paths, self.column("file"), self.column("line")

    def offsets(self) -> NDArray[np.int64]:
        """The byte offset of each row's record in its file."""
        return self.column("offset")

    def raws(self) -> list[bytes]:
        """The bytes of each row's record."""
        return self.table.raws(self.numbers)

    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each row's record has."""
        return self.column("raw_size")

    def blocks(self) -> Iterator[bytes]:
        """The rows as a dataset's lines with their ends, many at a time."""
        written = self.column("line_size")
        ends = np.cumsum(np.where(written, written, self.column("raw_size")) + 1)
        first = 0
        while first < ends.size:
            limit = _BLOCK_BYTES + (ends[first - 1] if first else 0)
            last = max(first + 1, int(np.searchsorted(ends, limit, "right")))
            yield b"\n".join([*self.table.lines(self.numbers[first:last]), b""])
            first = last
