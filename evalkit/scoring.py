"""Scores: every rule on every answer, a value or the reason why there is none."""

from collections.abc import Iterable, Mapping

from curate.core.rows import Row
from evalkit.records import Generation, Score
from evalkit.rules import Mark, Rule


def score_all(generations: Iterable[Generation], items: Mapping[str, Row], rules: Mapping[str, Rule]) -> list[Score]:
    """One score per generation and rule, in the order of both."""
    return [
        _score(generation, items[generation.item], name, rule)
        for generation in generations
        for name, rule in rules.items()
    ]


def _score(generation: Generation, item: Row, name: str, rule: Rule) -> Score:
    def unscored(reason: str) -> Score:
        return Score(item=generation.item, contender=generation.contender, scorer=name, unscored=reason)

    if generation.error is not None:
        return unscored(f"no answer: {generation.error}")
    try:
        outcome = rule(item, generation.text)
    except Exception as error:  # noqa: BLE001 - a scorer may be a user's function; its trouble is one score's
        return unscored(f"the scorer raised {type(error).__name__}: {error}")
    if not isinstance(outcome, Mark):
        return unscored(outcome.reason)
    return Score(
        item=generation.item,
        contender=generation.contender,
        scorer=name,
        value=outcome.value,
        detail=outcome.detail,
    )
