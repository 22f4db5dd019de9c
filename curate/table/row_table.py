"""Rows by the thousand: what was worked out of them in columns, their bytes on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import Row
from curate.dedup.minhash import Banding, Sketches
from curate.recipe.recipe import Dedup, Split
from curate.table.byte_store import SourceBytes, Spool, Stored
from curate.table.row_ref import Place, Rejection

_decode = msgspec.json.Decoder(Row).decode


@dataclass(slots=True)
class Columns:
    """What reading a piece of a file gives: a column for each thing that stages ask, and what was no row.

    `raw_starts` are places in the file, or in the spool where the records are not in it as they are. `line_starts` and
    `line_sizes` (without line end) are places in the spool of the rows that their records don't say word for word; the
    sizes of the others are 0.
    """

    ids: list[str]
    numbers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    raw_starts: NDArray[np.int64]
    raw_sizes: NDArray[np.int64]
    line_starts: NDArray[np.int64]
    line_sizes: NDArray[np.int64]
    keys: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    ranks: NDArray[np.float64]
    sides: NDArray[np.float64]
    orders: NDArray[np.uint64]
    labels: Mapping[int, str]
    groups: Mapping[int, str]
    sound: NDArray[np.bool_]
    synthesized: frozenset[int]
    sketches: "SketchPlace | None"
    rejections: list[Rejection] = field(default_factory=list)
    lines_read: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class Sketched:
    """What was sketched while reading: which text, and how."""

    on: str
    banding: Banding


@dataclass(frozen=True, slots=True)
class Settings:
    """What columns were worked out with; they say nothing about rows under any other settings."""

    dedup: Dedup
    split: Split
    seed: int
    sketched: Sketched | None


class SketchPlace(NamedTuple):
    """Sketches of so many texts, with so many shingles in all, and where they are in a spool."""

    texts: int
    shingles: int
    bands: int
    start: int

    @classmethod
    def of(cls, made: Sketches, spool: Spool) -> "SketchPlace":
        """The sketches, put into the spool."""
        data = b"".join([made.starts.tobytes(), made.shingles.tobytes(), made.band_keys.tobytes()])
        bands, texts = made.band_keys.shape
        return cls(texts, made.shingles.size, bands, spool.add(data))


class SpooledSketches:
    """Sketches that are in a spool."""

    def __init__(self, place: SketchPlace, spool: Spool) -> None:
        self.texts, self.shingles, self._bands, self._start = place
        self._spool = spool

    def load(self) -> Sketches:
        """The sketches."""
        first, second = 8 * (self.texts + 1), 4 * self.shingles
        data = self._spool.read(self._start, first + second + 4 * self._bands * self.texts)
        starts = np.frombuffer(data, np.int64, self.texts + 1)
        shingles = np.frombuffer(data, np.uint32, self.shingles, first)
        keys = np.frombuffer(data, np.uint32, self._bands * self.texts, first + second)
        return Sketches(shingles, starts, keys.reshape(self._bands, self.texts))


class Batch:
    """The rows of a piece of a file: what the entries within it refer to."""

    __slots__ = (
        "_lines", "_raws", "_settings", "_sketches", "columns",
        "first_line", "path", "source",
    )  # fmt: skip

    def __init__(
        self, columns: Columns, where: tuple[str, str, int], stores: tuple[SourceBytes | None, Spool],
        settings: Settings,
    ) -> None:  # fmt: skip
        """`where` are source, path and the lines before the piece; `stores` the file itself, and what spools rows."""
        self.source, self.path, self.first_line = where
        file, spool = stores
        self.columns, self._settings = columns, settings
        self._lines = spool
        self._sketches = None if columns.sketches is None else SpooledSketches(columns.sketches, spool)
        self._raws: Stored = spool if file is None else file

    def give_ids(self) -> list[str]:
        """The ids of the rows; asked for once, since from then on somebody else holds them."""
        names, self.columns.ids = self.columns.ids, []
        return names

    def stores(self) -> tuple[Spool, Stored]:
        """What holds the lines of rows that their records don't say word for word, and what holds the records."""
        return self._lines, self._raws

    def sketched(self, wanted: Sketched) -> SpooledSketches | None:
        """Where the sketches of the rows' texts are; None for any others than were made while reading."""
        return self._sketches if wanted == self._settings.sketched else None

    def row(self, at: int) -> Row:
        """The row, decoded anew."""
        return _decode(self.line(at))

    def raw(self, at: int) -> bytes:
        """The bytes of its record."""
        return self._raws.read(int(self.columns.raw_starts[at]), int(self.columns.raw_sizes[at]))

    def size(self, at: int) -> int:
        """How many bytes its record has."""
        return int(self.columns.raw_sizes[at])

    def line(self, at: int) -> bytes:
        """The row as a dataset's line."""
        size = int(self.columns.line_sizes[at])
        return self._lines.read(int(self.columns.line_starts[at]), size) if size else self.raw(at)

    def verbatim(self, at: int) -> bool:
        """Is its record that line?"""
        return not self.columns.line_sizes[at]

    def place(self, at: int) -> Place:
        """Where it stood."""
        columns = self.columns
        return Place(self.source, self.path, self.first_line + int(columns.numbers[at]), int(columns.offsets[at]))

    def label(self, at: int) -> str | None:
        """The row's label."""
        return self.columns.labels.get(at)

    def group(self, at: int) -> str | None:
        """The row's group."""
        return self.columns.groups.get(at)

    def keys(self, at: int) -> bytes:
        """What `curate.core.rows.row_keys` makes of the row."""
        found: bytes = self.columns.keys[at].tobytes()
        return found

    def lengths(self, at: int) -> tuple[int, int]:
        """The characters of all its messages, and those of its conversation."""
        whole, conversation = self.columns.lengths[at].tolist()
        return whole, conversation

    def ranks(self, at: int, settings: Dedup) -> tuple[float, ...] | None:
        """The numbers that `curate.dedup.which_stays` goes by."""
        known = self._settings.dedup
        if settings is not known and settings != known:
            return None
        return tuple(self.columns.ranks[at].tolist())

    def sound(self, at: int) -> bool:
        """Was it found while reading that validation has nothing to say of the row?"""
        return bool(self.columns.sound[at])

    def draws(self, at: int, split: Split, seed: int) -> tuple[float, int] | None:
        """What decides its side and its place there, as `curate.compose.split` draws it."""
        known = self._settings
        if (split is not known.split and split != known.split) or seed != known.seed:
            return None
        return float(self.columns.sides[at]), int(self.columns.orders[at])

    def synthesized(self, at: int) -> bool:
        """Does the row say which seed it was made from?"""
        return at in self.columns.synthesized
