"""Where the lines of files are: millions of them found in a second, none of them held."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import os_errors

_CHUNK_BYTES = 8 << 20
_AHEAD_LINES, _AHEAD_BYTES = 512, 4 << 20  # read at once where lines are read one after the other
_BOM = b"\xef\xbb\xbf"


class _Ahead(NamedTuple):
    """Lines that were read together: the first one, where each starts and ends, and their bytes from `offset` on."""

    first: int
    ends: list[list[int]]
    data: bytes
    offset: int


class LineIndex:
    """The lines of some files, numbered through from 0; blank ones are passed over. The files have to stay as they are.

    Twenty bytes a line are held: where it starts and ends, and its number in its file.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self._files: list[int] = []
        starts, numbers, counts = [], [], [0]
        for path in self.paths:
            with os_errors(path):
                file = os.open(path, os.O_RDONLY)
                self._files.append(file)
                first, number = _scan(file)
            starts.append(first)
            numbers.append(number)
            counts.append(counts[-1] + len(number))
        self._firsts = np.array(counts, np.int64)
        self._starts = np.concatenate(starts) if starts else np.empty((0, 2), np.int64)
        self._numbers = np.concatenate(numbers) if numbers else np.empty(0, np.int32)
        self._ahead = _Ahead(0, [], b"", 0)
        self._next = -1

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The bytes of each line, its end left out."""
        return self._starts[:, 1] - self._starts[:, 0]

    def size(self, at: int) -> int:
        """The bytes of a line."""
        return int(self._starts[at, 1] - self._starts[at, 0])

    def read(self, at: int, limit: int | None = None) -> bytes:
        """The bytes of a line without its end, the first `limit` of them. Lines read one after the other are fast."""
        ahead = self._ahead
        if 0 <= at - ahead.first < len(ahead.ends) and limit is None:
            start, end = ahead.ends[at - ahead.first]
            self._next = at + 1
            return ahead.data[start - ahead.offset : end - ahead.offset].rstrip(b"\r")
        if at == self._next and limit is None:
            self._read_ahead(at)
            return self.read(at) if self._ahead.ends else self._read_one(at, limit)
        self._next = at + 1
        return self._read_one(at, limit)

    def _read_ahead(self, at: int) -> None:
        """Read the lines that follow, as far as they are of one file and not too many bytes."""
        number = self.file(at)
        last = min(at + _AHEAD_LINES, int(self._firsts[number + 1]))
        ends = self._starts[at:last].tolist()
        offset = ends[0][0]
        ends = [pair for pair in ends if pair[1] - offset <= _AHEAD_BYTES]
        size = ends[-1][1] - offset if ends else 0
        with os_errors(self.paths[number]):
            self._ahead = _Ahead(at, ends, os.pread(self._files[number], size, offset), offset)

    def _read_one(self, at: int, limit: int | None) -> bytes:
        start, end = self._starts[at].tolist()
        if limit is not None:
            end = min(end, start + limit)
        with os_errors(self.paths[self.file(at)]):
            return os.pread(self._files[self.file(at)], end - start, start).rstrip(b"\r")

    def file(self, at: int) -> int:
        """The number of the file that a line is in."""
        return int(np.searchsorted(self._firsts, at, "right")) - 1

    def place(self, at: int) -> str:
        """Where a line is, for people: file:line."""
        return f"{self.paths[self.file(at)].name}:{self._numbers[at]}"

    def at(self, place: str) -> int | None:
        """The line at a place, None where there is none."""
        name, _, line = place.rpartition(":")
        if not line.isdigit():
            return None
        for number, path in enumerate(self.paths):
            if path.name == name:
                first, last = self._firsts[number : number + 2].tolist()
                found = first + int(np.searchsorted(self._numbers[first:last], int(line)))
                return found if found < last and self._numbers[found] == int(line) else None
        return None

    def __del__(self) -> None:
        for file in self._files:
            os.close(file)


def _scan(file: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Start and end of each line that is not blank, shape (n, 2), and its number from 1."""
    parts: list[NDArray[np.int64]] = []
    offset = 0
    while chunk := os.pread(file, _CHUNK_BYTES, offset):
        parts.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n")) + offset)
        offset += len(chunk)
    ends = np.concatenate(parts) if parts else np.empty(0, np.int64)
    if offset and (not ends.size or ends[-1] != offset - 1):
        ends = np.append(ends, offset)
    lines = np.empty((len(ends), 2), np.int64)
    lines[:, 1] = ends
    lines[1:, 0] = ends[:-1] + 1
    lines[:1, 0] = len(_BOM) if os.pread(file, len(_BOM), 0) == _BOM else 0
    numbers = np.arange(1, len(lines) + 1, dtype=np.int32)
    blank = lines[:, 1] <= lines[:, 0]
    short = np.flatnonzero(lines[:, 1] - lines[:, 0] == 1)  # a carriage return alone is blank too
    blank[[at for at in short.tolist() if not os.pread(file, 1, int(lines[at, 0])).strip()]] = True
    return (lines[~blank], numbers[~blank]) if blank.any() else (lines, numbers)
