"""Chunks of plain chat read by machine code: rows are made only of lines that it can't take apart."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, copy_parts
from curate.core.rows.contents import LOOKED_AT
from curate.core.rows.row import Message, Row, encode_row, encode_rows
from curate.core.rows.row_keys import beside, is_plain, make_keys
from curate.core.rows.row_text import chosen_text, text_lengths
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader, Unread
from curate.core.sources.records import Input
from curate.core.sources.row_readers import make_reader
from curate.core.sources.source import Source
from curate.read.chunk_rows import RecordPlaces, chunk_columns, written_lines
from curate.read.fast.chat_lines import GIVEN_SYNTHETIC, GROUP, ID, LABEL, Scanned, room_for_lines, scan
from curate.read.fast.lines import Lines
from curate.read.fast.plain_columns import PlainColumns, plain_columns
from curate.read.fast.write_lines import is_verbatim, rewritten
from curate.table.byte_store import ByteSpool
from curate.table.chunk import ChunkColumns, ChunkRows, Makers, UnreadRecord
from curate.table.text_buffer import TextBuffer

_LINE_END = 10


def read_fast(source: Source, lines: Lines, reader: RowReader, makers: Makers, spool: ByteSpool) -> ChunkColumns:
    """The records of a chunk as rows in columns; what rows are read from later goes into the spool."""
    fits = lines.are_text() if reader.direct else np.zeros(len(lines.places), np.bool_)
    scanned = scan(lines.data, lines.size, np.where(fits[:, None], lines.places, 0), strict=True)
    unread: list[UnreadRecord] = []
    objects: dict[int, Row] = {}
    at, verbatim = np.arange(fits.size), is_verbatim(scanned, source)
    if not scanned.fits.all():
        verbatim |= ~scanned.fits
        kept = np.ones(fits.size, np.bool_)
        made: dict[int, Row] = {}
        for number in np.flatnonzero(~scanned.fits).tolist():
            record = lines.record(number)
            found = reader.find(record)
            if isinstance(found, Unread):
                unread.append(UnreadRecord(record.number, record.offset, record.raw, *found))
                kept[number] = False
            else:
                made[number], verbatim[number] = found
        at = np.flatnonzero(kept)
        of_row = np.cumsum(kept) - 1
        objects = {int(of_row[number]): row for number, row in made.items()}
        new = {number: row for number, row in made.items() if not verbatim[number]}
        scanned = _scanned_again(lines, new, at)
        verbatim = verbatim[at]
    is_made = np.zeros(at.size, np.bool_)
    is_made[list(objects)] = True
    rows = FastRows(source, lines, reader, at, scanned, objects)
    starts = lines.starts[at]
    if (starts < 0).any():
        starts = lines.places[at, 0] + spool.add(lines.data[: lines.size].data)
    places = RecordPlaces(lines.numbers[at], lines.offsets[at], starts, lines.places[at, 1] - lines.places[at, 0])
    changed = [number for number in objects if not verbatim[number]]
    line_starts, line_sizes = written_lines([objects[number] for number in changed], changed, at.size, spool)
    text, sizes = rewritten(scanned, ~is_made & ~verbatim, source)
    if text.size:
        ours = sizes > 0
        line_starts[ours] = (np.cumsum(sizes + ours) - sizes - 1)[ours] + spool.add(text.data)
        line_sizes[ours] = sizes[ours]
    columns = chunk_columns(rows, places, (line_starts, line_sizes), makers, spool, unread)
    columns.lines_read = lines.ends
    return columns


def warm_up(makers: Makers) -> None:
    """Load machine code, or compile it: once, and not in each process."""
    source = Source(name="made", path="made.jsonl", format="chat")
    line = encode_row(Row(id="made", messages=[Message("user", "question"), Message("assistant", "answer")]))
    reader = make_reader(source, Input("made.jsonl", Path("made.jsonl")), None, {})
    read_fast(source, Lines.of_records([Record(1, 0, line)]), reader, makers, ByteSpool())


def _scanned_again(lines: Lines, new: Mapping[int, Row], at: NDArray[np.int64]) -> Scanned:
    """The lines at these positions scanned once more, those of `new` rows as a dataset has them."""
    written = encode_rows(list(new.values()))
    size = lines.size
    data = room_for_lines(size + len(written))
    data[:size] = lines.data[:size]
    data[size : size + len(written)] = np.frombuffer(written, np.uint8)
    ends = np.flatnonzero(data[size : size + len(written)] == _LINE_END) + size
    places, numbers = lines.places.copy(), list(new)
    places[numbers, 0], places[numbers, 1] = np.concatenate([[size], ends[:-1] + 1])[: len(new)], ends
    return scan(data, size + len(written), places[at], strict=False)


class _Rows(Sequence[Row]):
    """The rows of a chunk, each made when it is asked for where it was not made before."""

    def __init__(self, lines: Lines, reader: RowReader, at: NDArray[np.int64], objects: Mapping[int, Row]) -> None:
        self._lines, self._reader, self._at, self._objects = lines, reader, at, objects

    def __len__(self) -> int:
        return self._at.size

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> list[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | list[Row]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if number in self._objects:
            return self._objects[number]
        found = self._reader.find(self._lines.record(int(self._at[range(len(self))[number]])))
        assert not isinstance(found, Unread)
        return found[0]


class FastRows(ChunkRows):
    """Rows of a chunk that was taken apart by machine code: what is asked of most rows is known without making them."""

    def __init__(
        self, source: Source, lines: Lines, reader: RowReader, at: NDArray[np.int64], scanned: Scanned,
        objects: Mapping[int, Row],
    ) -> None:  # fmt: skip
        super().__init__(_Rows(lines, reader, at, objects))
        is_made = np.zeros(at.size, np.bool_)
        is_made[list(objects)] = True
        self.ids, self.labels, self.groups = _names(scanned, ~is_made, source.label, objects)
        plain = _plain_columns(scanned, objects, self.labels)
        self._prompts = plain.prompts
        self.objects, self.is_plain = objects, scanned.fits
        self.is_clear = plain.is_clear & scanned.fits
        self.is_clear[[number for number, row in objects.items() if not LOOKED_AT.isdisjoint(row.meta)]] = False
        synthetic = scanned.origins == GIVEN_SYNTHETIC
        self.is_synthetic = synthetic | ((scanned.origins == 0) & (source.origin == "synthetic"))
        self.keys, self.lengths, self.beside = plain.keys, plain.lengths, plain.beside
        self.message_counts = np.diff(scanned.lasts, prepend=0)
        for number in np.flatnonzero(~scanned.fits).tolist():
            self.message_counts[number] = len(objects[number].messages)

    def texts(self, on: str) -> TextBuffer:
        """Each row's `prompt`, `answer` or `conversation`."""
        return self._prompts if on == "prompt" else super().texts(on)


def _plain_columns(scanned: Scanned, objects: Mapping[int, Row], labels: Mapping[int, str]) -> PlainColumns:
    odd = np.flatnonzero(~scanned.fits).tolist()
    prompts = {number: chosen_text(objects[number], "prompt") for number in odd}
    tools = {number: row.tools for number, row in objects.items() if row.tools}
    plain = plain_columns(scanned, tools, labels, prompts)
    for number in odd:
        plain.lengths[number] = text_lengths(objects[number])
    for number in {*odd, *(number for number, row in objects.items() if not is_plain(row))}:
        plain.keys[number] = np.frombuffer(make_keys(objects[number]), np.uint8)
        plain.beside[number] = beside(objects[number])
    return plain


def _names(
    scanned: Scanned, is_scanned: NDArray[np.bool_], label: str | None, objects: Mapping[int, Row]
) -> tuple[list[str], dict[int, str], dict[int, str]]:
    """The ids of all rows; the labels and the groups of those that have one. `label` is that of rows without one."""
    ids = _texts(scanned, ID, is_scanned)
    labels = _some_texts(scanned, LABEL, is_scanned)
    if label is not None:
        labels = {**dict.fromkeys(np.flatnonzero(is_scanned).tolist(), label), **labels}
    groups = {
        number: group
        for number, group in _some_texts(scanned, GROUP, is_scanned).items()
        if group and not group.isspace()
    }
    for number, row in objects.items():
        ids[number] = row.id
        if row.label is not None:
            labels[number] = sys.intern(row.label)
        if row.group and not row.group.isspace():
            groups[number] = row.group
    return ids, labels, groups


def _texts(scanned: Scanned, field: int, wanted: NDArray[np.bool_]) -> list[str]:
    """This field of all rows, empty where it is not wanted. It has no line ends: control characters are escaped."""
    places = np.where(wanted[:, None], scanned.fields[:, field], 0)
    sizes = places[:, 1] - places[:, 0]
    room = np.full(int(sizes.sum()) + sizes.size, _LINE_END, np.uint8)
    call(copy_parts, scanned.data, places[:, 0], sizes, np.cumsum(sizes + 1) - sizes - 1, room)
    return room.tobytes().decode().split("\n")[:-1]


def _some_texts(scanned: Scanned, field: int, wanted: NDArray[np.bool_]) -> dict[int, str]:
    """This field of the wanted rows that have it, by number."""
    there = wanted & (scanned.fields[:, field, 0] >= 0)
    if not there.any():
        return {}
    found: Sequence[str] = _texts(scanned, field, there)
    return {number: sys.intern(found[number]) for number in np.flatnonzero(there).tolist()}
