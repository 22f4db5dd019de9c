"""Exact duplicates: rows that say the same in every message, up to case and whitespace. One of each is kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curate.core.rows.row_keys import ROW
from curate.core.rows.row_text import first_of_each
from curate.dedup.which_stays import UNNAMED, in_order
from curate.recipe.recipe import Dedup
from curate.table.rejections import Found, Rejections, Repeats, Rule
from curate.table.row_ref import Context, Entry, Outcome, reject
from curate.table.selection import first_names, keys, take

STAGE = "exact"
_RULES = (Rule("exact-duplicate", "says the same as {name}"),)


def drop_exact(entries: Sequence[Entry], context: Context) -> Outcome:
    """One row of each set of exact duplicates, then one of each id that several different rows claim."""
    settings = context.recipe.dedup or UNNAMED
    found = keys(entries, ROW)
    assert found is not None
    kept, gone, best = _one_of_each(entries, first_of_each(*found), settings)
    repeats = Found(gone, best, np.ones(gone.size), np.zeros(gone.size, np.uint8))
    different, claiming, owner = _one_of_each(kept, first_names(kept), settings)
    claims = []
    for entry, other in zip(take(kept, claiming), take(kept, owner), strict=True):
        detail = f"the row at {other.place.path}:{other.place.line} has this id too"
        claims.append(reject(entry, STAGE, "duplicate-id", detail))
    return Outcome(different, Rejections(Repeats(STAGE, entries, repeats, _RULES), claims))


def _one_of_each(
    entries: Sequence[Entry], firsts: NDArray[np.int64], settings: Dedup
) -> tuple[Sequence[Entry], NDArray[np.int64], NDArray[np.int64]]:
    """The best of the entries with one first, in the order of the firsts; the positions of the others, and the best's.

    The others stand in the order of the firsts, then in their own.
    """
    there = np.arange(firsts.size)
    later = np.flatnonzero(firsts != there)
    members = np.unique(np.concatenate([firsts[later], later]))
    ranked = members[in_order(take(entries, members), settings)]
    heads, places = np.unique(firsts[ranked], return_index=True)
    stays = there.copy()
    stays[heads] = ranked[places]
    gone = members[stays[firsts[members]] != members]
    gone = gone[np.lexsort((gone, firsts[gone]))]
    return take(entries, stays[firsts == there]), gone, stays[firsts[gone]]
