"""Chunks of input files, read in processes of their own: from bytes to columns, the same for any number of them."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.console import progress
from curate.core.errors import DataError, os_errors
from curate.core.sources.json_values import read_json_lines
from curate.core.sources.known_folders import index_folder
from curate.core.sources.record import MAX_LINE_BYTES, Record
from curate.core.sources.record_to_row import STAGE, Adapter, Joined, RowReader
from curate.core.sources.records import Input, find_inputs, is_plain_lines, reading_notes
from curate.core.sources.row_readers import load_adapter, load_joined, make_reader, pinned, records_of
from curate.core.sources.source import Source
from curate.core.worker_processes import Workers, workers
from curate.read.chunk_rows import read_rows
from curate.table.byte_store import ByteSpool, SourceBytes
from curate.table.chunk import NO_MAKERS, ChunkColumns, Makers, UnreadRecord
from curate.table.rejections import Block, LooseRecords, Rejections, Rule, printable
from curate.table.row_table import RowTable
from curate.table.selection import RowSelection
from curate.table.stage import Context

# Large enough that handing a chunk over costs nothing, small enough that what is made of it stays in a core's cache.
_CHUNK_BYTES = 1 << 20
_CHUNK_RECORDS = 8192
_POOL_BYTES = 16 << 20  # starting processes takes as long as reading this much
_FAST_BYTES = 64 << 20  # compiling machine code for reading takes as long as reading this much without it


@dataclass(frozen=True, slots=True)
class Chunk:
    """The bytes of a file from `start` to `end`, or `records` where it has to be unpacked first."""

    source: Source
    input: Input
    start: int = 0
    end: int = 0
    records: list[Record] | None = None


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """What came of a chunk: what is no row, how many records it has, its size in bytes, and keys kept in `meta`."""

    input: Input
    unread: Rejections
    records: int
    size: int
    kept_keys: Mapping[str, int]


class ChunkReader:
    """Makes columns of chunks: the same in whatever process, and with machine code (`is_fast`) or without."""

    def __init__(self, makers: Makers, spool: ByteSpool, is_fast: bool) -> None:
        self.makers, self.spool, self._is_fast = makers, spool, is_fast

    def read(self, chunk: Chunk, adapter: Adapter | None = None, joined: Joined | None = None) -> ChunkColumns:
        """The columns of a chunk."""
        reader = make_reader(chunk.source, chunk.input, adapter, joined or {})
        columns = self._columns(chunk, reader, adapter)
        columns.kept_keys = dict(reader.kept_keys)
        return columns

    def _columns(self, chunk: Chunk, reader: RowReader, adapter: Adapter | None) -> ChunkColumns:
        if self._is_fast and adapter is None:  # a function may make several rows of a record
            from curate.read.fast.read import read_fast

            return read_fast(chunk.source, _fast_lines(chunk), reader, self.makers, self.spool)
        if chunk.records is not None:
            return read_rows(chunk.records, reader, self.makers, self.spool, in_file=False)
        records, line_ends = _lines(chunk)
        columns = read_rows(records, reader, self.makers, self.spool, in_file=True)
        columns.lines_read = line_ends
        return columns


def _lines(chunk: Chunk) -> tuple[list[Record], int]:
    """The records of a chunk that is whole lines, and how many line ends it has."""
    left, ends = chunk.end - chunk.start, 0
    with os_errors(chunk.input.path), chunk.input.path.open("rb") as file:
        records = list(read_json_lines(file, chunk.start, chunk.end))
        file.seek(chunk.start)
        while left and (data := file.read(min(left, _CHUNK_BYTES))):
            left -= len(data)
            ends += data.count(b"\n")
    return records, ends


def _fast_lines(chunk: Chunk) -> Any:
    """The records of a chunk, side by side in one buffer."""
    from curate.read.fast.lines import Lines

    if chunk.records is not None:
        return Lines.of_records(chunk.records)
    size = chunk.end - chunk.start
    if size <= MAX_LINE_BYTES // 2:  # so that no line in it is too long
        with os_errors(chunk.input.path), chunk.input.path.open("rb") as file:
            return Lines.of_file(file, chunk.start, size)
    return Lines.of_records(*_lines(chunk))


class SourceReader:
    """Reads sources chunk by chunk into one table, in processes where that pays."""

    def __init__(
        self, reader: ChunkReader, folder: Path, pool: Workers[Chunk, ChunkColumns] | None, chunk_bytes: int
    ) -> None:
        self._reader, self._folder, self._pool, self._chunk_bytes = reader, folder, pool, chunk_bytes
        self.table = RowTable(reader.makers, reader.spool)
        self._files: list[SourceBytes] = []

    def read(self, source: Source, inputs: Iterable[Input]) -> Iterator[ReadChunk]:
        """What the chunks of the source's files hold, in order; their rows are in the table then.

        Raises: DataError where a file can't be read or holds nothing; ConfigError where the adapter can't be loaded;
        ServiceError where a process died.
        """
        adapter, joined = load_adapter(source, self._folder), load_joined(source, self._folder)
        alone = adapter is not None or bool(joined)  # functions may remember what they saw, so order is theirs
        for given in inputs:
            found = pinned(source, given)
            is_lines = source.at is None and is_plain_lines(found.path, source.layout)
            file = SourceBytes(found.path) if is_lines else None
            if file is not None:
                self._files.append(file)
            made: Iterator[tuple[Chunk, ChunkColumns]]
            chunks = _cut(source, found, self._chunk_bytes) if file is not None else _packed(source, found)
            if self._pool is None or alone:
                made = ((chunk, self._reader.read(chunk, adapter, joined)) for chunk in chunks)
            else:
                made = self._pool.in_order(chunks)
            first_line = total = 0
            for chunk, columns in made:
                total += columns.records
                size = chunk.end - chunk.start if chunk.records is None else int(columns.columns["raw_size"].sum())
                self.table.append(columns, source.name, found.shown, file, first_line)
                unread = self._unread(columns.unread, found.shown, first_line)
                yield ReadChunk(found, unread, columns.records, size, columns.kept_keys)
                first_line += columns.lines_read
            if not total:
                fixes = ["take it out of the recipe or fill it", *reading_notes(found, source.layout)]
                raise DataError("the file holds no records", where=found.path, fix="; ".join(fixes))

    def check(self) -> None:
        """Raises: DataError where a file that was read has changed since."""
        for file in self._files:
            file.check()

    def _unread(self, records: Sequence[UnreadRecord], path: str, first_line: int) -> Rejections:
        spool = self._reader.spool
        texts = [record.raw.decode("utf-8", "backslashreplace").encode() for record in records]
        items = [
            (record.id, record.line + first_line, record.offset, spool.add(text), len(text))
            for record, text in zip(records, texts, strict=True)
        ]
        numbers: dict[str, int] = {}
        rule = np.array([numbers.setdefault(record.reason, len(numbers)) for record in records], np.int32)
        details = [printable(record.detail) for record in records]
        return Rejections([Block(STAGE, LooseRecords(spool, path, items), list(map(Rule, numbers)), rule, details)])


def _cut(source: Source, found: Input, chunk_bytes: int) -> Iterator[Chunk]:
    """Chunks of whole lines."""
    with os_errors(found.path), found.path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = 0
        while start < size:
            file.seek(min(start + chunk_bytes, size))
            while (rest := file.readline(chunk_bytes)) and not rest.endswith(b"\n"):
                pass
            end = min(file.tell(), size)
            yield Chunk(source, found, start, end)
            start = end


def _packed(source: Source, found: Input) -> Iterator[Chunk]:
    """Chunks of records that have to be unpacked in one go."""
    records = records_of(source, found.path)
    while some := list(itertools.islice(records, _CHUNK_RECORDS)):
        yield Chunk(source, found, records=some)


@contextmanager
def reading(
    context: Context,
    makers: Makers,
    size: int,
    *,
    chunk_bytes: int = _CHUNK_BYTES,
    pool_bytes: int = _POOL_BYTES,
    fast_bytes: int = _FAST_BYTES,
) -> Iterator[SourceReader]:
    """What reads `size` bytes of sources: from `pool_bytes` on in as many processes as there are threads, and from
    `fast_bytes` on with machine code.
    """
    given = makers, ByteSpool(), size >= fast_bytes
    reader = ChunkReader(*given)
    if context.threads <= 1 or size < pool_bytes:
        yield SourceReader(reader, context.folder, None, chunk_bytes)
        return
    if size >= fast_bytes:
        from curate.read.fast.read import warm_up

        warm_up(makers)
    reader.spool.share()
    with workers(context.threads, _read_chunks, *given) as pool:
        yield SourceReader(reader, context.folder, pool, chunk_bytes)


def read_source(
    context: Context, source: Source, inputs: Sequence[Input], makers: Makers = NO_MAKERS
) -> tuple[RowSelection, Rejections]:
    """The rows of the source's files, and what is none. Raises: as `SourceReader.read`."""
    size = sum(found.path.stat().st_size for found in inputs if found.path.is_file())
    unread = Rejections()
    with reading(context, makers, size) as reader, progress("read", size) as advance:
        for chunk in reader.read(source, inputs):
            advance(chunk.size)
            unread += chunk.unread
    return RowSelection.all_of(reader.table), unread


def read_earlier(context: Context, source: Source) -> tuple[RowSelection, int] | None:
    """The rows of an earlier dataset and how many of its records are none; None where it is an index alone."""
    paths = [path for path in source.paths if index_folder(path, context.folder) is None]
    inputs = [found for path in paths for found in find_inputs(path, context.folder)]
    if not inputs:
        return None
    rows, unread = read_source(context, source, inputs)
    return rows, len(unread)


def _read_chunks(makers: Makers, spool: ByteSpool, is_fast: bool) -> Callable[[Chunk], ChunkColumns]:
    return ChunkReader(makers, spool, is_fast).read
