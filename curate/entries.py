"""What flows between the stages: rows with the place they came from, and rejections with a reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from curate.config import Recipe
from curate.core.rows import Row


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: the source, the path as the recipe words it, the line from 1, the byte offset from 0."""

    source: str
    path: str
    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, the place it came from, and the bytes that stood there."""

    row: Row
    place: Place
    raw: bytes


class Because(msgspec.Struct, frozen=True):
    """The row that is kept instead of a rejected one, and how similar they are (1 = the same)."""

    id: str
    similarity: float


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

    `conflicts` lists ids of rows with one prompt and different answers.
    """

    kept: list[Entry]
    rejections: list[Rejection]
    ties: dict[str, str] = field(default_factory=dict)
    conflicts: list[list[str]] = field(default_factory=list)


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
