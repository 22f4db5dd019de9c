"""Lists on disk: the items, prompts, answers and scores of a run, which may be more than memory should hold."""

import os
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, overload

import msgspec

from curate.core.digests import digest_parts
from curate.core.rows.row import Row

T = TypeVar("T", bound=msgspec.Struct)

_READ_BYTES = 1 << 16  # at once, where entries are read in order
_WRITE_BYTES = 1 << 16  # of new entries that wait to be written together


class Spool(Sequence[T]):
    """Entries as lines of JSON in an unnamed temporary file, each decoded when it is asked for.

    In memory stays where each line starts, 8 bytes an entry. The file goes when the list does.
    """

    def __init__(self, kind: type[T], entries: Iterable[T] = ()) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        # Dictionaries in the order of their keys: equal entries give equal bytes.
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._file = tempfile.TemporaryFile(buffering=_WRITE_BYTES)  # noqa: SIM115 - closed when the list goes
        weakref.finalize(self, self._file.close)
        self._starts = array("q", [0])
        self._unwritten = False
        self.extend(entries)

    def append(self, entry: T) -> None:
        """Put an entry at the end."""
        line = self._encode(entry)
        self._file.write(line)
        self._file.write(b"\n")
        self._starts.append(self._starts[-1] + len(line) + 1)
        self._unwritten = True

    def extend(self, entries: Iterable[T]) -> None:
        """Put entries at the end."""
        for entry in entries:
            self.append(entry)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, int):
            place = range(len(self))[at]
            return self._decode(self._read(place, place + 1))
        places = range(len(self))[at]
        if places.step == 1:
            return [self._decode(line) for line in self._read(places.start, places.stop).splitlines()]
        return [self[place] for place in places]

    def __iter__(self) -> Iterator[T]:
        return map(self._decode, self.lines())

    def lines(self) -> Iterator[bytes]:
        """The entries in order as they are kept, without line ends."""
        first = 0
        while first < len(self):
            last = max(first + 1, bisect_right(self._starts, self._starts[first] + _READ_BYTES) - 1)
            yield from self._read(first, last).splitlines()
            first = last

    def digest(self) -> str:
        """What `digest_json` says of the same entries in a list."""
        return digest_parts(self._as_one_json())

    def _as_one_json(self) -> Iterator[bytes]:
        yield b"["
        for place, line in enumerate(self.lines()):
            yield b"," + line if place else line
        yield b"]"

    def _read(self, first: int, last: int) -> bytes:
        if self._unwritten:
            self._file.flush()
            self._unwritten = False
        start = self._starts[first]
        return os.pread(self._file.fileno(), self._starts[max(first, last)] - start, start)


class ById(Mapping[str, Row]):
    """Rows by their ids, each read when it is asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._places = {row.id: place for place, row in enumerate(rows)}

    def __getitem__(self, name: str) -> Row:
        return self._rows[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
