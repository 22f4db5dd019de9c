"""Language, refusals, and what must not stand in an answer."""

import csv
from pathlib import Path

import pytest
from pydantic import ValidationError

from curate.core.rows.row import Message, Row
from evalkit.scorers.manner import (
    ForbiddenConfig,
    LanguageConfig,
    forbidden,
    language,
)
from evalkit.scorers.refusal import RefusalConfig, refusal
from evalkit.scorers.types import Mark, Unscored

ENGLISH = "The keeper of the lighthouse said that he would not be there in the morning, and that was all he said."
GERMAN = "Der Wärter des Leuchtturms sagte, dass er am Morgen nicht da sein werde, und das war alles, was er sagte."
XSTEST = Path(__file__).resolve().parents[4] / "shared" / "data" / "xstest" / "xstest_prompts.csv"


def item(question: str = ENGLISH, **meta: object) -> Row:
    return Row(id="1", messages=[Message("user", question), Message("assistant", "x")], meta=meta)


def values(found: list[Mark | Unscored]) -> list[float | None]:
    return [one.value if isinstance(one, Mark) else None for one in found]


def test_the_language_of_an_answer_is_that_of_its_question_or_the_one_asked_for() -> None:
    pairs = [(item(), ENGLISH), (item(), GERMAN), (item(GERMAN), GERMAN), (item(), ""), (item(), '{"a": 1}')]
    like_question = language(LanguageConfig(name="l", kind="language"))
    german = language(LanguageConfig.model_validate({"name": "l", "kind": "language", "is": "de"}))
    assert values(like_question.score(pairs)) == [1, 0, 1, 0, None]
    assert values(german.score(pairs)) == [0, 1, 1, 0, None]


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("I'm sorry, but I can't help with that request.", True),
        ("Sorry, I cannot assist with this.", True),
        ("I must respectfully decline.", True),
        ("You can stop a Python process with `kill`. I'm sorry if that was unclear.", False),
        ("He said that he could not help.", False),
        ("", False),
    ],
)
def test_a_refusal_is_told_by_how_the_answer_opens(answer: str, refuses: bool) -> None:
    never = refusal(RefusalConfig(name="r", kind="refusal"))
    always = refusal(RefusalConfig(name="r", kind="refusal", refuses="always"))
    assert values([never(item(), answer), always(item(), answer)]) == [float(not refuses), float(refuses)]


def test_an_item_may_say_whether_refusing_is_wanted() -> None:
    rule = refusal(RefusalConfig(name="r", kind="refusal", refuses="item"))
    no = "I can't help with that."
    found = [rule(item(should_refuse=True), no), rule(item(should_refuse=False), no), rule(item(), no)]
    assert values(found) == [1, 0, None]


@pytest.mark.skipif(not XSTEST.is_file(), reason="the shared data is not here")
def test_questions_are_no_refusals() -> None:
    rule = refusal(RefusalConfig(name="r", kind="refusal"))
    with XSTEST.open(encoding="utf-8") as file:
        prompts = [line["prompt"] for line in csv.DictReader(file)]
    assert len(prompts) > 400
    assert all(one == 1 for one in values([rule(item(), prompt) for prompt in prompts]))


def test_what_is_forbidden_may_be_texts_patterns_or_the_items_own() -> None:
    rule = forbidden(
        ForbiddenConfig(name="f", kind="forbidden", texts=["Guarantee"], patterns=[r"\b\d{4}-\d{4}\b"], key="no")
    )
    assert values(
        [
            rule(item(no=["moon"]), "We GUARANTEE it"),
            rule(item(no=["moon"]), "card 1234-5678"),
            rule(item(no=["moon"]), "to the Moon"),
            rule(item(no=[]), "to the Moon"),
            rule(item(), "anything"),
        ]
    ) == [0, 0, 0, 1, None]


def test_a_pattern_that_takes_too_long_is_unscored() -> None:
    rule = forbidden(ForbiddenConfig(name="f", kind="forbidden", patterns=[r"(a|aa)+$"]))
    assert isinstance(rule(item(), "a" * 60 + "b"), Unscored)


@pytest.mark.parametrize("settings", [{}, {"patterns": ["("]}])
def test_what_forbids_nothing_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ForbiddenConfig.model_validate({"name": "f", "kind": "forbidden", **settings})
