"""A stage of curation: rows in, rows and rejections out, and what it has to tell.

Each stage is one object in one file; `curate.build.stages` lists them in their order. A build and the command that runs
a stage alone call the same object.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from curate.core.sources.records import Input
from curate.core.sources.source import Source
from curate.recipe.recipe import Recipe
from curate.table.chunk import Makers
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection

Measured = Mapping[str, Mapping[str, Any]]
"""Values that were worked out of rows, for later stages: column -> row id -> value."""
Table = tuple[Sequence[str], Sequence[Sequence[object]]]
"""A table for people: its head and its lines."""


class InputFile(NamedTuple):
    """A file that the dataset depends on: a source, a join, an adapter, decisions and so on; `name` is the source's."""

    name: str
    kind: str
    input: Input
    digest: str


class Cache(Protocol):
    """What stages made of the same rows in earlier builds."""

    @property
    def screens(self) -> Path:
        """The folder for what screens measure."""

    def of_part(self, name: str, settings: object, kinds: frozenset[str], make: Callable[[], list[int]]) -> list[int]:
        """Some numbers that depend on the rows, on settings and on input files of these kinds: known, or made now."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage may know: the recipe, the folder its paths start at, and what it may use.

    Arrays that would bring the process over `memory` bytes go into temporary files.
    """

    recipe: Recipe
    folder: Path
    threads: int = 1
    memory: int | None = None
    cache: Cache | None = None
    """What stages made in earlier builds, None where nothing is kept."""
    read: Callable[["Context", Source], tuple[RowSelection, int] | None] | None = None
    """Reads a source that a stage compares with: its rows and how many records are none; None without files."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage did.

    `ties` names, for ids of rows that must stay on one side of a split, what they share. `conflicts` lists ids of rows
    with one prompt and different answers. `counts` are what else the manifest should say of the stage, such as
    {"repairs": {rule: how often}}. `report` goes into the manifest, `files` beside the dataset: name -> content.
    `measured` are columns for later stages; `repetitions` says how often training sees a row, where more than once.
    """

    kept: RowSelection
    rejections: Rejections = field(default_factory=Rejections)
    ties: dict[str, str] = field(default_factory=dict)
    conflicts: list[list[str]] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    report: Any = None
    warnings: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    repetitions: dict[str, int] = field(default_factory=dict)


class CacheKey(NamedTuple):
    """What a stage's result depends on beside the rows: its settings, and the kinds of its input files."""

    settings: object
    kinds: frozenset[str] = frozenset()


class Stage:
    """A stage; what it doesn't say otherwise is what most stages do."""

    name: ClassVar[str]
    composes: ClassVar[bool] = False
    """Does it take out good rows on purpose? What it leaves is then no sign that something is wrong."""
    finds_duplicates: ClassVar[bool] = False
    """Do its rejections repeat another row, and say which?"""

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe, whose paths start at `folder`, ask for it?"""
        return True

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:
        """What it does to the rows; `measured` are columns of earlier stages."""
        raise NotImplementedError

    def cache_key(self, context: Context) -> CacheKey | None:  # noqa: ARG002 - a stage's
        """Where it costs something and only takes rows out, what its result depends on: it is kept for later builds."""
        return None

    def makers(self, recipe: Recipe, folder: Path) -> Makers:  # noqa: ARG002 - a stage's
        """What it wants to know of every row, to be worked out while rows are read."""
        return Makers()

    def inputs(self, context: Context) -> Iterator[tuple[str, str, Input]]:  # noqa: ARG002 - a stage's
        """The files that it reads beside the sources: a name, a kind and the file of each."""
        return iter(())

    def card(self, report: Any) -> str:  # noqa: ARG002 - a stage's
        """The card's section on its report, in Markdown."""
        return ""

    def tables(self, report: Any) -> Iterator[Table]:  # noqa: ARG002 - a stage's
        """What the terminal shows of its report where the stage runs alone, as a command."""
        return iter(())
