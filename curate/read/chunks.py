"""Pieces of input files, read in processes of their own: from bytes to columns, the same for any number of them."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from curate.core.console import progress
from curate.core.errors import DataError, os_errors
from curate.core.rows.row import Message, Row, encode_row
from curate.core.worker_processes import Workers, workers
from curate.files.records import MAX_LINE_BYTES, Input, Record, is_plain_lines, read_json_lines, read_records
from curate.read.chunk_columns import Working, Workpiece
from curate.read.chunk_lines import Lines
from curate.read.record_to_row import Adapter, Joined
from curate.read.sources import load_adapter, load_joined, make_reader, pinned
from curate.recipe.recipe import Source
from curate.table.byte_store import Shelved, SourceBytes, Spool
from curate.table.row_ref import Context, Entry, Rejection
from curate.table.row_table import Batch, Columns
from curate.table.selection import Chosen, Whole

# Large enough that handing a piece over costs nothing, small enough that what is made of it stays in a core's cache.
_PIECE_BYTES = 1 << 20
_PIECE_RECORDS = 8192
_POOL_BYTES = 16 << 20  # starting processes takes as long as reading this much


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes of a file from `start` to `end`, or `records` where it has to be unpacked first."""

    source: Source
    input: Input
    start: int = 0
    end: int = 0
    records: list[Record] | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What came of a piece: entries and rejections in order, how many records it has, and its size in bytes."""

    input: Input
    entries: Chosen
    rejections: list[Rejection]
    records: int
    size: int


class PieceReader:
    """Makes columns of pieces: the same in whatever process."""

    def __init__(self, context: Context, spool: Spool) -> None:
        self._working, self.spool = Working(context), spool
        self.settings = self._working.settings

    def read(self, piece: Piece, adapter: Adapter | None = None, joined: Joined | None = None) -> Columns:
        """The columns of a piece."""
        reader = make_reader(piece.source, piece.input, adapter, joined or {})
        whole = Workpiece(self._working, piece.source, piece.input.shown, _lines(piece), reader)
        return whole.columns(self.spool)

    def warm_up(self) -> None:
        """Load machine code, or compile it: once, and not in each process."""
        source = Source(name="made", path="made.jsonl", format="chat")
        found = Input("made.jsonl", Path("made.jsonl"))
        line = encode_row(Row(id="made", messages=[Message("user", "question"), Message("assistant", "answer")]))
        lines = Lines.of_records([Record(1, 0, line)])
        Workpiece(self._working, source, found.shown, lines, make_reader(source, found, None, {})).columns(Spool())


def _lines(piece: Piece) -> Lines:
    """The records of a piece."""
    if piece.records is not None:
        return Lines.of_records(piece.records)
    size = piece.end - piece.start
    with os_errors(piece.input.path), piece.input.path.open("rb") as file:
        if size <= MAX_LINE_BYTES // 2:  # so that no line in it is too long
            return Lines.of_file(file, piece.start, size)
        records = list(read_json_lines(file, piece.start, piece.end))
        file.seek(piece.start)
        ends, left = 0, size
        while left and (data := file.read(min(left, _PIECE_BYTES))):
            left -= len(data)
            ends += data.count(b"\n")
    return Lines.of_records(records, ends)


class Reading:
    """Reads sources piece by piece, in processes where that pays."""

    def __init__(
        self, reader: PieceReader, folder: Path, pool: Workers[Piece, Columns] | None, piece_bytes: int
    ) -> None:
        self._reader, self._folder, self._pool, self._piece_bytes = reader, folder, pool, piece_bytes
        self.rows = Whole(reader.settings)
        self._files: list[SourceBytes] = []

    def read(self, source: Source, inputs: Iterable[Input]) -> Iterator[Read]:
        """What the pieces of the source's files hold, in order.

        Raises: DataError where a file can't be read or holds nothing; ConfigError where the adapter can't be loaded;
        ServiceError where a process died.
        """
        adapter, joined = load_adapter(source, self._folder), load_joined(source, self._folder)
        alone = adapter is not None or bool(joined)  # functions may remember what they saw, so order is theirs
        for given in inputs:
            found = pinned(source, given)
            file = SourceBytes(found.path) if is_plain_lines(found.path) else None
            if file is not None:
                self._files.append(file)
            made: Iterator[tuple[Piece, Columns]]
            pieces = _cut(source, found, self._piece_bytes) if file is not None else _packed(source, found)
            if self._pool is None or alone:
                made = ((piece, self._reader.read(piece, adapter, joined)) for piece in pieces)
            else:
                made = self._pool.in_order(pieces)
            first_line = total = 0
            for piece, columns in made:
                total += columns.records
                yield self._taken_in(piece, columns, file, first_line)
                first_line += columns.lines_read
            if not total:
                raise DataError(
                    "the file holds no records", where=found.path, fix="take it out of the recipe or fill it"
                )

    def check(self) -> None:
        """Raises: DataError where a file that was read has changed since."""
        for file in self._files:
            file.check()

    def _taken_in(self, piece: Piece, columns: Columns, file: SourceBytes | None, first_line: int) -> Read:
        rejections = [
            msgspec.structs.replace(item, line=item.line + first_line, held=self._shelved(item.held))
            for item in columns.rejections
        ]
        columns.rejections = []
        where = (piece.source.name, piece.input.shown, first_line)
        size = piece.end - piece.start if piece.records is None else int(columns.raw_sizes.sum())
        batch = Batch(columns, where, (file, self._reader.spool), self._reader.settings)
        return Read(piece.input, self.rows.add(batch), rejections, columns.records, size)

    def _shelved(self, text: str) -> Shelved:
        data = text.encode()
        return Shelved(self._reader.spool, self._reader.spool.add(data), len(data))


def _cut(source: Source, found: Input, piece_bytes: int) -> Iterator[Piece]:
    """Pieces of whole lines."""
    with os_errors(found.path), found.path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = 0
        while start < size:
            file.seek(min(start + piece_bytes, size))
            while (rest := file.readline(piece_bytes)) and not rest.endswith(b"\n"):
                pass
            end = min(file.tell(), size)
            yield Piece(source, found, start, end)
            start = end


def _packed(source: Source, found: Input) -> Iterator[Piece]:
    """Pieces of records that have to be unpacked in one go."""
    records = read_records(found.path)
    while some := list(itertools.islice(records, _PIECE_RECORDS)):
        yield Piece(source, found, records=some)


@contextmanager
def reading(
    context: Context, size: int, *, piece_bytes: int = _PIECE_BYTES, pool_bytes: int = _POOL_BYTES
) -> Iterator[Reading]:
    """What reads `size` bytes of sources: from `pool_bytes` on in as many processes as there are threads."""
    reader = PieceReader(context, Spool())
    if context.threads <= 1 or size < pool_bytes:
        yield Reading(reader, context.folder, None, piece_bytes)
        return
    reader.warm_up()
    reader.spool.share()
    with workers(context.threads, _reader, context, reader.spool) as pool:
        yield Reading(reader, context.folder, pool, piece_bytes)


def read_source(context: Context, source: Source, inputs: Sequence[Input]) -> tuple[Sequence[Entry], list[Rejection]]:
    """The rows of the source's files, and what is none. Raises: as `Reading.read`."""
    size = sum(found.path.stat().st_size for found in inputs if found.path.is_file())
    unread: list[Rejection] = []
    with reading(context, size) as read, progress("read", size) as advance:
        for part in read.read(source, inputs):
            advance(part.size)
            unread += part.rejections
    return read.rows.all(), unread


def _reader(context: Context, spool: Spool) -> Callable[[Piece], Columns]:
    return PieceReader(context, spool).read
