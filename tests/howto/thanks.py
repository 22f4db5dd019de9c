"""Answers that say thanks."""

from typing import Literal

from curate.core.rows.row import Row
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed


class ThanksConfig(ScorerConfig):
    """1 where the answer says thanks."""

    kind: Literal["thanks"]


def thanks(_config: ThanksConfig) -> TextScorer:
    """The scorer."""

    def rule(_item: Row, answer: str) -> Mark | Unscored:
        return passed() if "thank" in answer.lower() else missed("no thanks")

    return rule
