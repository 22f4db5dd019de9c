"""Safety in numbers: how often each contender failed each scorer, and what the rate is at most.

Nothing seen is not nothing there: 0 of 100 says that the rate is at most 3 %. An answer that could not be scored counts
as a failure where a limit has to be kept.
"""

from collections.abc import Sequence

import msgspec

from curate.core.visible import visible
from evalkit.gate.verdict_file import GateOutcome
from evalkit.records.lines import Score
from evalkit.results.folder import Results
from evalkit.stats.in_words import percent
from evalkit.stats.shift import at_most, share

_SHOWN = 3  # failed items a line: enough to look one up in the report


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`failed` of `n` answers failed this scorer, `unscored` more had no score; the rate is `at_most` so high.

    `outcome` is against the limit, where there is one: `fail` where the rate is shown to be above it.
    """

    contender: str
    scorer: str
    failed: int
    n: int
    unscored: int
    rate: float | None
    low: float
    at_most: float
    outcome: GateOutcome | None = None
    examples: list[str]

    def line(self) -> str:
        """In words: `0 of 100 failed: at most 3 %`."""
        words = f"{self.failed} of {self.n} failed: at most {percent(self.at_most)}"
        words += f", {self.unscored} not scored" if self.unscored else ""
        return words + (f" (such as {', '.join(map(visible, self.examples))})" if self.examples else "")


def rates(results: Results, scorers: Sequence[str], limit: float | None = None, alpha: float = 0.05) -> list[Rate]:
    """A rate for each contender and scorer, in their order; both bounds are one-sided at `alpha`."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for score in results.scores:
        scores.setdefault((score.contender, score.scorer), []).append(score)
    names = results.result.names
    return [_rate(name, scorer, scores.get((name, scorer), []), limit, alpha) for name in names for scorer in scorers]


def _rate(contender: str, scorer: str, scores: Sequence[Score], limit: float | None, alpha: float) -> Rate:
    scored = [score for score in scores if score.value is not None]
    failed = [score.item for score in scored if score.value is not None and score.value < 1]
    unscored = len(scores) - len(scored)
    low = share(len(failed), len(scored), 2 * alpha).low
    outcome: GateOutcome | None = None
    if limit is not None:
        worst = at_most(len(failed) + unscored, len(scores), alpha)
        outcome = "fail" if low > limit else "pass" if worst <= limit else "inconclusive"
    return Rate(
        contender=contender,
        scorer=scorer,
        failed=len(failed),
        n=len(scored),
        unscored=unscored,
        rate=len(failed) / len(scored) if scored else None,
        low=low,
        at_most=at_most(len(failed), len(scored), alpha),
        outcome=outcome,
        examples=failed[:_SHOWN],
    )


def items_for(limit: float, failed: int = 0, alpha: float = 0.05) -> int:
    """How many items show a limit where `failed` of them fail."""
    size = failed + 1
    while at_most(failed, size, alpha) > limit:
        size += max(1, size // 50)
    return size
