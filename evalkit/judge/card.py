"""The judge's card: whether it may vote, why, and for which model, prompt, rubric and parameters that holds.

- `unlabelled`: nobody checked it. `advisory`: some labels. Both are shown and decide nothing.
- `voting-corrected`: enough labels from every contender, so that a gate can correct the judge by them.
- `voting`: close enough to people, and not kinder to one contender than to another, to be taken at its word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from curate.core.config_file import Config
from curate.core.errors import DataError, ProvenanceError
from curate.core.records import read_record

State = Literal["unlabelled", "advisory", "voting-corrected", "voting"]
STATES: tuple[State, ...] = ("unlabelled", "advisory", "voting-corrected", "voting")
KIND, SCHEMA = "judge-card", 1


class Admission(Config):
    """What a judge has to show before it may vote."""

    labels: int = Field(default=100, ge=1)
    """Blind labels of judged answers."""
    passes: int = Field(default=30, ge=1)
    fails: int = Field(default=30, ge=1)
    labels_per_contender: int = Field(default=50, ge=2)
    kappa: float = Field(default=0.4, ge=0, le=1)
    """The lower bound of Cohen's kappa."""
    false_pass: float = Field(default=0.15, gt=0, le=1)
    """The one-sided upper bound of the share that it passes of what people fail."""
    swap_consistency: float = Field(default=0.8, ge=0, le=1)
    undecided: float = Field(default=0.02, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a judge has to show: what was found, in words, and whether it is enough."""

    name: str
    wanted: str
    found: str
    met: bool
    for_correction: bool
    """Whether correcting the judge by labels needs it, too."""


def admit(figures: Mapping[str, Any], admission: Admission) -> tuple[State, list[Requirement]]:
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
    kappa = figures["intervals"]["cohen_kappa"]["low"]
    swap = figures["swap_consistency"]
    passes, fails = figures.get("people_pass"), figures.get("people_fail")
    upper = figures["false_pass_upper"] if fails else None
    favours = [one for one in figures["favour"] if one["low"] > 0 or one["high"] < 0]
    worst = max(favours, key=lambda one: abs(one["favour"]), default=None)
    unknown = "nobody said which grades pass" if passes is None else "not measured"
    rate = figures["undecided_rate"]
    blind = figures["labels"]["blind"]
    return [
        Requirement("blind labels", f"{wanted.labels} or more", str(blind), blind >= wanted.labels, True),
        Requirement(
            "labels of each contender",
            f"{wanted.labels_per_contender} or more",
            f"{fewest['n']}{whose}",
            fewest["n"] >= wanted.labels_per_contender,
            True,
        ),
        Requirement("undecided", f"{wanted.undecided:.0%} at most", f"{rate:.1%}", rate <= wanted.undecided, True),
        Requirement(
            "labels that pass",
            f"{wanted.passes} or more",
            unknown if passes is None else str(passes),
            (passes or 0) >= wanted.passes,
            False,
        ),
        Requirement(
            "labels that fail",
            f"{wanted.fails} or more",
            unknown if fails is None else str(fails),
            (fails or 0) >= wanted.fails,
            False,
        ),
        Requirement(
            "lower bound of Cohen's kappa",
            f"{wanted.kappa:.2f} or more",
            unknown if kappa is None else f"{kappa:.2f}",
            kappa is not None and kappa >= wanted.kappa,
            False,
        ),
        Requirement(
            "upper bound of false passes",
            f"{wanted.false_pass:.0%} at most",
            unknown if upper is None else f"{upper:.1%}",
            upper is not None and upper <= wanted.false_pass,
            False,
        ),
        Requirement(
            "same grade with the options swapped",
            f"{wanted.swap_consistency:.0%} or more",
            "not measured" if swap is None else f"{swap:.1%}",
            swap is not None and swap >= wanted.swap_consistency,
            False,
        ),
        Requirement(
            "kinder to one contender",
            "not shown to be",
            f"{abs(worst['favour']):.1%} kinder to {worst['a'] if worst['favour'] > 0 else worst['b']}"
            if worst
            else "no",
            worst is None,
            False,
        ),
    ]


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
        "requirements": [asdict(one) for one in requirements],
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
