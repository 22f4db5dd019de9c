"""Ties: which rows must stay on one side of a split. A tie is what rows share; it is named by the smallest id."""

from collections.abc import Mapping

import numpy as np

from curate.core.rows.row import Row
from curate.core.union_find import UnionFind
from curate.table.selection import RowSelection


def merge_ties(*several: Mapping[str, str]) -> dict[str, str]:
    """One tie for each row that any of the mappings ties: rows that share a tie in one of them share it here."""
    given = [ties for ties in several if ties]
    if len(given) < 2:
        return dict(given[0]) if given else {}
    sets = UnionFind[str]()
    first: dict[tuple[int, str], str] = {}
    for number, ties in enumerate(given):
        for row, tie in ties.items():
            sets.join(row, first.setdefault((number, tie), row))
    return sets.all()


def seed_ties(rows: RowSelection) -> dict[str, str]:
    """Row id -> what it shares with its seed and its siblings, for rows made of others (`curate synthesize`).

    A split that tears them apart tests on what is nearly in train. Merge these with the ties of deduplication.
    """
    made = np.flatnonzero(rows.column("is_made")).tolist()
    if not made:
        return {}
    roots: dict[str, str | None] = dict.fromkeys(rows.ids())
    roots |= {row.id: _seed_of(row) for row in rows.take(made).rows}
    seeds = {root for root in roots.values() if root is not None}
    ties = {}
    for row_id, root in roots.items():
        tie = root if root is not None else row_id if row_id in seeds else None
        if tie is not None:
            # A row made from a made row belongs to the first seed of all.
            seen = {tie}
            while (above := roots.get(tie)) is not None and above not in seen:
                seen.add(tie := above)
            ties[row_id] = f"seed\x00{tie}"
    return ties


def _seed_of(row: Row) -> str | None:
    origin = row.meta.get("synthetic")
    seed = origin.get("seed_row") if isinstance(origin, dict) else None
    return seed if isinstance(seed, str) else None
