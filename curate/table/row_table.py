"""All rows of a job in one table: append-only columns, and the bytes that rows are read from when one is asked for.

    number  id   file line offset  raw_start ...  label  row_key  order_draw  derived_from
    0       a7   0    1    0       0              0      ...      ...         0
    1       c2   0    2    412     412            1                           1
    ...
    n       a7   0    1    0       0              0                           0     <- row 0, repaired by a stage

A row that a stage makes of another is a new row of the same table, with the place of the one it is derived from. So a
stage takes some numbers and returns some numbers. Columns are spooled: of millions of rows, what is in memory is what
is asked for.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row, encode_rows
from curate.core.rows.row_text import first_of_equal
from curate.table.byte_store import ByteSpool, ByteStore
from curate.table.chunk import NO_MAKERS, ChunkColumns, ChunkRows, ColumnMaker, Makers, PackMaker, make_columns

NO_VALUE = "(none)"
_FEW_BYTES = 1 << 20  # of a column; a small dataset touches no disk but for its output
_decode = msgspec.json.Decoder(Row).decode
_OF_PLACES = ("file", "line", "offset")
_OF_RECORDS = ("raw_start", "raw_size")


class Place(msgspec.Struct, frozen=True):
    """Where a record stands: the source, the path as the recipe words it, the line from 1, the byte offset from 0."""

    source: str
    path: str
    line: int
    offset: int


class _File(msgspec.Struct, frozen=True):
    """Where rows came from: their source, the path as the recipe words it, and what their records are read from."""

    source: str
    path: str
    raws: Any


class TextNumbers:
    """Numbers for texts of which there are few: a text's number is how many others came before it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._known: dict[str, int] = {}

    def of(self, texts: Iterable[str | None]) -> NDArray[np.int32]:
        """The number of each text, -1 for None."""
        known = self._known
        numbers = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
        self.texts += list(known)[len(self.texts) :]
        return np.array(numbers, np.int32)


class RowTable:
    """Rows with their columns. `makers` say which columns there are beside those that every table has.

    Every table has `row_key`, `prompt_key` (n, KEY_BYTES), `lengths` (n, 2) and, of shape (n,), `is_made` (does the row
    say which seed it was made from?), `file`, `line`, `offset`, `raw_start`, `raw_size`, `line_start`, `line_size`,
    `label`, `group`, `id_start`, `id_size`, `id_hash` and `derived_from`.
    """

    def __init__(self, makers: Makers = NO_MAKERS, spool: ByteSpool | None = None) -> None:
        self.makers = makers
        self.spool = spool if spool is not None else ByteSpool()
        self._files: list[_File] = []
        self._rows = 0
        self._labels, self._groups = TextNumbers(), TextNumbers()
        self._ids = ByteSpool(_FEW_BYTES)
        self._columns: dict[str, ByteSpool] = {}
        self._kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self._views: dict[str, NDArray[Any]] = {}
        self._packs: dict[str, list[tuple[int, int, int]]] = {maker.name: [] for maker in makers.packs}
        self._firsts: NDArray[np.int64] | None = None
        self._take_in(_columns_of([], makers, self.spool), np.empty(0, np.int64))

    def __len__(self) -> int:
        return self._rows

    def append(
        self, chunk: ChunkColumns, source: str, path: str, raws: ByteStore | None = None, first_line: int = 0
    ) -> NDArray[np.int64]:
        """Take in the rows of a chunk and return their numbers.

        `raws` is what their records are read from, the table's spool where left out; `first_line` is how many lines
        of the file stand before the chunk.
        """
        numbers = np.arange(self._rows, self._rows + len(chunk.ids))
        columns = chunk.columns
        columns["line"] = columns["line"] + first_line
        columns["file"] = np.full(numbers.size, self._file(source, path, raws), np.int32)
        self._take_in(chunk, numbers)
        return numbers

    def append_rows(
        self,
        rows: Sequence[Row],
        derived_from: NDArray[np.int64] | None = None,
        *,
        own_record: bool,
        place: Place | None = None,
    ) -> NDArray[np.int64]:
        """Take in rows that are made here and return their numbers.

        Args:
            rows: the rows.
            derived_from: the numbers of the rows that they are made of, whose place they keep.
            own_record: is what they are written as their record too? Else it is that of the row they are made of.
            place: where rows stand that are made of none: of the first of them, the others on the lines after it.
        """
        first = self._rows
        chunk = _columns_of(rows, self.makers, self.spool)
        columns, size = chunk.columns, len(rows)
        if derived_from is None:
            assert place is not None
            file = self._file(place.source, place.path, None)
            columns["file"] = np.full(size, file, np.int32)
            columns["line"], columns["offset"] = (np.arange(size) + start for start in (place.line, place.offset))
            derived_from = np.arange(first, first + size)
        else:
            columns |= {name: self.column(name)[derived_from] for name in _OF_PLACES}
            if own_record:
                files, of = np.unique(columns["file"], return_inverse=True)
                ours = [self._file(self._files[at].source, self._files[at].path, None) for at in files.tolist()]
                columns["file"] = np.array(ours, np.int32)[of]
        if not own_record:
            lines = columns["raw_start"], columns["raw_size"]
            columns |= {name: self.column(name)[derived_from] for name in _OF_RECORDS}
            columns["line_start"], columns["line_size"] = lines
        self._take_in(chunk, derived_from)
        return np.arange(first, self._rows)

    def _take_in(self, chunk: ChunkColumns, derived_from: NDArray[np.int64]) -> None:
        data, sizes = encoded_ids(chunk.ids)
        start = self._ids.add(data)
        columns = {
            **chunk.columns,
            "id_start": np.cumsum(sizes) - sizes + start,
            "id_size": sizes,
            "id_hash": np.fromiter(map(hash, chunk.ids), np.int64, sizes.size),
            "derived_from": derived_from,
            "label": _numbered(chunk.labels, self._labels, sizes.size),
            "group": _numbered(chunk.groups, self._groups, sizes.size),
        }
        for name, column in columns.items():
            self._kinds[name] = column.dtype, column.shape[1:]
            self._columns.setdefault(name, ByteSpool(_FEW_BYTES)).add(column.tobytes())
        for name, (at, size) in chunk.packs.items() if sizes.size else ():
            self._packs[name].append((sizes.size, at, size))
        self._rows += sizes.size
        self._views.clear()
        self._firsts = None

    def _file(self, source: str, path: str, raws: ByteStore | None) -> int:
        found = _File(source, path, raws if raws is not None else self.spool)
        for number in range(len(self._files) - 1, -1, -1):
            known = self._files[number]
            if known.source == source and known.path == path and known.raws is found.raws:
                return number
        self._files.append(found)
        return len(self._files) - 1

    def column(self, name: str) -> NDArray[Any]:
        """A column through all rows: shape (rows,) or (rows, k)."""
        if name not in self._views:
            kind, shape = self._kinds[name]
            self._views[name] = self._columns[name].view().view(kind).reshape(-1, *shape)
        return self._views[name]

    def has(self, maker: ColumnMaker) -> bool:
        """Is there a column by this maker?"""
        return maker in self.makers.columns

    def packs(self, maker: PackMaker) -> list[tuple[int, int, int]] | None:
        """For each chunk its number of rows, and start and size in the spool of what the maker made; None without."""
        return self._packs[maker.name] if maker in self.makers.packs else None

    @property
    def sources(self) -> list[str]:
        """The source of each number in the column `file`."""
        return [file.source for file in self._files]

    @property
    def paths(self) -> list[str]:
        """The path of each number in the column `file`."""
        return [file.path for file in self._files]

    @property
    def labels(self) -> list[str]:
        """The label of each number in the column `label`, from 0."""
        return self._labels.texts

    def ids(self, numbers: NDArray[np.int64]) -> list[str]:
        """The ids of these rows."""
        data, ends = self.id_bytes(numbers)
        places = pairwise([0, *ends.tolist()])
        if not data.isascii():
            return [data[first:last].decode("utf-8", "surrogatepass") for first, last in places]
        text = data.decode("ascii")
        return [text[first:last] for first, last in places]

    def id_bytes(self, numbers: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
        """The ids of these rows in UTF-8, one behind the other, and where each ends."""
        starts, sizes = self.column("id_start")[numbers], self.column("id_size")[numbers]
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if ends.size else 0
        # Where each byte stands: the start of its id, and how far it is behind the first byte of that one here.
        return self._ids.view()[np.repeat(starts - ends + sizes, sizes) + np.arange(total)].tobytes(), ends

    def first_with_id(self) -> NDArray[np.int64] | None:
        """For each row the number of the first that has its id; None where all ids differ."""
        if self._firsts is None:
            # Equal ids have equal hashes: where those differ, no id has to be looked at.
            hashes, self._firsts = np.sort(self.column("id_hash")), np.empty(0, np.int64)
            if (hashes[1:] == hashes[:-1]).any():
                self._firsts = first_of_equal(self.column("id_hash").view(np.uint64), self.ids)
        return self._firsts if self._firsts.size else None

    def id(self, number: int) -> str:
        """A row's id."""
        start, size = int(self.column("id_start")[number]), int(self.column("id_size")[number])
        return self._ids.read(start, size).decode("utf-8", "surrogatepass")

    def row(self, number: int) -> Row:
        """A row, decoded anew each time."""
        return _decode(self.line(number))

    def raw(self, number: int) -> bytes:
        """The bytes of a row's record."""
        raws: ByteStore = self._files[int(self.column("file")[number])].raws
        return raws.read(int(self.column("raw_start")[number]), int(self.column("raw_size")[number]))

    def raws(self, numbers: NDArray[np.int64]) -> list[bytes]:
        """The bytes of these rows' records."""
        stores: list[ByteStore] = [file.raws for file in self._files]
        columns = (self.column(name)[numbers].tolist() for name in ("file", *_OF_RECORDS))
        return [stores[file].read(start, size) for file, start, size in zip(*columns, strict=True)]

    def line(self, number: int) -> bytes:
        """A row as a dataset's line: the bytes it came in where they say just this, else as we write it."""
        size = int(self.column("line_size")[number])
        return self.spool.read(int(self.column("line_start")[number]), size) if size else self.raw(number)

    def lines(self, numbers: NDArray[np.int64]) -> list[bytes | memoryview]:
        """These rows as a dataset's lines, without line ends."""
        stores: list[ByteStore] = [file.raws for file in self._files]
        columns = (self.column(name)[numbers].tolist() for name in ("file", *_OF_RECORDS, "line_start", "line_size"))
        written = self.spool.view().data
        return [
            written[line_start : line_start + line_size] if line_size else stores[file].read(start, size)
            for file, start, size, line_start, line_size in zip(*columns, strict=True)
        ]

    def place(self, number: int) -> Place:
        """Where a row's record stood."""
        file = self._files[int(self.column("file")[number])]
        return Place(file.source, file.path, int(self.column("line")[number]), int(self.column("offset")[number]))

    def label(self, number: int) -> str | None:
        """A row's label."""
        found = int(self.column("label")[number])
        return None if found < 0 else self._labels.texts[found]

    def group(self, number: int) -> str | None:
        """A row's group."""
        found = int(self.column("group")[number])
        return None if found < 0 else self._groups.texts[found]


def encoded_ids(ids: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    """The ids in UTF-8, one behind the other, and how many bytes each has."""
    whole = "".join(ids)
    if whole.isascii():
        return whole.encode(), np.array(list(map(len, ids)), np.int64)
    each = [name.encode("utf-8", "surrogatepass") for name in ids]
    return b"".join(each), np.array(list(map(len, each)), np.int64)


def _numbered(texts: Any, numbers: TextNumbers, rows: int) -> NDArray[np.int32]:
    """The numbers of texts that are given by position, -1 for rows that have none."""
    found = np.full(rows, -1, np.int32)
    if texts:
        found[list(texts)] = numbers.of(texts.values())
    return found


def _columns_of(rows: Sequence[Row], makers: Makers, spool: ByteSpool) -> ChunkColumns:
    """Rows that are objects as columns; what they are written as goes into the spool, as their record."""
    made = ChunkRows(rows)
    columns, packs = make_columns(made, makers, spool)
    written = encode_rows(rows)
    ends = np.flatnonzero(np.frombuffer(written, np.uint8) == ord("\n"))  # JSON escapes those within
    sizes = np.diff(ends, prepend=-1) - 1
    none = np.zeros(len(rows), np.int64)
    columns |= {"raw_start": ends - sizes + spool.add(written), "raw_size": sizes, "file": none.astype(np.int32)}
    columns |= dict.fromkeys(("line", "offset", "line_start", "line_size"), none)
    return ChunkColumns(made.ids, made.labels, made.groups, columns, packs)
