"""Items that were trained on: word for word once case and signs don't count, or near copies by word 3-grams."""

import re
from collections import Counter, defaultdict

from curate.core.digests import digest_file
from curate.core.errors import DataError, ProvenanceError
from curate.core.jsonl import decode_lines
from curate.core.places import find_path
from curate.core.rows import Row
from evalkit.contenders import question_text
from evalkit.gate.evidence import Evidence
from evalkit.gate.rules import Contamination

_WORD = re.compile(r"\w+")
Grams = frozenset[tuple[str, ...]]


def trained_on(rule: Contamination, evidence: Evidence) -> list[str]:
    """The ids of items that are among the training rows.

    Raises: DataError where the rows are missing; ProvenanceError where they are not those that the results name.
    """
    path = find_path(rule.train, evidence.folder)
    if not path.is_file():
        raise DataError("the training rows are not here", where=path)
    named = (evidence.ours.results.result["chain"].get("dataset") or {}).get("train")
    if named is not None and named != digest_file(path):
        raise ProvenanceError("these are not the training rows that the results name", where=path)
    items = {item.id: _grams(item) for item in evidence.items}
    holders: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, grams in items.items():
        for gram in grams:
            holders[gram].append(name)
    found: set[str] = set()
    for row in decode_lines(path, Row):
        grams = _grams(row)
        shared = Counter(name for gram in grams for name in holders.get(gram, ()))
        found |= {
            name for name, count in shared.items() if count / (len(grams) + len(items[name]) - count) >= rule.similarity
        }
    return [item.id for item in evidence.items if item.id in found]


def _grams(row: Row) -> Grams:
    """The word 3-grams of a question; a shorter one is a single gram."""
    words = _WORD.findall(question_text(row).casefold())
    return frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) > 2 else frozenset([tuple(words)])
