"""Answers that say thanks."""

from typing import Literal

from curate.core.rows.row import Row
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed


class ThanksConfig(ScorerConfig):
    """1 where the answer says thanks."""

    kind: Literal["thanks"]


def thanks(config: ThanksConfig) -> TextScorer:  # noqa: ARG001 - there is nothing to set
    """The scorer."""

    def rule(item: Row, answer: str) -> Mark | Unscored:  # noqa: ARG001 - the same for every item
        return passed() if "thank" in answer.lower() else missed("no thanks")

    return rule
