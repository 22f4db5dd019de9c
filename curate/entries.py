"""What flows between the stages: rows with the place they came from, and rejections with a reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from curate.config import Recipe
from curate.core.rows import Row, encode_row


class Place(msgspec.Struct, frozen=True):
    """Where a record stands: the source, the path as the recipe words it, the line from 1, the byte offset from 0."""

    source: str
    path: str
    line: int
    offset: int


class Entry(msgspec.Struct, frozen=True):
    """A row, the place it came from, and the bytes that stood there: `verbatim` where they are the row as it is."""

    row: Row
    place: Place
    raw: bytes
    verbatim: bool = False
    keys: bytes | None = None
    """What `curate.keys` made of the row; whoever makes an entry leaves it out."""

    @property
    def line(self) -> bytes:
        """The row as a dataset's line: the bytes it came in where they say just this, else as we write it."""
        return self.raw if self.verbatim else encode_row(self.row)


class Because(msgspec.Struct, frozen=True, omit_defaults=True):
    """The row that is kept instead of a rejected one, and how similar they are (1 = the same).

    `dataset` names the earlier dataset that it stands in, where it is not a row of this one.
    """

    id: str
    similarity: float
    dataset: str | None = None


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is left out: which, from where, by which stage and rule, and because of which other row."""

    id: str | None
    path: str
    line: int
    offset: int
    stage: str
    reason: str
    detail: str
    because_of: Because | None = None
    raw: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage did. `ties` names, for rows that must stay on one side of a split, what they share.

    `conflicts` lists ids of rows with one prompt and different answers. `counts` are what else the manifest should say
    of the stage, such as {"repairs": {rule: how often}}.
    """

    kept: list[Entry]
    rejections: list[Rejection]
    ties: dict[str, str] = field(default_factory=dict)
    conflicts: list[list[str]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage may know: the recipe, the folder its paths start at, and how many threads to use."""

    recipe: Recipe
    folder: Path
    threads: int = 1


Stage = Callable[[Sequence[Entry], Context], Outcome]


def reject(entry: Entry, stage: str, reason: str, detail: str, because_of: Because | None = None) -> Rejection:
    """The rejection of an entry."""
    return reject_raw(entry.place, entry.raw, stage, reason, detail, id=entry.row.id, because_of=because_of)


def reject_raw(place: Place, raw: bytes, stage: str, reason: str, detail: str, **more: Any) -> Rejection:
    """The rejection of bytes that may not be a row at all; those that aren't UTF-8 are shown as `\\xff`."""
    return Rejection(
        **{"id": None, **more},
        path=place.path,
        line=place.line,
        offset=place.offset,
        stage=stage,
        reason=reason,
        detail=detail.encode("utf-8", "backslashreplace").decode(),
        raw=raw.decode("utf-8", "backslashreplace"),
    )
