"""From results and a gate's file to a verdict, and the files that say it to people and machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.core.config_file import load_config
from curate.core.digests import digest_file
from curate.core.files import write_text
from evalkit.gate.decide_rules import RuleOutcome, find
from evalkit.gate.evidence import Evidence, read_evidence
from evalkit.gate.render import as_junit, render_markdown
from evalkit.gate.rules import GateRules
from evalkit.gate.verdict_file import (
    VERDICT,
    GateOutcome,
    GateVerdict,
    VerdictChain,
    card_beside,
    exit_code,
    result_digest,
    write_verdict,
)
from evalkit.records.typed import ABSENT, sealed

JUNIT, MARKDOWN = "verdict.junit.xml", "verdict.md"


@dataclass(frozen=True, slots=True)
class GateDecision:
    """A verdict, and the files that say it."""

    verdict: GateVerdict[RuleOutcome]
    paths: tuple[Path, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 6 inconclusive."""
        return exit_code([self.verdict.outcome])


def gate(results: Path, against: Path | None, rules_file: Path, *, write_to: Path | None) -> GateDecision:
    """The verdict of the rules in a file on a results folder; written into `write_to` as JSON, JUnit and Markdown.

    Raises: ConfigError for the rules, DataError where results are missing, ProvenanceError where they were changed.
    """
    rules = load_config(rules_file, GateRules)
    evidence = read_evidence(rules, rules_file.parent, results, against)
    findings = [find(rule, evidence) for rule in rules.rules]
    outcome = overall(findings)
    verdict = GateVerdict(
        outcome=outcome,
        result_digest=result_digest(results),
        because=_because(outcome, findings),
        rules=findings,
        contender=rules.contender,
        suite=evidence.ours.results.result.terms.name,
        alpha=rules.alpha,
        chain=_chain(evidence, rules_file, against),
    )
    if write_to is None:
        return GateDecision(sealed(verdict))
    verdict = write_verdict(write_to / VERDICT, verdict)
    cards = [_copy(card, card_beside(write_to / VERDICT, digest_file(card))) for card in _used_cards(evidence)]
    write_text(write_to / JUNIT, as_junit(verdict))
    write_text(write_to / MARKDOWN, render_markdown(verdict))
    return GateDecision(verdict, (*(write_to / name for name in (VERDICT, JUNIT, MARKDOWN)), *cards))


def _used_cards(evidence: Evidence) -> list[Path]:
    return list(dict.fromkeys(card for cards in evidence.cards().values() for card in cards))


def _copy(card: Path, place: Path) -> Path:
    """The card beside the verdict, so that a release can take along what the verdict rests on."""
    write_text(place, card.read_bytes().decode())
    return place


def overall(findings: Sequence[RuleOutcome]) -> GateOutcome:
    """`fail` where a rule failed, else `inconclusive` where one is open; `pass` only where every rule passed."""
    outcomes = {finding.outcome for finding in findings}
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "inconclusive"


def _because(outcome: GateOutcome, findings: Sequence[RuleOutcome]) -> str:
    if outcome == "pass":
        return f"all {len(findings)} rules pass"
    named = [finding for finding in findings if finding.outcome == outcome]
    verb = "failed" if outcome == "fail" else "could not be decided"
    return f"{len(named)} of {len(findings)} rules {verb}: " + "; ".join(f"{one.name}: {one.because}" for one in named)


def _chain(evidence: Evidence, rules_file: Path, against: Path | None) -> VerdictChain:
    """The digests of what the verdict rests on; of judges that voted, their cards by metric."""
    cards = {metric: [digest_file(path) for path in paths] for metric, paths in evidence.cards().items()}
    return VerdictChain(
        result=evidence.ours.results.result.digest,
        baseline=evidence.baseline.results.result.digest if evidence.baseline and against else None,
        rules=digest_file(rules_file),
        cards=cards or ABSENT,
    )
