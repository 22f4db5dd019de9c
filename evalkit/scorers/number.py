"""Numbers in answers, compared with a tolerance."""

import math
import re
from typing import Literal

from pydantic import Field

from curate.core.rows.row import Row
from evalkit.scorers.references import references
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed

# 1,234.5 and 1234.5 and .5 and 2e-3; a comma counts only between groups of three digits.
_NUMBER = re.compile(
    r"[-+\N{MINUS SIGN}]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\d.])\.\d+)(?:[eE][-+]?\d+)?"
)


class NumberConfig(ScorerConfig):
    """1 where the answer's number is within `absolute` or `relative` (a share of the reference) of a reference's."""

    kind: Literal["number"]
    absolute: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0)
    pick: Literal["last", "first", "only"] = "last"
    """Which number of the answer counts; with `only`, an answer with several is wrong. Of a reference, the last."""


def number(config: NumberConfig) -> TextScorer:
    """The scorer. Unscored where no reference of the item holds a number."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        wanted = [found[-1] for text in references(item) if (found := numbers(text))]
        if not wanted:
            return Unscored("the item's target holds no number")
        given = numbers(answer)
        if not given:
            return missed("no number")
        if config.pick == "only" and len(given) > 1:
            return missed(f"{len(given)} numbers")
        value = given[0 if config.pick == "first" else -1]
        close = any(is_close(value, one, config.absolute, config.relative) for one in wanted)
        return passed() if close else missed(f"{value:g}, not {wanted[0]:g}")

    return rule


def is_close(given: float, wanted: float, absolute: float, relative: float) -> bool:
    """Whether a number is within either tolerance of the wanted one; a relative one is a share of the wanted number."""
    slack = max(absolute, relative * abs(wanted))
    # Decimal fractions are not exact: 0.3 is within 0.1 of 0.2.
    return abs(given - wanted) <= slack or math.isclose(abs(given - wanted), slack, rel_tol=1e-9, abs_tol=1e-12)


def numbers(text: str) -> list[float]:
    """The numbers in a text, in order."""
    return [float(match.group().replace(",", "").replace("\N{MINUS SIGN}", "-")) for match in _NUMBER.finditer(text)]
