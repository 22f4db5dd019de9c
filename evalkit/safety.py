"""Safety in numbers: how often each contender failed each scorer, and what the rate is at most.

Nothing seen is not nothing there: 0 of 100 says that the rate is at most 3 %. An answer that could not be scored counts
as a failure where a limit has to be kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.core.visible import visible
from evalkit.outputs import Results
from evalkit.records import Score
from evalkit.stats.shift import at_most, share
from evalkit.verdict import Outcome
from evalkit.wording import percent

_SHOWN = 3  # failed items a line: enough to look one up in the report


@dataclass(frozen=True, slots=True)
class Rate:
    """`failed` of `n` answers failed this scorer, `unscored` more had no score; the rate is at most `high`.

    `outcome` is against the limit, where there is one: `fail` where the rate is shown to be above it.
    """

    contender: str
    scorer: str
    failed: int
    n: int
    unscored: int
    low: float
    high: float
    examples: list[str]
    outcome: Outcome | None = None

    @property
    def rate(self) -> float | None:
        """The share that failed."""
        return self.failed / self.n if self.n else None

    def line(self) -> str:
        """In words: `0 of 100 failed: at most 3 %`."""
        words = f"{self.failed} of {self.n} failed: at most {percent(self.high)}"
        words += f", {self.unscored} not scored" if self.unscored else ""
        return words + (f" (such as {', '.join(map(visible, self.examples))})" if self.examples else "")

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "contender": self.contender,
            "scorer": self.scorer,
            "failed": self.failed,
            "n": self.n,
            "unscored": self.unscored,
            "rate": self.rate,
            "low": self.low,
            "at_most": self.high,
            "outcome": self.outcome,
            "examples": self.examples,
        }


def rates(results: Results, scorers: Sequence[str], limit: float | None = None, alpha: float = 0.05) -> list[Rate]:
    """A rate for each contender and scorer, in their order; both bounds are one-sided at `alpha`."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for score in results.scores:
        scores.setdefault((score.contender, score.scorer), []).append(score)
    names = [str(contender["name"]) for contender in results.result["contenders"]]
    return [_rate(name, scorer, scores.get((name, scorer), []), limit, alpha) for name in names for scorer in scorers]


def _rate(contender: str, scorer: str, scores: Sequence[Score], limit: float | None, alpha: float) -> Rate:
    scored = [score for score in scores if score.value is not None]
    failed = [score.item for score in scored if score.value is not None and score.value < 1]
    unscored = len(scores) - len(scored)
    low = share(len(failed), len(scored), 2 * alpha).low
    high = at_most(len(failed), len(scored), alpha)
    outcome: Outcome | None = None
    if limit is not None:
        worst = at_most(len(failed) + unscored, len(scores), alpha)
        outcome = "fail" if low > limit else "pass" if worst <= limit else "inconclusive"
    return Rate(contender, scorer, len(failed), len(scored), unscored, low, high, failed[:_SHOWN], outcome)


def items_for(limit: float, failed: int = 0, alpha: float = 0.05) -> int:
    """How many items show a limit where `failed` of them fail."""
    size = failed + 1
    while at_most(failed, size, alpha) > limit:
        size += max(1, size // 50)
    return size
