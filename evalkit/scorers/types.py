"""What a scorer says about an answer: a mark, or why there is none; and the three kinds of scorers there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from curate.core.config_file import Config
from curate.core.rows.row import Row
from evalkit.records.lines import Generation


class ScorerConfig(Config):
    """The settings that every scorer has: its name in the suite, and which kind it is."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A value from 0 to 1, with a word on why. `label` is the wanted and the given class, where there are classes."""

    value: float
    detail: str | None = None
    label: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """The scorer doesn't apply: the item lacks what it compares with. Counted, and never a zero."""

    reason: str


@dataclass(frozen=True, slots=True)
class GenerationScorer:
    """A scorer that looks at how the answer was made: how long it took, what it cost."""

    score: Callable[[Row, Generation], Mark | Unscored]


@dataclass(frozen=True, slots=True)
class BatchScorer:
    """A scorer of many answers at once, since one at a time would be slow. It gives one mark for each pair."""

    score: Callable[[Sequence[tuple[Row, str]]], list[Mark | Unscored]]


TextScorer: TypeAlias = Callable[[Row, str], Mark | Unscored]
Scorer: TypeAlias = TextScorer | GenerationScorer | BatchScorer


def passed() -> Mark:
    """Full marks."""
    return Mark(1.0)


def missed(detail: str) -> Mark:
    """No marks, and why."""
    return Mark(0.0, detail)
