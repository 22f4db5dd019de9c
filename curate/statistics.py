"""What is in some rows: lengths, classes, duplicates, and what so many rows are good for."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curate.core.normalize import chosen_text
from curate.core.rows import Row
from curate.fields import NO_VALUE, count_words
from curate.single_stage import Given, run_stages
from curate.sizes import advice, lengths
from curate.steps import DUPLICATES

_PARTS = {"conversation": "conversation", "prompt": "prompt", "answer": "answer"}
_FIELDS = ("label", "source", "origin")
_SHOWN_CLASSES = 20


def measure(given: Given) -> dict[str, Any]:
    """The statistics of these rows. Lengths count words; duplicates are rows that deduplication would drop."""
    rows = [entry.row for entry in given.entries]
    reasons = Counter(item.reason for item in run_stages(given, DUPLICATES).rejections) if rows else Counter()
    exact, near = reasons["exact-duplicate"], reasons["near-duplicate"]
    return {
        "rows": len(rows),
        "unreadable": len(given.unread),
        "exact_duplicates": exact,
        "near_duplicates": near,
        "duplicate_share": round((exact + near) / len(rows), 4) if rows else 0.0,
        "lengths": {part: lengths([count_words(chosen_text(row, on)) for row in rows]) for part, on in _PARTS.items()},
        "classes": {field: _classes(rows, field) for field in _FIELDS},
        "advice": advice(len(rows) - exact - near),
    }


def _classes(rows: Sequence[Row], field: str) -> dict[str, int]:
    counts = Counter(getattr(row, field) or NO_VALUE for row in rows)
    return dict(sorted(counts.most_common(_SHOWN_CLASSES), key=lambda item: (-item[1], item[0])))
