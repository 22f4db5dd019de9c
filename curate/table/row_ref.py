"""What flows between the stages: rows with the place they came from, and rejections with a reason."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import msgspec

from curate.core.rows.row import Row, encode_row
from curate.core.rows.row_keys import make_keys
from curate.core.rows.row_text import text_lengths
from curate.recipe.recipe import Dedup, Recipe, Split

if TYPE_CHECKING:
    from curate.build.human_decisions import Decisions
    from curate.build.stage_cache import Kept

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """Where a record stands: the source, the path as the recipe words it, the line from 1, the byte offset from 0."""

    source: str
    path: str
    line: int
    offset: int


class Held(Protocol):
    """Where the content of entries is: each method answers for the entry with the number `at`."""

    source: str
    """The source that the entries came from."""

    def row(self, at: int, /) -> Row:
        """The row, decoded anew where it is not in memory."""

    def raw(self, at: int, /) -> bytes:
        """The bytes of its record."""

    def size(self, at: int, /) -> int:
        """How many bytes its record has."""

    def line(self, at: int, /) -> bytes:
        """The row as a dataset's line."""

    def verbatim(self, at: int, /) -> bool:
        """Is its record that line?"""

    def place(self, at: int, /) -> Place:
        """Where it stood."""

    def label(self, at: int, /) -> str | None:
        """The row's label."""

    def group(self, at: int, /) -> str | None:
        """The row's group."""

    def keys(self, at: int, /) -> bytes:
        """What `curate.core.rows.row_keys` makes of the row."""

    def lengths(self, at: int, /) -> tuple[int, int]:
        """The characters of all its messages, and those of its conversation."""

    def ranks(self, at: int, settings: Dedup, /) -> tuple[float, ...] | None:
        """The numbers that `curate.dedup.which_stays` goes by, None where they were not worked out while reading."""

    def sound(self, at: int, /) -> bool:
        """Was it found while reading that validation has nothing to say of the row?"""

    def draws(self, at: int, split: Split, seed: int, /) -> tuple[float, int] | None:
        """What decides its side and its place there, as `curate.compose.split` draws it; None as for `ranks`."""

    def synthesized(self, at: int, /) -> bool:
        """Does the row say which seed it was made from?"""


class Entry:
    """A row, the place it came from, and the bytes that stood there: `verbatim` where they are the row as it is.

    It only says where its content is held: of millions of rows, few are in memory at a time.
    """

    __slots__ = ("at", "held", "id")

    def __init__(self, row: Row, place: Place, raw: bytes, verbatim: bool = False) -> None:
        self.held: Held = _Alone(row, place, raw, verbatim)
        self.at = 0
        self.id = row.id

    @classmethod
    def within(cls, held: Held, at: int, id: str) -> "Entry":
        """The entry with the number `at` of those that `held` holds."""
        entry = cls.__new__(cls)
        entry.held, entry.at, entry.id = held, at, id
        return entry

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entry):
            return NotImplemented
        return self.place == other.place and self.raw == other.raw and self.line == other.line

    __hash__ = None  # type: ignore[assignment]  # entries are told apart by identity, or by their ids

    @property
    def row(self) -> Row:
        """The row. It may be read and decoded anew each time: ask once, and ask `id` and the like where they do."""
        return self.held.row(self.at)

    @property
    def place(self) -> Place:
        """Where the record stood."""
        return self.held.place(self.at)

    @property
    def raw(self) -> bytes:
        """The bytes of the record."""
        return self.held.raw(self.at)

    @property
    def size(self) -> int:
        """How many bytes the record has."""
        return self.held.size(self.at)

    @property
    def verbatim(self) -> bool:
        """Are these bytes the row as it is?"""
        return self.held.verbatim(self.at)

    @property
    def line(self) -> bytes:
        """The row as a dataset's line: the bytes it came in where they say just this, else as we write it."""
        return self.held.line(self.at)

    @property
    def source(self) -> str:
        """The source that the record came from."""
        return self.held.source

    @property
    def label(self) -> str | None:
        """The row's label."""
        return self.held.label(self.at)

    @property
    def group(self) -> str | None:
        """The row's group."""
        return self.held.group(self.at)

    @property
    def keys(self) -> bytes:
        """What `curate.core.rows.row_keys` makes of the row."""
        return self.held.keys(self.at)


class _Alone:
    """One entry, held in memory."""

    __slots__ = ("_keys", "_place", "_raw", "_row", "_verbatim", "source")

    def __init__(self, row: Row, place: Place, raw: bytes, verbatim: bool) -> None:
        self._row, self._place, self._raw, self._verbatim = row, place, raw, verbatim
        self.source = place.source
        self._keys: bytes | None = None

    def row(self, _: int) -> Row:
        return self._row

    def raw(self, _: int) -> bytes:
        return self._raw

    def size(self, _: int) -> int:
        return len(self._raw)

    def line(self, _: int) -> bytes:
        return self._raw if self._verbatim else encode_row(self._row)

    def verbatim(self, _: int) -> bool:
        return self._verbatim

    def place(self, _: int) -> Place:
        return self._place

    def label(self, _: int) -> str | None:
        return self._row.label

    def group(self, _: int) -> str | None:
        return self._row.group

    def keys(self, _: int) -> bytes:
        if self._keys is None:
            self._keys = make_keys(self._row)
        return self._keys

    def lengths(self, _: int) -> tuple[int, int]:
        return text_lengths(self._row)

    def ranks(self, _: int, __: Dedup) -> None:
        return None

    def sound(self, _: int) -> bool:
        return False

    def draws(self, _: int, __: Split, ___: int) -> None:
        return None

    def synthesized(self, _: int) -> bool:
        return "synthetic" in self._row.meta


class Each(Sequence[T]):
    """What `read` gives for each of some entries, read when it is asked for."""

    def __init__(self, entries: Sequence[Entry], read: Callable[[Entry], T]) -> None:
        self._entries, self._read = entries, read

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return [self._read(entry) for entry in self._entries[at]]
        return self._read(self._entries[at])


class Rows(Each[Row]):
    """The rows of entries, each read when it is asked for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(entries, lambda entry: entry.row)


class Because(msgspec.Struct, frozen=True, omit_defaults=True):
    """The row that is kept instead of a rejected one, and how similar they are (1 = the same).

    `dataset` names the earlier dataset that it stands in, where it is not a row of this one.
    """

    id: str
    similarity: float
    dataset: str | None = None


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is left out: which, from where, by which stage and rule, and because of which other row.

    Its text stays where it is until it is asked for: a build may leave out millions of rows.
    """

    id: str | None
    path: str
    line: int
    offset: int
    stage: str
    reason: str
    detail: str
    because_of: Because | None = None
    held: Any = msgspec.field(name="raw")
    """The record's text, or an entry or `stored.Shelved` that has its bytes."""

    @property
    def raw(self) -> str:
        """The record's text; bytes that aren't UTF-8 are shown as `\\xff`."""
        return self.held if isinstance(self.held, str) else _as_text(self.held)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        if not isinstance(self.held, str):
            return int(self.held.size)
        return len(self.held) if self.held.isascii() else len(self.held.encode("utf-8", "replace"))


def _as_text(held: Any) -> str:
    raw: bytes = held.raw
    return raw.decode("utf-8", "backslashreplace")


_encoder = msgspec.json.Encoder(enc_hook=_as_text)

encode_rejection: Callable[[Rejection], bytes] = _encoder.encode
"""The rejection as one line of JSON."""


def encode_rejections(rejections: Iterable[Rejection]) -> bytes:
    """The rejections as lines of JSON, each with its end."""
    return _encoder.encode_lines(rejections)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage did. `ties` names, for rows that must stay on one side of a split, what they share.

    `conflicts` lists ids of rows with one prompt and different answers. `counts` are what else the manifest should say
    of the stage, such as {"repairs": {rule: how often}}.
    """

    kept: Sequence[Entry]
    rejections: Sequence[Rejection]
    ties: dict[str, str] = field(default_factory=dict)
    conflicts: list[list[str]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage may know: the recipe, the folder its paths start at, and what it may use.

    Arrays that would bring the process over `memory` bytes go into temporary files.
    """

    recipe: Recipe
    folder: Path
    threads: int = 1
    memory: int | None = None
    kept: "Kept | None" = None
    """What stages decided in earlier builds, None where nothing is kept."""
    decisions: "Decisions | None" = None
    """What people decided on the rows of the dataset that is built again, None where nobody has reviewed it."""


Stage = Callable[[Sequence[Entry], Context], Outcome]


def reject(entry: Entry, stage: str, reason: str, detail: str, because_of: Because | None = None) -> Rejection:
    """The rejection of an entry."""
    return _reject(entry.place, entry, stage, reason, detail, id=entry.id, because_of=because_of)


def reject_raw(place: Place, raw: bytes, stage: str, reason: str, detail: str, **more: Any) -> Rejection:
    """The rejection of bytes that may not be a row at all."""
    return _reject(place, raw.decode("utf-8", "backslashreplace"), stage, reason, detail, **more)


def _reject(place: Place, held: Any, stage: str, reason: str, detail: str, **more: Any) -> Rejection:
    return Rejection(
        **{"id": None, **more},
        path=place.path,
        line=place.line,
        offset=place.offset,
        stage=stage,
        reason=reason,
        detail=detail if detail.isascii() else detail.encode("utf-8", "backslashreplace").decode(),
        held=held,
    )
