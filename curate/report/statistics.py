"""What is in some rows: lengths, classes, duplicates, and what so many rows are good for."""

from array import array
from collections import Counter
from typing import Any

from curate.build.one_stage import Given, run_named
from curate.build.stages import DUPLICATES
from curate.core.rows.row_text import chosen_text
from curate.report.sizes import advice, lengths
from curate.table.class_of_row import count_words
from curate.table.row_table import NO_VALUE

_PARTS = {"conversation": "conversation", "prompt": "prompt", "answer": "answer"}
_FIELDS = ("label", "source", "origin")
_SHOWN_CLASSES = 20


def measure(given: Given) -> dict[str, Any]:
    """The statistics of these rows. Lengths count words; duplicates are rows that deduplication would drop."""
    total = len(given.rows)
    found = run_named(given, DUPLICATES).run.rejections.reasons() if total else Counter[tuple[str, str]]()
    reasons = {reason: count for (_, reason), count in found.items()}
    words = {part: array("q") for part in _PARTS}
    classes = {field: Counter[str]() for field in _FIELDS}
    for row in given.rows.rows:
        for part, on in _PARTS.items():
            words[part].append(count_words(chosen_text(row, on)))
        for field in _FIELDS:
            classes[field][getattr(row, field) or NO_VALUE] += 1
    exact, near = reasons.get("exact-duplicate", 0), reasons.get("near-duplicate", 0)
    return {
        "rows": total,
        "unreadable": len(given.unread),
        "exact_duplicates": exact,
        "near_duplicates": near,
        "duplicate_share": round((exact + near) / total, 4) if total else 0.0,
        "lengths": {part: lengths(counts) for part, counts in words.items()},
        "classes": {field: _commonest(counts) for field, counts in classes.items()},
        "advice": advice(total - exact - near),
    }


def _commonest(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.most_common(_SHOWN_CLASSES), key=lambda item: (-item[1], item[0])))
