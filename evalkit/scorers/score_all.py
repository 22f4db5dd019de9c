"""Scores: every scorer on every answer, a value or the reason why there is none."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from curate.core.errors import AcidtestError
from curate.core.rows.row import Row
from curate.core.visible import without_surrogates
from evalkit.records.disk_list import Spool
from evalkit.records.lines import Generation, Score
from evalkit.scorers.types import BatchScorer, GenerationScorer, Mark, Scorer, TextScorer, Unscored


class _Raised(Unscored):
    """A scorer raised: its trouble, not the answer's or the item's."""


def score_all(
    generations: Sequence[Generation],
    items: Mapping[str, Row],
    rules: Mapping[str, Scorer],
    raised: Counter[tuple[str, str]] | None = None,
) -> Spool[Score]:
    """One score per generation and scorer, in the order of both.

    Args:
        items: by id.
        rules: the scorers by name.
        raised: counts what scorers raised, by name and reason; for the caller to tell.
    """
    return Spool(Score, _scores(generations, items, rules, Counter() if raised is None else raised))


def _scores(
    generations: Sequence[Generation],
    items: Mapping[str, Row],
    rules: Mapping[str, Scorer],
    raised: Counter[tuple[str, str]],
) -> Iterator[Score]:
    together = {
        name: _together([(items[generation.item], generation) for generation in generations], rule)
        for name, rule in rules.items()
        if isinstance(rule, BatchScorer)
    }
    for generation in generations:
        item = items[generation.item]
        for name, rule in rules.items():
            outcome = next(together[name]) if isinstance(rule, BatchScorer) else _outcome(item, generation, rule)
            if isinstance(outcome, _Raised):
                raised[name, outcome.reason] += 1
            yield _score(generation, name, outcome)


def _together(pairs: Sequence[tuple[Row, Generation]], rule: BatchScorer) -> Iterator[Mark | Unscored]:
    """The marks of a scorer of many answers; an answer that isn't there, or a scorer that raises, makes it unscored."""
    answered = [(item, generation.text) for item, generation in pairs if generation.error is None]
    try:
        made = iter(rule.score(answered) if answered else [])
    except AcidtestError:
        raise  # no embedder: trouble with the job, not with an answer
    except Exception as error:  # noqa: BLE001 - one rule's trouble; the other scores stand
        made = iter([_raised(error)] * len(answered))
    return iter([next(made) if generation.error is None else _no_answer(generation) for _, generation in pairs])


def _outcome(item: Row, generation: Generation, rule: TextScorer | GenerationScorer) -> Mark | Unscored:
    """The mark of one answer; unscored where there is no answer or the scorer raises."""
    if generation.error is not None:
        return _no_answer(generation)
    try:
        return rule.score(item, generation) if isinstance(rule, GenerationScorer) else rule(item, generation.text)
    except Exception as error:  # noqa: BLE001 - a scorer may be a user's function; its trouble is one score's
        return _raised(error)


def _no_answer(generation: Generation) -> Unscored:
    return Unscored(f"no answer: {generation.error}")


def _raised(error: Exception) -> Unscored:
    return _Raised(f"the scorer raised {type(error).__name__}: {error}")


def _score(generation: Generation, name: str, outcome: Mark | Unscored) -> Score:
    mark = outcome if isinstance(outcome, Mark) else None
    return Score(
        item=generation.item,
        contender=generation.contender,
        scorer=name,
        value=mark.value if mark else None,
        unscored=without_surrogates(outcome.reason) if isinstance(outcome, Unscored) else None,
        detail=without_surrogates(mark.detail) if mark and mark.detail is not None else None,
        label=mark.label if mark else None,
        repeat=generation.repeat,
    )


@dataclass(frozen=True, slots=True)
class ConstantAnswer:
    """One answer given to every item: its text, and its score on each item, None where it can't be scored."""

    text: str
    values: tuple[float | None, ...]


def constant_answer(solved: Sequence[Row], items: Sequence[Row], rule: Scorer) -> ConstantAnswer | None:
    """How the commonest answer of the solved rows would fare on every item, or None where none can be scored.

    A contender that does no better has learned how often an answer is right, not when. Of equally common answers the
    first in the rows' order counts.
    """
    answers = Counter(row.answer for row in solved if row.answer)
    if not answers:
        return None
    text = answers.most_common(1)[0][0]
    made = Generation(item="", contender="", text=text)
    outcomes = (
        _together([(item, made) for item in items], rule)
        if isinstance(rule, BatchScorer)
        else (_outcome(item, made, rule) for item in items)
    )
    values = tuple(outcome.value if isinstance(outcome, Mark) else None for outcome in outcomes)
    return ConstantAnswer(text, values) if any(value is not None for value in values) else None
