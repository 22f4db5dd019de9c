"""Rows that change sides: a rebuild says which stand on another side than in the dataset that it replaces."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from curate.core.errors import AcidtestError
from curate.core.files import decode_lines
from curate.core.manifest import MANIFEST, SIDES, Side, peek_manifest
from curate.recipe.recipe import Recipe, recipe_of
from curate.table.selection import RowSelection

_SHOWN = 5


class _Named(msgspec.Struct):
    """A line of which only the row's id is of interest."""

    id: str


def find_moved(folder: Path, recipe: Recipe, sides: Mapping[Side, RowSelection]) -> dict[str, str]:
    """Row id -> `train to val` and the like, for rows that stood on another side in the dataset in `folder`.

    Nothing where there is none, or where it was divided by other settings: then rows are meant to move.
    """
    old = peek_manifest(folder / MANIFEST)
    try:
        if old is None or _drawn_by(recipe_of(old)) != _drawn_by(recipe):
            return {}
    except ValidationError:  # a recipe of another version
        return {}
    before = {side: _hashes(folder / f"{side}.jsonl") for side in SIDES}
    return {
        name: f"{was} to {side}"
        for side, rows in sides.items()
        for was in SIDES
        if was != side
        for name in rows.take(_only_in(rows.column("id_hash"), before[was], before[side])).ids()
    }


def told_moves(moved: Mapping[str, str]) -> str:
    """A sentence on rows that moved."""
    shown = ", ".join(f"{name} ({way})" for name, way in list(moved.items())[:_SHOWN])
    more = f" and {len(moved) - _SHOWN} more, in manifest.json under `environment`" if len(moved) > _SHOWN else ""
    return (
        f"{len(moved)} rows stand on another side than in the dataset that was here, because of rows that they belong"
        f" to now: {shown}{more}"
    )


def _drawn_by(recipe: Recipe) -> tuple[object, int]:
    return recipe.split, recipe.seed


def _hashes(path: Path) -> NDArray[np.int64]:
    """The hashes of the ids in a file of rows, as a table has them; none where it can't be read."""

    def hashes() -> Iterator[int]:
        for row in decode_lines(path, _Named):
            yield hash(row.id)

    try:
        return np.fromiter(hashes(), np.int64)
    except (AcidtestError, OSError):
        return np.empty(0, np.int64)


def _only_in(hashes: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isin(hashes, one) & ~np.isin(hashes, other)
    return found
