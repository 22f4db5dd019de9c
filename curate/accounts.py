"""Accounts: every row that goes into a stage comes out of it, kept or rejected with a reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from curate.entries import Entry, Outcome


def check_account(name: str, entries: Sequence[Entry], outcome: Outcome) -> None:
    """Raises: RuntimeError where kept and rejected together are not exactly what went in."""
    # Most rows come out as they went in: the places of the others are what has to be compared.
    gone, come = _differences(entries, outcome.kept)
    before, after = Counter(map(_place, gone)), Counter(map(_place, come))
    after.update((rejection.path, rejection.offset) for rejection in outcome.rejections)
    if len(entries) != len(outcome.kept) + len(outcome.rejections) or before != after:
        kept, rejected = len(outcome.kept), len(outcome.rejections)
        raise RuntimeError(f"stage {name}: {len(entries)} rows went in, {kept} kept and {rejected} rejected came out")


def _differences(entries: Sequence[Entry], kept: Sequence[Entry]) -> tuple[Iterable[Entry], Iterable[Entry]]:
    """What of `entries` is not in `kept`, and the other way round."""
    from curate.chosen import Chosen, differences  # with numpy, which commands that print help do not load

    if isinstance(entries, Chosen) and isinstance(kept, Chosen) and entries.whole is kept.whole:
        return differences(entries, kept), differences(kept, entries)
    before, after = list(map(_mark, entries)), list(map(_mark, kept))
    passed = set(before) & set(after)
    gone = [entry for entry, mark in zip(entries, before, strict=True) if mark not in passed]
    return gone, [entry for entry, mark in zip(kept, after, strict=True) if mark not in passed]


def _mark(entry: Entry) -> tuple[int, int]:
    """The same for entries of one row; those of the rows that are given outlive the marks."""
    return id(entry.held), entry.at


def _place(entry: Entry) -> tuple[str, int]:
    place = entry.place
    return place.path, place.offset


def count_stage(name: str, rows_in: int, outcome: Outcome) -> dict[str, Any]:
    """What a manifest says of a stage: rows in, kept, rejected, and why."""
    reasons = Counter(rejection.reason for rejection in outcome.rejections)
    return {
        "name": name,
        "rows_in": rows_in,
        "kept": len(outcome.kept),
        "rejected": len(outcome.rejections),
        "reasons": dict(sorted(reasons.items())),
        **outcome.counts,
    }
