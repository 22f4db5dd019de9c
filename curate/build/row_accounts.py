"""Accounts: every row that goes into a stage comes out of it, kept or rejected with a reason."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curate.table.row_ref import Entry, Outcome, Rejection


def check_account(name: str, entries: Sequence[Entry], outcome: Outcome) -> None:
    """Raises: RuntimeError where kept and rejected together are not exactly what went in."""
    # Imported here with numpy, which commands that print help do not load.
    from curate.table.selection import left_out, spots, take

    # Most rows come out as they went in: the places of the others are what has to be compared.
    gone = take(entries, left_out(entries, outcome.kept))
    new = take(outcome.kept, left_out(outcome.kept, entries))
    kept, rejected = len(outcome.kept), len(outcome.rejections)
    if len(entries) == kept + rejected and not new and _are_those(gone, outcome.rejections):
        return
    before = Counter((path, at) for path, _, at in spots(gone))
    after = Counter((path, at) for path, _, at in spots(new))
    after.update([(rejection.path, rejection.offset) for rejection in outcome.rejections])
    if len(entries) != kept + rejected or before != after:
        raise RuntimeError(f"stage {name}: {len(entries)} rows went in, {kept} kept and {rejected} rejected came out")


def _are_those(gone: Sequence[Entry], rejections: Sequence[Rejection]) -> bool:
    """Are the rejections of these very rows? Where a stage made new rows of them, they are not, and may still fit."""
    import numpy as np

    from curate.table.rejections import rejected_rows
    from curate.table.selection import positions

    rows = rejected_rows(rejections)
    return rows is not None and np.array_equal(np.sort(positions(gone, rows)), np.arange(len(gone)))


def count_stage(name: str, rows_in: int, outcome: Outcome) -> dict[str, Any]:
    """What a manifest says of a stage: rows in, kept, rejected, and why."""
    from curate.table.rejections import count_reasons

    counts: Counter[str] = Counter()
    for (_, reason), count in count_reasons(outcome.rejections).items():
        counts[reason] += count
    return {
        "name": name,
        "rows_in": rows_in,
        "kept": len(outcome.kept),
        "rejected": len(outcome.rejections),
        "reasons": dict(sorted(counts.items())),
        **outcome.counts,
    }
