"""Scores: every rule on every answer, a value or the reason why there is none."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
        return Score(
            item=generation.item,
            contender=generation.contender,
            scorer=name,
            unscored=reason,
            repeat=generation.repeat,
        )

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
        repeat=generation.repeat,
    )


@dataclass(frozen=True, slots=True)
class ConstantAnswer:
    """One answer given to every item: its text, and its score on each item, None where it can't be scored."""

    text: str
    values: tuple[float | None, ...]


def constant_answer(solved: Sequence[Row], items: Sequence[Row], rule: Rule) -> ConstantAnswer | None:
    """How the commonest answer of the solved rows would fare on every item, or None where none can be scored.

    A contender that does no better has learned how often an answer is right, not when. Of equally common answers the
    first in the rows' order counts.
    """
    answers = Counter(row.answer for row in solved if row.answer)
    if not answers:
        return None
    text = answers.most_common(1)[0][0]
    made = Generation(item="", contender="", text=text)
    values = tuple(_score(made, item, "", rule).value for item in items)
    return ConstantAnswer(text, values) if any(value is not None for value in values) else None
