"""The judge's card: whether it may vote, why, and for which model, prompt, rubric and parameters that holds.

- `unlabelled`: nobody checked it. `advisory`: some labels. Both are shown and decide nothing.
- `voting-corrected`: enough labels from every contender, so that a gate can correct the judge by them.
- `voting`: close enough to people, and not kinder to one contender than to another, to be taken at its word.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import Field

from curate.core.config_file import Config
from curate.core.errors import DataError, ProvenanceError
from curate.core.records import read_record
from evalkit.results.judge_account import CardState, Requirement

STATES: tuple[CardState, ...] = get_args(CardState)
VOTES: tuple[CardState, ...] = ("voting-corrected", "voting")
KIND, SCHEMA = "judge-card", 1


class Admission(Config):
    """What a judge has to show before it may vote."""

    labels: int = Field(default=100, ge=1)
    """Blind labels of judged answers."""
    annotators: int = Field(default=2, ge=1)
    """People who labelled: of one alone, nobody knows whether others would agree."""
    passes: int = Field(default=30, ge=1)
    fails: int = Field(default=30, ge=1)
    labels_per_contender: int = Field(default=50, ge=2)
    kappa: float = Field(default=0.4, ge=0, le=1)
    """The lower bound of Cohen's kappa."""
    false_pass: float = Field(default=0.15, gt=0, le=1)
    """The one-sided upper bound of the share that it passes of what people fail."""
    swap_consistency: float = Field(default=0.8, ge=0, le=1)
    undecided: float = Field(default=0.02, ge=0, le=1)


def admit(figures: Mapping[str, Any], admission: Admission) -> tuple[CardState, list[Requirement]]:
    """The state that these figures of a calibration admit to, and each requirement."""
    requirements = _requirements(figures, admission)
    if figures["n"] == 0:
        return "unlabelled", requirements
    if all(one.met for one in requirements):
        return "voting", requirements
    enough = all(one.met for one in requirements if one.for_correction)
    return ("voting-corrected" if enough else "advisory"), requirements


def _requirements(figures: Mapping[str, Any], wanted: Admission) -> list[Requirement]:
    groups: Sequence[Mapping[str, Any]] = figures["by_contender"]
    fewest = min(groups, key=lambda one: int(one["n"]), default=dict[str, Any](n=0, contender=""))
    whose = f" ({fewest['contender']})" if fewest["contender"] else ""
    favours = [one for one in figures["favour"] if one["low"] > 0 or one["high"] < 0]
    worst = max(favours, key=lambda one: abs(one["favour"]), default=None)
    favoured = worst and (worst["a"] if worst["favour"] > 0 else worst["b"])
    return [
        _at_least("blind labels", wanted.labels, figures["labels"]["blind"], for_correction=True),
        _at_least("labels of each contender", wanted.labels_per_contender, fewest["n"], whose, for_correction=True),
        _share("undecided", wanted.undecided, figures["undecided_rate"], most=True, for_correction=True),
        _at_least("annotators", wanted.annotators, figures["people"]["annotators"]),
        _both_kinds(figures.get("people_pass"), figures.get("people_fail")),
        _at_least("labels that pass", wanted.passes, figures.get("people_pass")),
        _at_least("labels that fail", wanted.fails, figures.get("people_fail")),
        _kappa(wanted.kappa, figures["intervals"]["cohen_kappa"]["low"]),
        _share(
            "upper bound of false passes",
            wanted.false_pass,
            figures["false_pass_upper"] if figures["false_pass_n"] else None,
            most=True,
        ),
        _share("same grade with the options swapped", wanted.swap_consistency, figures["swap_consistency"], most=False),
        Requirement(
            "kinder to one contender",
            "not shown to be",
            f"{abs(worst['favour']):.1%} kinder to {favoured}" if worst else "no",
            worst is None,
            False,
        ),
    ]


def _at_least(
    name: str, wanted: int, found: int | None, whose: str = "", *, for_correction: bool = False
) -> Requirement:
    words = "nobody said which grades pass" if found is None else f"{found}{whose}"
    return Requirement(name, f"{wanted} or more", words, (found or 0) >= wanted, for_correction)


def _both_kinds(passes: int | None, fails: int | None) -> Requirement:
    """Labels that all pass, or all fail, can't show what the judge does with the others."""
    words = "nobody said which grades pass" if passes is None else f"{passes} pass, {fails} fail"
    return Requirement("labels of both kinds", "passes and fails", words, bool(passes and fails), for_correction=True)


def _share(name: str, wanted: float, found: float | None, *, most: bool, for_correction: bool = False) -> Requirement:
    met = found is not None and (found <= wanted if most else found >= wanted)
    words = "not measured" if found is None else f"{found:.1%}"
    return Requirement(name, f"{wanted:.0%} {'at most' if most else 'or more'}", words, met, for_correction)


def _kappa(wanted: float, low: float | None) -> Requirement:
    words = "not measured" if low is None else f"{low:.2f}"
    met = low is not None and low >= wanted
    return Requirement("lower bound of Cohen's kappa", f"{wanted:.2f} or more", words, met, False)


def card_body(
    *,
    key: str,
    judge: Mapping[str, Any],
    figures: Mapping[str, Any],
    admission: Admission,
    sources: Mapping[str, str],
) -> dict[str, Any]:
    """The body of a card, unsealed. `key` is the digest of what it holds for; `sources` digests of what it rests on."""
    state, requirements = admit(figures, admission)
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "state": state,
        "key": key,
        "judge": dict(judge),
        "requirements": msgspec.to_builtins(requirements),
        "admission": admission.model_dump(mode="json"),
        "figures": dict(figures),
        "sources": dict(sources),
    }


def read_card(path: Path) -> dict[str, Any]:
    """The card at `path`. Raises: DataError where there is none, ProvenanceError where it was changed or is no card."""
    if not path.is_file():
        raise DataError("there is no judge's card here", where=path, fix="make one with `evalkit judge calibrate`")
    record = read_record(path)
    if record.get("kind") != KIND or record.get("schema") != SCHEMA or record.get("state") not in STATES:
        raise ProvenanceError("not a judge's card", where=path, fix="make one with `evalkit judge calibrate`")
    return record


def void_because(card: Mapping[str, Any], judge: Mapping[str, Any], key: str) -> str | None:
    """Why the card doesn't hold for this judge: what changed since; None where it holds."""
    if card["key"] == key:
        return None
    before = card["judge"]
    changed = sorted(name for name in {*before, *judge} if before.get(name) != judge.get(name))
    return f"the card is void: another {_listed(changed) or 'judge'} than was calibrated"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
