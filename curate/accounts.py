"""Accounts: every row that goes into a stage comes out of it, kept or rejected with a reason."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curate.entries import Entry, Outcome


def check_account(name: str, entries: Sequence[Entry], outcome: Outcome) -> None:
    """Raises: RuntimeError where kept and rejected together are not exactly what went in."""
    before = [(entry.place.path, entry.place.offset) for entry in entries]
    after = [(entry.place.path, entry.place.offset) for entry in outcome.kept]
    after += [(rejection.path, rejection.offset) for rejection in outcome.rejections]
    # Counting takes longer than sets, and is needed only where one place gave several rows.
    places = set(before)
    same = len(before) == len(after) and places == set(after)
    if not same or (len(places) < len(before) and Counter(before) != Counter(after)):
        kept, rejected = len(outcome.kept), len(outcome.rejections)
        raise RuntimeError(f"stage {name}: {len(entries)} rows went in, {kept} kept and {rejected} rejected came out")


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
