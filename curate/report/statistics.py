"""What is in some rows: lengths, classes, duplicates, and what so many rows are good for."""

from array import array
from collections import Counter
from pathlib import Path
from typing import Any

from curate.build.one_stage import Given, run_named
from curate.build.stages import DUPLICATES
from curate.core.rows.row_text import chosen_text
from curate.core.sources.records import find_inputs
from curate.core.sources.row_readers import pinned
from curate.report.sizes import advice, lengths
from curate.table.class_of_row import count_words
from curate.table.rejections import Rejections
from curate.table.row_table import NO_VALUE
from curate.table.stage import Context

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
        "formats": _formats(given.context),
        "unreadable": len(given.unread),
        "unread": _unread(given.unread),
        "exact_duplicates": exact,
        "near_duplicates": near,
        "duplicate_share": round((exact + near) / total, 4) if total else 0.0,
        "lengths": {part: lengths(counts) for part, counts in words.items()},
        "classes": {field: _commonest(counts) for field, counts in classes.items()},
        "advice": advice(total - exact - near) if total else [],
    }


def _formats(context: Context) -> dict[str, int]:
    """How many files are read in each format."""
    (source,) = context.recipe.sources
    files = (found for path in source.paths for found in find_inputs(path, Path()))
    return dict(Counter(str(pinned(source, found).format) for found in files))


def _unread(rejections: Rejections) -> list[dict[str, Any]]:
    """Why records could not be read: each reason with how many there are and the first of them."""
    found: dict[str, dict[str, Any]] = {}
    for each in rejections:
        first = {"reason": each.reason, "records": 0, "first": f"{each.path}:{each.line}: {each.detail}"}
        found.setdefault(each.reason, first)["records"] += 1
    return sorted(found.values(), key=lambda reason: -reason["records"])


def _commonest(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.most_common(_SHOWN_CLASSES), key=lambda item: (-item[1], item[0])))
