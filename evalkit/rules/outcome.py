"""What a rule says about an answer: a mark, or why there is none; and the three kinds of rules there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from curate.core.rows.row import Row
from evalkit.records import Generation


@dataclass(frozen=True, slots=True)
class Mark:
    """A value from 0 to 1, with a word on why. `label` is the wanted and the given class, where there are classes."""

    value: float
    detail: str | None = None
    label: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """The rule doesn't apply: the item lacks what it compares with. Counted, and never a zero."""

    reason: str


@dataclass(frozen=True, slots=True)
class OfGeneration:
    """A rule that looks at how the answer was made: how long it took, what it cost."""

    score: Callable[[Row, Generation], Mark | Unscored]


@dataclass(frozen=True, slots=True)
class Together:
    """A rule that scores many answers at once, since one at a time would be slow. One outcome for each pair."""

    score: Callable[[Sequence[tuple[Row, str]]], list[Mark | Unscored]]


OfText: TypeAlias = Callable[[Row, str], Mark | Unscored]
Rule: TypeAlias = OfText | OfGeneration | Together


def passed() -> Mark:
    """Full marks."""
    return Mark(1.0)


def missed(detail: str) -> Mark:
    """No marks, and why."""
    return Mark(0.0, detail)
