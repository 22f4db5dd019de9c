"""What a rule says about an answer: a mark, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass

from curate.core.rows import Row


@dataclass(frozen=True, slots=True)
class Mark:
    """A value from 0 to 1, with a word on why."""

    value: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """The rule doesn't apply: the item lacks what it compares with. Counted, and never a zero."""

    reason: str


Rule = Callable[[Row, str], Mark | Unscored]


def passed() -> Mark:
    """Full marks."""
    return Mark(1.0)


def missed(detail: str) -> Mark:
    """No marks, and why."""
    return Mark(0.0, detail)
