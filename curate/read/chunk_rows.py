"""The records of a chunk of a file made into rows, one by one: for sources too small for machine code to pay."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row, encode_rows
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader, Unread
from curate.table.byte_store import ByteSpool
from curate.table.chunk import ChunkColumns, ChunkRows, Makers, UnreadRecord, make_columns

_LINE_END = 10


@dataclass(frozen=True, slots=True)
class RecordPlaces:
    """Where the records of n rows stand.

    `lines` from the first line of the chunk, `offsets` of the lines in the file, `starts` of the records' own bytes
    there or in the spool, and their `sizes`; each of shape (n,).
    """

    lines: NDArray[np.int64]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


def read_rows(
    records: Iterable[Record], reader: RowReader, makers: Makers, spool: ByteSpool, *, in_file: bool
) -> ChunkColumns:
    """The records as rows in columns. What rows are read from later goes into the spool.

    `in_file`: do records stand in their file as they are? How many lines the chunk has is left to whoever cut it.
    """
    rows: list[Row] = []
    new: list[tuple[int, Row]] = []
    unread: list[UnreadRecord] = []
    read: list[Record] = []
    for record in records:
        for found in reader.find_all(record):
            if isinstance(found, Unread):
                unread.append(UnreadRecord(record.number, record.offset, record.raw, *found))
                continue
            row, is_verbatim = found
            if not is_verbatim:
                new.append((len(rows), row))
            rows.append(row)
            read.append(record)
    sizes = np.array([len(record.raw) for record in read], np.int64)
    starts = np.array([record.start for record in read], np.int64)
    if not in_file:
        starts = np.cumsum(sizes) - sizes + spool.add(b"".join([record.raw for record in read]))
    places = RecordPlaces(
        np.array([record.number for record in read], np.int64),
        np.array([record.offset for record in read], np.int64),
        starts,
        sizes,
    )
    line_starts, line_sizes = written_lines([row for _, row in new], [at for at, _ in new], len(rows), spool)
    return chunk_columns(ChunkRows(rows), places, (line_starts, line_sizes), makers, spool, unread)


def written_lines(
    rows: list[Row], positions: list[int], total: int, spool: ByteSpool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write the lines of some of `total` rows, at these positions, into the spool; where each starts, and its size."""
    starts, sizes = np.zeros(total, np.int64), np.zeros(total, np.int64)
    if rows:
        data = encode_rows(rows)
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _LINE_END)
        sizes[positions] = np.diff(ends, prepend=-1) - 1
        starts[positions] = ends - sizes[positions] + spool.add(data)
    return starts, sizes


def chunk_columns(
    rows: ChunkRows, places: RecordPlaces, lines: tuple[NDArray[np.int64], NDArray[np.int64]], makers: Makers,
    spool: ByteSpool, unread: list[UnreadRecord],
) -> ChunkColumns:  # fmt: skip
    """What a process hands over of these rows, which stand at these places."""
    columns, packs = make_columns(rows, makers, spool)
    columns |= {"line": places.lines, "offset": places.offsets, "raw_start": places.starts, "raw_size": places.sizes}
    columns["line_start"], columns["line_size"] = lines
    records = len(rows) + len(unread)
    return ChunkColumns(rows.ids, rows.labels, rows.groups, columns, packs, unread, records=records)
