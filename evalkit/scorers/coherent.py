"""Incoherence: answers that go round in circles or are not text at all."""

from collections import Counter
from typing import Literal

from pydantic import Field

from curate.core.rows.row import Row
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed

_RUN = 4  # words: shorter runs repeat in good text too
_FEWEST_WORDS = 20  # below, one repeated run is a large share by chance
_SAME_LINES = 4  # a list has many lines, but not the same one
_SAME_WORDS = 6  # "no no no" is speech; six times the same word is not
_STRANGE = 0.2  # the share of characters that no writing has


class CoherentConfig(ScorerConfig):
    """1 where the answer says something and does not repeat itself: at most `repeated` of its words stand in runs of
    four words that were there before.

    Source: the duplicate n-gram rules of Rae et al. 2021 ("Gopher", table A1), on single answers.
    """

    kind: Literal["coherent"]
    repeated: float = Field(default=0.3, gt=0, lt=1)


def coherent(config: CoherentConfig) -> TextScorer:
    """The scorer."""

    def rule(item: Row, answer: str) -> Mark | Unscored:  # noqa: ARG001 - every rule takes the item
        fault = _fault(answer, config.repeated)
        return missed(fault) if fault else passed()

    return rule


def _fault(answer: str, most: float) -> str | None:
    if not answer.strip():
        return "empty answer"
    strange = sum(not character.isprintable() and character not in "\n\r\t" for character in answer)
    if (strange + answer.count("\N{REPLACEMENT CHARACTER}")) / len(answer) > _STRANGE:
        return "not text"
    lines = Counter(line.strip() for line in answer.splitlines() if line.strip())
    if lines and lines.most_common(1)[0][1] >= _SAME_LINES:
        return f"the same line {lines.most_common(1)[0][1]} times"
    words = answer.lower().split()
    if any(len(set(words[start : start + _SAME_WORDS])) == 1 for start in range(len(words) - _SAME_WORDS + 1)):
        return f"the same word {_SAME_WORDS} times in a row"
    share = repeated_share(words)
    return f"{share:.0%} of its words repeat" if len(words) >= _FEWEST_WORDS and share > most else None


def repeated_share(words: list[str]) -> float:
    """The share of words that stand in a run of four that was there before."""
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for start in range(len(words) - _RUN + 1):
        run = tuple(words[start : start + _RUN])
        if run in seen:
            covered.update(range(start, start + _RUN))
        seen.add(run)
    return len(covered) / len(words) if words else 0.0
