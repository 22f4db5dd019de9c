"""Judging: every answer is put to the judge, replies become grades or stay undecided, and canaries test the judge."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from curate.core.rows.row import Row
from curate.core.seeding import stable_fraction
from evalkit.judge import canaries
from evalkit.judge.asking import Asker
from evalkit.judge.grades import Judgment
from evalkit.judge.prompt import Question, ask
from evalkit.judge.reply import Decision, read_reply
from evalkit.judge.rubric import Criterion
from evalkit.records.lines import Generation
from evalkit.scorers.judge import JudgeConfig

_NO_REPLY = "no reply: "
_REASONS_SHOWN = 10  # reasons hold a server's words; a record lists the frequent ones


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of one question: a decision or why there is none, after how many tries."""

    decision: Decision | None
    undecided: str | None
    tries: int

    @property
    def grade(self) -> int | None:
        """The grade, if there is one."""
        return self.decision.grade if self.decision else None


def judge_answers(
    config: JudgeConfig,
    criterion: Criterion,
    asker: Asker,
    items: Mapping[str, Row],
    generations: Sequence[Generation],
    *,
    seed: int,
    key: str,
) -> tuple[list[Judgment], dict[str, Any]]:
    """A judgment for each answer, further ones on a share of them, and what is known about the judge by itself.

    Raises: ServiceError where the judge can't be asked.
    """
    put = list(questions(config, items, generations, seed))
    rulings = _rule(config, criterion, asker, put, seed)
    judgments = [
        _judgment(config, criterion, question, ruling, key) for question, ruling in zip(put, rulings, strict=True)
    ]
    if config.against is not None:
        judgments = _consistent_pairs(judgments)
    first = [
        (question, ruling.grade)
        for question, ruling in zip(put, rulings, strict=True)
        if ruling.grade is not None and not question.swapped and not question.repeat
    ]
    attacks = canaries.attacks(first, criterion, config.canaries) if config.against is None else []
    under_attack = _rule(config, criterion, asker, attacks, seed)
    before = {(question.item.id, question.contender, question.sample): grade for question, grade in first}
    outcome = canaries.outcome(
        [before[question.item.id, question.contender, question.sample] for question in attacks],
        [ruling.grade for ruling in under_attack],
        [str(question.attack) for question in attacks],
    )
    return judgments, {**account(judgments), "canaries": outcome}


def account(judgments: Sequence[Judgment]) -> dict[str, Any]:
    """How many questions were put, stayed undecided and why, and took more than one try."""
    reasons = Counter(judgment.undecided for judgment in judgments if judgment.undecided)
    return {
        "questions": len(judgments),
        "undecided": sum(judgment.grade is None for judgment in judgments),
        "no_reply": sum((one.undecided or "").startswith(_NO_REPLY) for one in judgments),
        "undecided_reasons": dict(sorted(reasons.most_common(_REASONS_SHOWN))),
        "asked_again": sum(judgment.tries > 1 for judgment in judgments),
    }


def questions(
    config: JudgeConfig, items: Mapping[str, Row], generations: Sequence[Generation], seed: int
) -> Iterable[Question]:
    """What the judge is asked about these answers: each once, a share of them again; not the canaries."""
    answered = [generation for generation in generations if generation.error is None]
    others = {(one.item, one.repeat): one.text for one in answered if one.contender == config.against}
    for one in answered:
        other = None
        if config.against is not None:
            other = others.get((one.item, one.repeat))
            if one.contender == config.against or other is None:
                continue
        question = Question(items[one.item], one.contender, one.text, other, sample=one.repeat)
        yield question
        checked = stable_fraction(seed, f"swap {one.item} {one.contender}") < config.swaps
        if checked or other is not None:
            yield replace(question, swapped=True)
        if checked:
            for repeat in range(1, config.repeats + 1):
                yield replace(question, repeat=repeat)


def _rule(
    config: JudgeConfig, criterion: Criterion, asker: Asker, questions: Sequence[Question], seed: int
) -> list[Ruling]:
    """A ruling on each question; what can't be read is asked again, with what was wrong, as often as is allowed."""
    rulings: list[Ruling | None] = [None] * len(questions)
    faults: dict[int, str] = {}
    for turn in range(config.tries):
        open_places = [place for place, ruling in enumerate(rulings) if ruling is None]
        if not open_places:
            break
        prompts = [ask(criterion, questions[place], seed, faults.get(place)) for place in open_places]
        # Further questions in the same words are other turns, so that they aren't answered from what is kept.
        groups: dict[int, list[int]] = {}
        for at, place in enumerate(open_places):
            groups.setdefault(turn + config.tries * questions[place].repeat, []).append(at)
        for number, members in groups.items():
            for at, answer in zip(members, asker.ask([prompts[at] for at in members], number), strict=True):
                place = open_places[at]
                if answer.error is not None:
                    rulings[place] = Ruling(None, f"{_NO_REPLY}{answer.error}", turn + 1)
                    continue
                read = read_reply(answer.text, questions[place], criterion)
                if isinstance(read, Decision):
                    rulings[place] = Ruling(read, None, turn + 1)
                else:
                    cut = ", and was cut at the limit" if answer.finish_reason == "length" else ""
                    faults[place] = read + cut
    return [
        ruling or Ruling(None, f"the reply can't be used: {faults[place]}", config.tries)
        for place, ruling in enumerate(rulings)
    ]


def _judgment(config: JudgeConfig, criterion: Criterion, question: Question, ruling: Ruling, key: str) -> Judgment:
    decision = ruling.decision
    return Judgment(
        item=question.item.id,
        contender=question.contender,
        scorer=config.name,
        criterion=criterion.id,
        grade=ruling.grade,
        undecided=ruling.undecided,
        reason=decision.reason if decision else "",
        evidence=decision.evidence if decision else "",
        swapped=question.swapped,
        repeat=question.repeat,
        sample=question.sample,
        tries=ruling.tries,
        judge=key,
        length=len(question.text),
    )


def _consistent_pairs(judgments: Sequence[Judgment]) -> list[Judgment]:
    """Pairs whose winner depends on which answer came first are undecided; the swapped judgment stays as it is."""
    swapped = {(one.item, one.contender, one.sample): one for one in judgments if one.swapped}
    settled = []
    for one in judgments:
        other = swapped.get((one.item, one.contender, one.sample))
        if not one.swapped and not one.repeat and one.grade is not None and other and other.grade != one.grade:
            why = "the two orders disagree" if other.grade is not None else "the other order is undecided"
            settled.append(msgspec.structs.replace(one, grade=None, undecided=why))
        else:
            settled.append(one)
    return settled
