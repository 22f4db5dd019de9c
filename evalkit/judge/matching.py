"""Judgments beside people's labels of the same answers: one grade of each, and an account of what was left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from curate.core.errors import DataError
from evalkit.judge.grades import AnswerKey, Judgment, Label, Scale, answer_of, tidy

_SHOWN = 5  # ids in an account
Labels = dict[AnswerKey, dict[str, int]]
"""Of each answer, each annotator's grade as a code."""


@dataclass(frozen=True, slots=True)
class JudgeGrades:
    """The judge's grades as codes: the first time of asking, asked the other way round, and asked again.

    `contenders` are all whose answers were judged, decided or not. `account` counts lines that are no grade.
    """

    first: dict[AnswerKey, int]
    swapped: dict[AnswerKey, int]
    repeated: list[tuple[AnswerKey, int]]
    lengths: dict[AnswerKey, int]
    contenders: tuple[str, ...]
    account: dict[str, int]


@dataclass(frozen=True, slots=True)
class Match:
    """Answers with a grade of the judge and one of people, aligned; and what people said of each."""

    answers: list[AnswerKey]
    judge: list[int]
    people: list[int]
    account: dict[str, object]


def sort_judgments(lines: Sequence[Judgment], scale: Scale) -> JudgeGrades:
    """The judge's grades by answer. Raises: DataError where two lines for the same question differ."""
    seen: dict[tuple[AnswerKey, bool, int], int | None] = {}
    account = Counter(answers=0, lines=len(lines), undecided=0, unknown_grades=0, duplicates=0)
    lengths: dict[AnswerKey, int] = {}
    for line in lines:
        if line.sample:
            continue  # people label a contender's first answer to an item
        answer = answer_of(line)
        code = None if line.grade is None else scale.code(tidy(line.grade))
        key = (answer, line.swapped, line.repeat)
        if key in seen:
            if seen[key] != code:
                raise DataError(
                    "two judgments of the same answer that differ",
                    where=" / ".join(answer),
                    fix="a judge that was asked again counts its questions in `repeat`; keep one line otherwise",
                )
            account["duplicates"] += 1
            continue
        seen[key] = code
        account["undecided"] += line.grade is None
        account["unknown_grades"] += line.grade is not None and code is None
        if line.length is not None:
            lengths[answer] = line.length
    decided = {key: code for key, code in seen.items() if code is not None}
    first = {answer: code for (answer, swapped, repeat), code in decided.items() if not swapped and repeat == 0}
    account["answers"] = len({answer for answer, _, _ in seen})
    account["questions"] = len(seen)
    return JudgeGrades(
        first=first,
        swapped={answer: code for (answer, swapped, repeat), code in decided.items() if swapped and repeat == 0},
        repeated=[(answer, code) for (answer, swapped, repeat), code in decided.items() if not swapped and repeat],
        lengths=lengths,
        contenders=tuple(sorted({answer[1] for answer, _, _ in seen})),
        account=dict(account),
    )


def sort_labels(lines: Sequence[Label], scale: Scale) -> tuple[Labels, dict[str, object]]:
    """People's grades by answer and annotator, and an account of the lines.

    A later line of an annotator takes the place of an earlier one: it is a correction.
    """
    labels: Labels = {}
    not_blind: set[AnswerKey] = set()
    corrected = skipped = 0
    for line in lines:
        answer, annotator = answer_of(line), str(line.annotator)
        code = None if line.grade is None else scale.code(tidy(line.grade))
        corrected += annotator in labels.get(answer, {})
        if not line.blind:
            not_blind.add(answer)
        if code is None:
            skipped += 1
            labels.get(answer, {}).pop(annotator, None)
        else:
            labels.setdefault(answer, {})[annotator] = code
    kept = {answer: given for answer, given in labels.items() if given}
    account: dict[str, object] = {
        "lines": len(lines),
        "answers": len(kept),
        "annotators": sorted({annotator for given in kept.values() for annotator in given}),
        "corrected": corrected,
        "skipped": skipped,
        "not_blind": len(not_blind & kept.keys()),
    }
    return kept, account


def consensus(given: Sequence[int], scale: Scale) -> int | None:
    """What people say together: the middle grade, the lower of two middle ones; the commonest word, None if tied."""
    if scale.ordered:
        return sorted(given)[(len(given) - 1) // 2]
    ranked = Counter(given).most_common(2)
    return None if len(ranked) > 1 and ranked[0][1] == ranked[1][1] else ranked[0][0]


def match(judged: JudgeGrades, labels: Labels, scale: Scale) -> Match:
    """The answers that both graded. Raises: DataError where there are labels, but none for a judged answer."""
    stray = [answer for answer in labels if answer not in judged.first]
    if labels and len(stray) == len(labels):
        raise DataError(
            "no label is for an answer that was judged",
            where=" / ".join(stray[0]),
            fix="`item` and `contender` have to be the same in both files; judged is "
            + " / ".join(next(iter(judged.first), ("nothing", ""))),
        )
    together = {answer: consensus(list(given.values()), scale) for answer, given in labels.items()}
    agreed = {answer: code for answer, code in together.items() if code is not None and answer in judged.first}
    return Match(
        answers=list(agreed),
        judge=[judged.first[answer] for answer in agreed],
        people=list(agreed.values()),
        account={
            "without_judgment": len(stray),
            "without_judgment_shown": [" / ".join(filter(None, answer)) for answer in stray[:_SHOWN]],
            "tied": sum(code is None for code in together.values()),
        },
    )
