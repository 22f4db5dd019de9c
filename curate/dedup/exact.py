"""Exact duplicates: rows that say the same in all that is read of them. One of each is kept.

Prompts are the same up to case and whitespace, answers up to blanks that indent nothing. Then each
row has an id of its own: ids are told apart by source, and of several rows of one source one keeps it.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row import content_id
from curate.core.rows.row_text import first_of_each
from curate.dedup.source_ids import rename_ids, told_ids
from curate.dedup.which_stays import UNNAMED, in_order
from curate.recipe.recipe import Dedup
from curate.table.rejections import Block, Instead, Rejections, Rule
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult

_RULES = (Rule("exact-duplicate", "says the same as {name}"),)


class ExactDuplicates(Stage):
    """One row of each set of exact duplicates stays, then one of each id that several rows of one source claim."""

    name = "exact"
    finds_duplicates = True

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left."""
        settings = context.recipe.dedup or UNNAMED
        kept, gone, best = _one_of_each(rows, first_of_each(rows.column("row_key"), np.arange(len(rows))), settings)
        before = kept.numbers
        kept, renamed = rename_ids(_with_own_ids(kept, settings))
        new = before != kept.numbers
        named = dict(zip(before[new].tolist(), kept.numbers[new].tolist(), strict=True))
        stays = [named.get(number, number) for number in rows.numbers[best].tolist()]
        instead = Instead(rows.table, np.array(stays, np.int64), np.ones(gone.size))
        repeats = Block(self.name, rows.take(gone), _RULES, np.zeros(gone.size, np.uint8), None, instead)
        different, claiming, owner = _one_of_each(kept, kept.first_with_id(), settings)
        why = []
        for other in kept.take(owner):
            place = other.place
            why.append(("duplicate-id", f"the row at {place.path}:{place.line} has this id too"))
        claims = Rejections.of_rows(self.name, kept.take(claiming), why)
        if not renamed:
            return StageResult(different, Rejections([repeats]) + claims)
        told = told_ids(RowSelection(rows.table, np.array(list(renamed.values()))))
        counts = {"warnings": {"id-of-another-source": len(renamed)}}
        return StageResult(different, Rejections([repeats]) + claims, counts=counts, warnings=[told])


def _with_own_ids(rows: RowSelection, settings: Dedup) -> RowSelection:
    """The rows, those with an id of their own that were given one by their messages and share it with others.

    Such an id says nothing of a label or a rejected answer; the preferred of these rows keeps it.
    """
    _, claiming, _ = _one_of_each(rows, rows.first_with_id(), settings)
    made = {at: row for at in claiming.tolist() if (row := rows[at].row).id == content_id(row.messages, row.tools)}
    if not made:
        return rows
    keys = rows.column("row_key")
    named = [msgspec.structs.replace(row, id=f"{row.id}-{keys[at].tobytes().hex()[:8]}") for at, row in made.items()]
    return rows.changed(list(made), named, own_record=True)


def _one_of_each(
    rows: RowSelection, firsts: NDArray[np.int64], settings: Dedup
) -> tuple[RowSelection, NDArray[np.int64], NDArray[np.int64]]:
    """The best of the rows with one first, in the order of the firsts; the positions of the others, and the best's.

    The others stand in the order of the firsts, then in their own.
    """
    there = np.arange(firsts.size)
    later = np.flatnonzero(firsts != there)
    members = np.unique(np.concatenate([firsts[later], later]))
    ranked = members[in_order(rows.take(members), settings)]
    heads, places = np.unique(firsts[ranked], return_index=True)
    stays = there.copy()
    stays[heads] = ranked[places]
    gone = members[stays[firsts[members]] != members]
    gone = gone[np.lexsort((gone, firsts[gone]))]
    return rows.take(stays[firsts == there]), gone, stays[firsts[gone]]
