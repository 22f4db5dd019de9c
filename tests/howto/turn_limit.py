"""Conversations that are longer than the recipe allows."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curate.recipe.recipe import Recipe
from curate.table.chunk import ChunkRows, Makers
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult


@dataclass(frozen=True)
class TurnCount:
    """How many messages each row has, as a column."""

    name: ClassVar[str] = "turns"

    def make(self, rows: ChunkRows) -> NDArray[np.int64]:
        """The numbers of these rows' messages, shape (n,)."""
        return np.array([len(row.messages) for row in rows.rows], np.int64)


class TurnLimit(Stage):
    """Rows of at most `max_turns` messages stay."""

    name = "turn-limit"

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe set a limit?"""
        return recipe.max_turns is not None

    def makers(self, recipe: Recipe, folder: Path) -> Makers:  # noqa: ARG002 - a stage's
        """The column that rows are chosen by."""
        return Makers((TurnCount(),))

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are short enough."""
        turns = rows.values(TurnCount())
        gone = np.flatnonzero(turns > (context.recipe.max_turns or 0)).tolist()
        why = [("too-many-turns", f"{turns[at]} messages") for at in gone]
        return StageResult(rows.without(gone), Rejections.of_rows(self.name, rows.take(gone), why))
