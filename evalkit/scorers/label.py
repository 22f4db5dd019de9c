"""Classes: the answer names one of them. Right or wrong for an item; precision, recall and F1 for each class."""

from typing import Literal

from pydantic import Field

from curate.core.rows.row import Row
from evalkit.scorers.references import normalised
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored

NONE = "(none)"  # what an answer gives that names no class


class LabelConfig(ScorerConfig):
    """1 where the answer names the item's class; the report adds precision, recall and F1 of each class.

    `labels` are the classes there are. Without them, the whole answer is taken for a class.
    """

    kind: Literal["label"]
    labels: list[str] = Field(default_factory=list)
    target: Literal["answer", "label"] = "answer"
    """Where the item's class stands: its target, or its `label`."""
    reading: Literal["whole", "named"] = "whole"
    """`whole`: the answer is the class and nothing else. `named`: it holds the name of one class, and of no other."""


def label(config: LabelConfig) -> TextScorer:
    """The scorer. Unscored where the item has no class, or one that `labels` doesn't list."""
    known = {normalised(name): name for name in config.labels}

    def rule(item: Row, answer: str) -> Mark | Unscored:
        target = (item.answer if config.target == "answer" else item.label or "").strip()
        if not target:
            return Unscored("the item has no class")
        wanted = known.get(normalised(target)) if known else target
        if wanted is None:
            return Unscored(f"the item's class is not among the labels: {target[:60]!r}")
        given = _given(answer, known, config.reading)
        right = normalised(given) == normalised(wanted)
        return Mark(float(right), None if right else f"{given[:60]!r}", (wanted, wanted if right else given))

    return rule


def _given(answer: str, known: dict[str, str], reading: str) -> str:
    said = normalised(answer)
    if not known:
        return answer.strip() or NONE
    if said in known or reading == "whole":
        return known.get(said, NONE)
    words = f" {said} "
    named = [name for name in known if f" {name} " in words]
    # `order` is no second class beside `order status` where the longer name stands.
    longest = [name for name in named if not any(name != other and f" {name} " in f" {other} " for other in named)]
    return known[longest[0]] if len(longest) == 1 else NONE
