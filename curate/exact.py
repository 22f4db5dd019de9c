"""Exact duplicates: rows that say the same in every message, up to case and whitespace. One of each is kept."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from curate.entries import Because, Context, Entry, Outcome, Rejection, reject
from curate.keys import row_key
from curate.preference import UNNAMED, preference

STAGE = "exact"


def drop_exact(entries: Sequence[Entry], context: Context) -> Outcome:
    """One row of each set of exact duplicates, then one of each id that several different rows claim."""
    prefer = preference(context.recipe.dedup or UNNAMED)
    rejections: list[Rejection] = []
    kept = _one_of_each(
        entries,
        row_key,
        prefer,
        lambda entry, best: rejections.append(
            reject(entry, STAGE, "exact-duplicate", f"says the same as {best.id}", Because(best.id, 1.0))
        ),
    )
    kept = _one_of_each(
        kept,
        lambda entry: entry.id,
        prefer,
        lambda entry, best: rejections.append(
            reject(entry, STAGE, "duplicate-id", f"the row at {best.place.path}:{best.place.line} has this id too")
        ),
    )
    return Outcome(kept, rejections)


def _one_of_each(
    entries: Iterable[Entry],
    key: Callable[[Entry], object],
    prefer: Callable[[Entry], tuple[Any, ...]],
    drop: Callable[[Entry, Entry], None],
) -> list[Entry]:
    """The best entry of each key, in the order in which the keys came; `drop` gets each other one, and the best."""
    firsts: dict[object, Entry] = {}
    groups: dict[object, list[Entry]] = {}
    for entry in entries:
        name = key(entry)
        first = firsts.setdefault(name, entry)
        if first is not entry:
            groups.setdefault(name, [first]).append(entry)
    if not groups:
        return list(firsts.values())
    kept = []
    for name, first in firsts.items():
        group = groups.get(name, ())
        best = min(group, key=prefer) if group else first
        kept.append(best)
        for entry in group:
            if entry is not best:
                drop(entry, best)
    return kept
