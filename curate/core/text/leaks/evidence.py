"""What was found: evidence for each row and item, the items that are touched, and what no tier can see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from curate.core.files import write_lines
from curate.core.text.leaks.items import Suite
from curate.core.text.leaks.settings import Decontaminate, Part

TIERS = ("whole", "ngram", "characters", "paraphrase")
EVIDENCE_FILE = "contamination.jsonl"
TOUCHED_FILE = "touched_items.jsonl"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a row is held to give away (a part of) an item.

    `score`: 1 for a whole item; for `ngram` the share of the item's own words that the row repeats in long runs; a
    similarity for the other tiers. `within` is `text`, `reasoning`, or `rejected` for the answer that preference rows
    hold beside the message. `found` is what stands at characters `start` to `end` of the text of the row's
    message number `message` (from 0), where it goes on into the next message its text included.
    """

    row: str
    suite: str
    item: str
    part: Part
    tier: str
    score: float
    message: int
    start: int
    end: int
    found: str
    item_text: str
    within: str = "text"


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation item that rows give away: scores on the clean part leave it out."""

    suite: str
    item: str
    parts: list[str]
    tiers: list[str]
    rows: int


@dataclass(frozen=True)
class Findings:
    """All evidence, by the number of the row; touched items; and what was looked for in vain or could not be.

    `common` are short items that stand in so many rows that only rows that say nothing else count; `blind` are items
    without a word in their question.
    """

    by_row: dict[int, list[Evidence]]
    touched: list[Touched]
    suites: list[Suite]
    common: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    template_share: float = 0.0
    """The share of the rows' words that is template and counts for nothing."""

    @property
    def evidence(self) -> list[Evidence]:
        """All evidence, in the order of the rows."""
        return [one for number in sorted(self.by_row) for one in self.by_row[number]]

    def summary(self, settings: Decontaminate) -> dict[str, Any]:
        """What manifests and reports show: counts by suite and tier, and what each tier cannot see."""
        touched = {suite.name: 0 for suite in self.suites}
        for item in self.touched:
            touched[item.suite] += 1
        rows = {tier: sum(any(e.tier == tier for e in found) for found in self.by_row.values()) for tier in TIERS}
        return {
            "action": settings.action,
            "suites": [
                {
                    "name": suite.name,
                    "files": suite.files,
                    "items": len(suite.items),
                    "touched": touched[suite.name],
                    "unreadable": suite.unreadable,
                }
                for suite in self.suites
            ],
            "rows": len(self.by_row),
            "template_share": round(self.template_share, 4),
            "common": self.common,
            "blind": self.blind,
            "tiers": [
                {"name": tier, "on": on, "rows": rows[tier], "cannot_see": unseen}
                for tier, on, unseen in cannot_see(settings)
            ],
        }


def cannot_see(settings: Decontaminate) -> list[tuple[str, bool, str]]:
    """For each tier its name, whether it is on, and what it misses, in words."""
    n, short = settings.ngram, settings.short_words
    window = (
        "what stands beyond the embedder's window, an item inside a much longer text, answers that are no code, "
        "other languages"
    )
    return [
        (
            "whole",
            True,
            "an item of which one word is changed, added or left out; an item of fewer than "
            f"{short} words inside a longer text; answers of fewer than {n} words",
        ),
        (
            "ngram",
            True,
            f"rephrased items: one changed word in every {n} hides all of it; items with fewer than {n} words beside "
            "template; translations",
        ),
        (
            "characters",
            settings.characters is not None,
            "rephrased or translated items; an item inside a much longer text; "
            f"answers of fewer than {n} words beside template",
        ),
        (
            "paraphrase",
            settings.paraphrases is not None,
            f"{window}; and it takes another question on the same subject for a paraphrase where only "
            "numbers or names differ",
        ),
    ]


def write_findings(findings: Findings, folder: Path) -> list[str]:
    """Write the evidence and the touched items as JSON Lines into `folder`; the names of the files."""
    files: dict[str, Sequence[msgspec.Struct]] = {EVIDENCE_FILE: findings.evidence, TOUCHED_FILE: findings.touched}
    for name, lines in files.items():
        write_lines(folder / name, (msgspec.json.encode(line) for line in lines))
    return list(files)
