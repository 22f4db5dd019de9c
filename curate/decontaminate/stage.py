"""The stage: rows that give away evaluation items are held back, each with the evidence."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curate.core.text.leaks.evidence import TIERS, Evidence, Findings
from curate.core.text.leaks.items import Suite
from curate.core.text.leaks.search import find_contamination
from curate.core.text.leaks.settings import Decontaminate
from curate.decontaminate.suites import read_suites
from curate.table.row_ref import Because, Entry, Outcome, Rows, reject
from curate.table.selection import take

STAGE = "decontaminate"
_REASONS = {"quarantine": "quarantined", "drop": "contaminated"}


def decontaminate(
    entries: Sequence[Entry],
    settings: Decontaminate,
    *,
    folder: Path,
    threads: int = 1,
    suites: Sequence[Suite] | None = None,
) -> tuple[Outcome, Findings]:
    """The entries without those that give away items, and all that was found.

    `suites` are read from what the settings name, relative to `folder`, unless they are given. With the action
    `report` every entry stays. Raises: DataError where a suite can't be read; what `find_contamination` raises.
    """
    known = read_suites(settings.against, folder) if suites is None else suites
    findings = find_contamination(Rows(entries), known, settings, folder=folder, threads=threads)
    if settings.action == "report":
        return Outcome(entries, []), findings
    rejections = []
    stays = np.ones(len(entries), np.bool_)
    for number in sorted(findings.by_row):
        entry = entries[number]
        stays[number] = False
        best = min(findings.by_row[number], key=lambda one: (TIERS.index(one.tier), -one.score))
        because = Because(f"{best.suite}/{best.item}", best.score)
        rejections.append(reject(entry, STAGE, _REASONS[settings.action], describe(best), because))
    return Outcome(take(entries, stays), rejections), findings


def describe(evidence: Evidence) -> str:
    """The evidence in a sentence."""
    item = f"the {evidence.part} of item {evidence.item} of {evidence.suite}"
    place = f"message {evidence.message}, characters {evidence.start} to {evidence.end}"
    return {
        "whole": f"{place}: {item}, whole",
        "ngram": f"{place}: a run of words of {item}; {evidence.score:.0%} of its own words stand in such runs",
        "characters": f"{place}: nearly {item}; Jaccard similarity {evidence.score:.4f}",
        "paraphrase": f"{place}: means nearly the same as {item}; cosine similarity {evidence.score:.4f}",
    }[evidence.tier]
