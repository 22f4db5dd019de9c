"""The records of a piece of a file, side by side in one buffer: where each is, and what line and offset it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, compiled
from curate.core.sources.encoded import BOM
from curate.core.sources.record import Record
from curate.read.fast.chat_lines import room_for_lines

_LINE_END = 10


@dataclass(frozen=True, slots=True)
class Lines:
    """The bytes of n records, within the first `size` of `data`, which has the room behind them that `scan` needs."""

    data: NDArray[np.uint8]
    size: int
    places: NDArray[np.int64]
    """Where each starts and ends, without its line end; (n, 2)."""
    numbers: NDArray[np.int64]
    """Its line, counted from the first of the piece."""
    offsets: NDArray[np.int64]
    """Where its line starts in the file."""
    starts: NDArray[np.int64]
    """Where its own bytes start in the file, -1 where they are not in it as they are."""
    ends: int
    """How many line ends the piece has."""
    records: Sequence[Record] | None = None
    """The records themselves, where they came as such."""

    @classmethod
    def of_file(cls, file: IO[bytes], start: int, size: int) -> "Lines":
        """The lines that aren't blank of the file's `size` bytes from `start`, where lines end."""
        data = room_for_lines(size)
        file.seek(start)
        size = file.readinto(data[:size].data)  # type: ignore[attr-defined]  # a file that was opened has it
        skipped = len(BOM) if not start and data[: len(BOM)].tobytes() == BOM else 0
        stops = np.flatnonzero(data[:size] == _LINE_END)
        ends = stops.size
        if size and (not ends or stops[-1] < size - 1):
            stops = np.append(stops, size)
        firsts = np.concatenate([np.zeros(1, np.int64), stops + 1])[: stops.size]
        places = np.stack([firsts, stops], 1)
        places[:1, 0] += skipped
        filled = np.empty(stops.size, np.bool_)
        call(_trim, data, places, filled)
        at = np.flatnonzero(filled)
        return cls(data, size, places[at], at + 1, firsts[at] + start, places[at, 0] + start, ends)

    @classmethod
    def of_records(cls, records: Sequence[Record], ends: int | None = None) -> "Lines":
        """Records that were read one by one; `ends` where they are in their file as they are."""
        sizes = np.array([len(record.raw) for record in records], np.int64)
        size = int(sizes.sum())
        data = room_for_lines(size)
        data[:size] = np.frombuffer(b"".join([record.raw for record in records]), np.uint8)
        stops = np.cumsum(sizes)
        numbers = np.array([record.number for record in records], np.int64)
        offsets = np.array([record.offset for record in records], np.int64)
        starts = np.array([-1 if ends is None else record.start for record in records], np.int64)
        return cls(data, size, np.stack([stops - sizes, stops], 1), numbers, offsets, starts, ends or 0, records)

    def raw(self, at: int) -> bytes:
        """The bytes of a record."""
        start, end = self.places[at].tolist()
        return self.data[start:end].tobytes()

    def record(self, at: int) -> Record:
        """A record."""
        if self.records is not None:
            return self.records[at]
        return Record(int(self.numbers[at]), int(self.offsets[at]), self.raw(at), start=int(self.starts[at]))

    def are_text(self) -> NDArray[np.bool_]:
        """Which of them are UTF-8, and neither came as something else nor are at fault."""
        if self.records is not None:
            plain = np.array([one.fields is None and one.fault is None for one in self.records], np.bool_)
        else:
            plain = np.ones(len(self.places), np.bool_)
        whole = self.data[: self.size].tobytes()
        try:
            whole.isascii() or whole.decode()
        except UnicodeDecodeError:
            plain &= [_is_text(self.raw(at)) for at in range(len(self.places))]
        return plain


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@compiled
def _trim(data: NDArray[np.uint8], places: NDArray[np.int64], filled: NDArray[np.bool_]) -> None:
    """Take carriage returns off the ends of lines, and say which have more than blanks."""
    for line in range(len(places)):
        start, end = places[line, 0], places[line, 1]
        while end > start and data[end - 1] == 0x0D:
            end -= 1
        places[line, 1] = end
        while start < end and (data[start] == 0x20 or 0x09 <= data[start] <= 0x0D):
            start += 1
        filled[line] = start < end
