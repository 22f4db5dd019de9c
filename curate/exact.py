"""Exact duplicates: rows that say the same in every message, up to case and whitespace. One of each is kept."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.chosen import first_names, keys, names, take
from curate.core.normalize import first_of_each
from curate.entries import Because, Context, Entry, Outcome, Rejection, reject
from curate.keys import ROW
from curate.preference import UNNAMED, preference

STAGE = "exact"


def drop_exact(entries: Sequence[Entry], context: Context) -> Outcome:
    """One row of each set of exact duplicates, then one of each id that several different rows claim."""
    prefer = preference(context.recipe.dedup or UNNAMED)
    rejections: list[Rejection] = []
    found = keys(entries, ROW)
    assert found is not None
    kept = _one_of_each(
        entries,
        first_of_each(found),
        prefer,
        lambda entry, best: rejections.append(
            reject(entry, STAGE, "exact-duplicate", f"says the same as {best.id}", Because(best.id, 1.0))
        ),
    )
    kept = _one_of_each(
        kept,
        first_names(names(kept)),
        prefer,
        lambda entry, best: rejections.append(
            reject(entry, STAGE, "duplicate-id", f"the row at {best.place.path}:{best.place.line} has this id too")
        ),
    )
    return Outcome(kept, rejections)


def _one_of_each(
    entries: Sequence[Entry],
    firsts: NDArray[np.int64],
    prefer: Callable[[Entry], tuple[Any, ...]],
    drop: Callable[[Entry, Entry], None],
) -> Sequence[Entry]:
    """The best of the entries with one first, in the order of the firsts; `drop` gets each other one, and the best."""
    groups: dict[int, list[int]] = {}
    for at in np.flatnonzero(firsts != np.arange(firsts.size)).tolist():
        groups.setdefault(int(firsts[at]), [int(firsts[at])]).append(at)
    stays = np.arange(firsts.size)
    for first, group in sorted(groups.items()):
        members = {at: entries[at] for at in group}
        best = min(group, key=lambda at: prefer(members[at]))
        stays[first] = best
        for at in group:
            if at != best:
                drop(members[at], members[best])
    return take(entries, stays[firsts == np.arange(firsts.size)])
