"""What a result says of a judge: what it was asked, what became of that, and what its grades are worth."""

from typing import Any, Literal

import msgspec

from evalkit.records.typed import ABSENT

CardState = Literal["unlabelled", "advisory", "voting-corrected", "voting"]
"""What a judge may do; `evalkit.judge.card` says by what it gets there."""


class Requirement(msgspec.Struct, frozen=True):
    """One thing that a judge has to show: what was found, in words, and whether it is enough."""

    name: str
    wanted: str
    found: str
    met: bool
    for_correction: bool
    """Whether correcting the judge by labels needs it, too."""


class RubricName(msgspec.Struct, frozen=True):
    """The rubric that a judge graded by."""

    name: str
    version: int
    kind: str


class JudgeCanaries(msgspec.Struct, frozen=True, kw_only=True):
    """Answers that ask for full marks, in disguises: how many were decided, and raised or changed a grade.

    `rate` is of the decided ones, `upper` its one-sided bound.
    """

    asked: int
    decided: int
    raised: int
    changed: int
    rate: float | None
    upper: float
    disguises: list[str]


class JudgeWorth(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge's card says, or, `because` there is none that holds, what its judgments by themselves say."""

    state: CardState
    card: str | None
    requirements: list[Requirement]
    figures: dict[str, Any]
    because: str = ABSENT


class JudgeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge was asked and what became of it. `judge` is what it is made of, `key` the digest of that."""

    key: str
    judge: dict[str, Any]
    rubric: RubricName
    criterion: dict[str, Any]
    questions: int
    undecided: int
    no_reply: int = ABSENT
    undecided_reasons: dict[str, int] = ABSENT
    asked_again: int = ABSENT
    canaries: JudgeCanaries | None = ABSENT
    """Of a judge that was asked."""
    recorded: str = ABSENT
    """The digest of the file of its judgments, where they were recorded."""
    calibration: JudgeWorth | None = ABSENT
