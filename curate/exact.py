"""Exact duplicates: rows that say the same in every message, up to case and whitespace. One of each is kept."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from curate.config import Dedup
from curate.entries import Because, Context, Entry, Outcome, Rejection, reject
from curate.keys import row_key
from curate.preference import preference

STAGE = "exact"


def drop_exact(entries: Sequence[Entry], context: Context) -> Outcome:
    """One row of each set of exact duplicates, then one of each id that several different rows claim."""
    prefer = preference(context.recipe.dedup or Dedup())
    rejections: list[Rejection] = []
    kept = _one_of_each(
        entries,
        row_key,
        prefer,
        lambda entry, best: rejections.append(
            reject(entry, STAGE, "exact-duplicate", f"says the same as {best.row.id}", Because(best.row.id, 1.0))
        ),
    )
    kept = _one_of_each(
        kept,
        lambda entry: entry.row.id,
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
    groups: dict[object, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    kept = []
    for group in groups.values():
        best = min(group, key=prefer) if len(group) > 1 else group[0]
        kept.append(best)
        for entry in group:
            if entry is not best:
                drop(entry, best)
    return kept
