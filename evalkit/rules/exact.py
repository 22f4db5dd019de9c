"""Exact match: the answer is the item's target, character for character."""

from typing import Literal

from curate.core.config_file import Config
from curate.core.rows.row import Row
from evalkit.rules.outcome import Mark, OfText, Unscored, missed, passed


class ExactConfig(Config):
    """1 where the answer equals the target; white space around either doesn't count."""

    name: str
    kind: Literal["exact"]
    case: bool = True
    """Whether capitals count."""


def exact(config: ExactConfig) -> OfText:
    """The rule. Unscored where the item has no target."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        target = item.answer.strip()
        if not target:
            return Unscored("the item has no target")
        given = answer.strip()
        same = given == target if config.case else given.casefold() == target.casefold()
        return passed() if same else missed("not the target")

    return rule
