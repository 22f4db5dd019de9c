"""Accounts: every row that goes into a stage comes out of it, kept or rejected with a reason."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curate.entries import Entry, Outcome


def check_account(name: str, entries: Sequence[Entry], outcome: Outcome) -> None:
    """Raises: RuntimeError where kept and rejected together are not exactly what went in."""
    from curate.chosen import left_out, spots, take  # with numpy, which commands that print help do not load

    # Most rows come out as they went in: the places of the others are what has to be compared.
    before = Counter((path, at) for path, _, at in spots(take(entries, left_out(entries, outcome.kept))))
    after = Counter((path, at) for path, _, at in spots(take(outcome.kept, left_out(outcome.kept, entries))))
    after.update([(rejection.path, rejection.offset) for rejection in outcome.rejections])
    if len(entries) != len(outcome.kept) + len(outcome.rejections) or before != after:
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
