"""From the rows that passed to the files of each side: ties, split, repetitions in train, canaries in train."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from curate.compose.canaries import SOURCE, Canaries, plant
from curate.compose.mix import repeat_rows
from curate.compose.split import split_rows
from curate.core.rows.row import Row, encode_row
from curate.recipe.recipe import Recipe, Side
from curate.table.row_ref import Entry, Place, Rows

CANARIES_FILE = "canaries.jsonl"


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows of each side. `added` counts train rows that are no row of a source; `canaries` is their record."""

    rows: dict[Side, Sequence[Entry]]
    added: dict[str, int] = field(default_factory=dict)
    canaries: dict[str, object] | None = None
    files: dict[str, bytes] = field(default_factory=dict)


def compose(entries: Sequence[Entry], recipe: Recipe, ties: Mapping[str, str], times: Mapping[str, int]) -> Sides:
    """The sides of the dataset. Repetitions and canaries go into train alone, after the split.

    Raises: DataError where a repetition's id is taken or canaries find no place.
    """
    sides = split_rows(entries, recipe.split, recipe.seed, ties)
    added: dict[str, int] = {}
    if times:
        seed = recipe.seed if recipe.split.seed is None else recipe.split.seed
        before = len(sides["train"])
        sides["train"] = repeat_rows(sides["train"], times, seed)
        added["repeats"] = len(sides["train"]) - before
    if recipe.canaries is None or not sides["train"]:
        return Sides(sides, added)
    return _with_canaries(sides, recipe.canaries, added)


def _with_canaries(sides: dict[Side, Sequence[Entry]], settings: Canaries, added: dict[str, int]) -> Sides:
    train = sides["train"]
    planted = plant(Rows(train), settings)
    changed: list[Entry] = []
    for entry in train:
        if entry.id in planted.lines:
            row = planted.changed(entry.row)
            changed.append(Entry(row, entry.place, encode_row(row)))
        else:
            changed.append(entry)
    extra = [_canary_entry(row, number) for number, row in enumerate(planted.extra)]
    lines = b"".join(msgspec.json.encode(canary) + b"\n" for canary in planted.canaries)
    return Sides(
        {**sides, "train": changed + extra},
        {**added, "canaries": len(extra)},
        planted.record(),
        {CANARIES_FILE: lines},
    )


def _canary_entry(row: Row, number: int) -> Entry:
    return Entry(row, Place(SOURCE, CANARIES_FILE, number + 1, number), encode_row(row))


def merge_ties(*several: Mapping[str, str]) -> dict[str, str]:
    """One tie for each row that any of the mappings ties: rows that share a tie in one of them share it here."""
    given = [ties for ties in several if ties]
    if len(given) < 2:
        return dict(given[0]) if given else {}
    members: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    of_row: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, ties in enumerate(given):
        for row, tie in ties.items():
            members[number, tie].append(row)
            of_row[row].append((number, tie))
    merged: dict[str, str] = {}
    for row in of_row:
        if row not in merged:
            together, waiting = {row}, [row]
            while waiting:
                near = {other for tie in of_row[waiting.pop()] for other in members[tie]} - together
                together |= near
                waiting += near
            merged.update(dict.fromkeys(together, min(together)))
    return merged


def describe_added(sides: Sides) -> dict[str, Any]:
    """What the manifest says of rows that no source has; empty where there is none."""
    facts: dict[str, Any] = {}
    if sides.added:
        facts["added"] = sides.added
    if sides.canaries is not None:
        facts["canaries"] = sides.canaries
    return facts
