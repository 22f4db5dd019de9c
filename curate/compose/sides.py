"""From the rows that passed to the files of each side: ties, split, repetitions in train, canaries in train."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from curate.compose.canaries import SOURCE, plant
from curate.compose.mix import repeat_rows
from curate.compose.split import split_rows
from curate.core.files import json_lines
from curate.core.manifest import Side
from curate.recipe.canaries import Canaries
from curate.recipe.recipe import Recipe
from curate.table.selection import RowSelection

CANARIES_FILE = "canaries.jsonl"


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows of each side. `added` counts train rows that are no row of a source; `canaries` is their record.

    `warnings` are sentences for people.
    """

    rows: dict[Side, RowSelection]
    added: dict[str, int] = field(default_factory=dict)
    canaries: dict[str, object] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def all(self) -> RowSelection:
        """The rows of all sides, one side's after the other's."""
        first, *others = self.rows.values()
        return first.followed_by(*others)


def compose(rows: RowSelection, recipe: Recipe, ties: Mapping[str, str], repetitions: Mapping[str, int]) -> Sides:
    """The sides of the dataset. Repetitions and canaries go into train alone, after the split.

    Raises: DataError where a repetition's id is taken or canaries find no place.
    """
    warnings: list[str] = []
    sides = split_rows(rows, recipe.split, recipe.seed, ties, warnings)
    added: dict[str, int] = {}
    if repetitions:
        seed = recipe.seed if recipe.split.seed is None else recipe.split.seed
        before = len(sides["train"])
        sides["train"] = repeat_rows(sides["train"], repetitions, seed)
        added["repeats"] = len(sides["train"]) - before
    if recipe.canaries is not None and not sides["train"]:
        warnings.append("train is empty, so no canaries are planted")
    elif recipe.canaries is not None:
        return replace(_with_canaries(sides, recipe.canaries, added), warnings=warnings)
    return Sides(sides, added, warnings=warnings)


def _with_canaries(sides: dict[Side, RowSelection], settings: Canaries, added: dict[str, int]) -> Sides:
    train = sides["train"]
    planted = plant(train.rows, settings)
    hosts = train.find(planted.lines.keys()).tolist()
    changed = train.changed(hosts, [planted.changed(train[at].row) for at in hosts], own_record=True)
    extra = RowSelection.of_rows(planted.extra, SOURCE, CANARIES_FILE, train.table)
    return Sides(
        {**sides, "train": changed.followed_by(extra)},
        {**added, "canaries": len(extra)},
        planted.record(),
        {CANARIES_FILE: json_lines(planted.canaries)},
    )
