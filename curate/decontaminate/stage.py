"""The stage: rows that give away evaluation items are held back, each with the evidence."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.core.files import json_lines
from curate.core.markdown import table
from curate.core.sources.records import Input, find_inputs
from curate.core.text.leaks.evidence import EVIDENCE_FILE, TIERS, TOUCHED_FILE, Evidence, Findings
from curate.core.text.leaks.settings import Decontaminate
from curate.decontaminate.suites import read_suites
from curate.recipe.recipe import Recipe
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import CacheKey, Context, Measured, Stage, StageResult, Table

_REASONS = {"quarantine": "quarantined", "drop": "contaminated"}


class Decontamination(Stage):
    """Rows stay that give away no item of an evaluation; with the action `report` all do."""

    name = "decontaminate"

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe name suites?"""
        return recipe.decontaminate is not None

    def inputs(self, context: Context) -> Iterator[tuple[str, str, Input]]:
        """The suites."""
        settings = context.recipe.decontaminate
        for against in settings.against if settings is not None else ():
            for file in find_inputs(against.path, context.folder):
                yield against.name or against.path, "suite", file

    def cache_key(self, context: Context) -> CacheKey:
        """The settings, the embedder, and the suites."""
        settings = context.recipe.decontaminate
        assert settings is not None
        embedder = None
        if settings.paraphrases:
            from curate.core.text.embedding import find_embedder

            embedder = find_embedder(settings.paraphrases.embedder, context.folder).digest
        return CacheKey([settings.model_dump(mode="json", by_alias=True), embedder], frozenset({"suite"}))

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, with the evidence. Raises: DataError where a suite can't be read."""
        from curate.core.text.leaks.search import find_contamination  # loads machine code

        settings = context.recipe.decontaminate
        assert settings is not None
        suites = read_suites(settings.against, context.folder)
        findings = find_contamination(rows.rows, suites, settings, folder=context.folder, threads=context.threads)
        unreadable = [f"{len(suite.unreadable)} items of {suite.name} can't be read" for suite in findings.suites
                      if suite.unreadable]  # fmt: skip
        files = {EVIDENCE_FILE: json_lines(findings.evidence), TOUCHED_FILE: json_lines(findings.touched)}
        kept, rejections = held_back(rows, findings, settings)
        report = findings.summary(settings)
        return StageResult(kept, rejections, report=report, warnings=unreadable, files=files)

    def card(self, report: Mapping[str, Any]) -> str:
        """What was found, by suite and by tier."""
        suites = [[one["name"], one["items"], one["touched"], len(one["unreadable"])] for one in report["suites"]]
        tiers = [[one["name"], "on" if one["on"] else "off", one["rows"], one["cannot_see"]] for one in report["tiers"]]
        return (
            "## Decontamination\n\n"
            f"{report['rows']} rows give away evaluation items (action: {report['action']}). `contamination.jsonl` has"
            " the evidence, `touched_items.jsonl` the items, so that scores can be shown on the clean part.\n\n"
            + table(["suite", "items", "touched", "unreadable"], suites)
            + "\n\n"
            + table(["tier", "", "rows", "cannot see"], tiers)
        )

    def tables(self, report: Mapping[str, Any]) -> Iterator[Table]:
        """A line for each suite."""
        keys = ("name", "items", "touched")
        yield ["suite", "items", "touched"], [[one[key] for key in keys] for one in report["suites"]]


def held_back(rows: RowSelection, findings: Findings, settings: Decontaminate) -> tuple[RowSelection, Rejections]:
    """The rows without those that give away items, and these with the best evidence of each."""
    if settings.action == "report":
        return rows, Rejections()
    gone, why, because = sorted(findings.by_row), [], []
    for number in gone:
        best = min(findings.by_row[number], key=lambda one: (TIERS.index(one.tier), -one.score))
        why.append((_REASONS[settings.action], describe(best)))
        because.append((f"{best.suite}/{best.item}", best.score, None))
    return rows.without(gone), Rejections.of_rows(Decontamination.name, rows.take(gone), why, because)


def describe(evidence: Evidence) -> str:
    """The evidence in a sentence."""
    item = f"the {evidence.part} of item {evidence.item} of {evidence.suite}"
    message = f"message {evidence.message + 1}"
    within = {"text": message, "reasoning": f"the reasoning of {message}", "rejected": "the rejected answer"}
    place = f"{within[evidence.within]}, characters {evidence.start} to {evidence.end}"
    alike = {
        "question": f"means nearly the same as {item}; cosine similarity {evidence.score:.4f}",
        "answer": f"the code of {item} under other names; {evidence.score:.0%} of its runs of tokens",
    }
    return {
        "whole": f"{place}: {item}, whole",
        "ngram": f"{place}: a run of words of {item}; {evidence.score:.0%} of its own words stand in such runs",
        "characters": f"{place}: nearly {item}; Jaccard similarity {evidence.score:.4f}",
        "paraphrase": f"{place}: {alike[evidence.part]}",
    }[evidence.tier]
