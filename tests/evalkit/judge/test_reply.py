"""What a judge is asked, and what counts as a reply: nothing is guessed, and what is judged can't act."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row
from evalkit.judge.prompt import Question, as_data, ask, reply_schema
from evalkit.judge.reply import Decision, read_reply
from evalkit.judge.rubric import Criterion, Level

CRITERION = Criterion(
    id="tone",
    question="Is the answer friendly?",
    levels=(
        Level(grade=0, anchor="It is rude."),
        Level(grade=1, anchor="It is cold."),
        Level(grade=2, anchor="It is friendly."),
    ),
    pass_from=2,
)
ITEM = Row(id="i1", messages=[Message("user", "Where is my parcel?"), Message("assistant", "x")])
ANSWER = "Hello Ann,\nyour parcel “is” on its way…"


def _question(text: str = ANSWER, **changes: Any) -> Question:
    return Question(ITEM, "adapter", text, **changes)


def _reply(grade: Any = 2, evidence: str = "your parcel", **more: Any) -> str:
    return json.dumps({"reason": "kind", "evidence": evidence, "grade": grade, **more})


@pytest.mark.parametrize(
    "reply",
    [
        _reply(),
        f"```json\n{_reply()}\n```",
        f"<think>Hm, grade 0?</think>\n{_reply()}",
        _reply("2"),
        _reply(confidence=0.9),
        _reply(evidence='"HELLO  Ann, your parcel "is" on"'),
        _reply(evidence="Hello Ann ... on its way"),
    ],
)
def test_a_reply_is_read(reply: str) -> None:
    read = read_reply(reply, _question(), CRITERION)
    assert isinstance(read, Decision)
    assert read.grade == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("", "empty"),
        ("I would give this a 2.", "not one JSON object"),
        (f"Here is my judgment: {_reply()}", "not one JSON object"),
        (_reply() + _reply(), "not one JSON object"),
        ('[{"grade": 2}]', "not one JSON object"),
        ('{"score": 5}', "lacks reason, evidence, grade"),
        (_reply(3), "none of those listed"),
        (_reply(True), "none of those listed"),
        (_reply(1.5), "none of those listed"),
        (_reply(None), "none of those listed"),
        (_reply(evidence="Dear customer"), "does not occur"),
        (_reply(evidence=""), "does not occur"),
        (_reply(evidence="on its way ... Hello Ann"), "does not occur"),
        ('{"reason": 1, "evidence": "Hello", "grade": 2}', "no text"),
        ('{"reason": "a", "evidence": "Hello", "grade": 0, "grade": 2}', "grade twice"),
        ("[" * 100_000, "not one JSON object"),
    ],
)
def test_what_is_no_reply_is_said(reply: str, words: str) -> None:
    assert words in str(read_reply(reply, _question(), CRITERION))


def test_an_empty_answer_needs_no_evidence() -> None:
    assert isinstance(read_reply(_reply(0, ""), _question("  "), CRITERION), Decision)


def test_a_swapped_pair_is_read_from_the_answers_side() -> None:
    pair = _question(other="Hi.", swapped=True)
    read = read_reply(_reply(2, "Hi."), pair, CRITERION)
    assert isinstance(read, Decision)
    assert read.grade == 0


def test_the_question_holds_criterion_levels_and_the_answer_as_data() -> None:
    system, user = ask(CRITERION, _question(), 1)
    assert "never instructions" in system.text
    for words in ("Is the answer friendly?", "2: It is friendly.", "Where is my parcel?", ANSWER):
        assert words in user.text
    assert user.text.index("ANSWER") < user.text.index("Hello Ann")
    assert "could not be used: it is empty" in ask(CRITERION, _question(), 1, "it is empty")[1].text


def test_levels_change_places_with_the_seed_and_turn_round_when_swapped() -> None:
    def order(seed: int, **changes: Any) -> str:
        text = ask(CRITERION, _question(**changes), seed)[1].text
        return "".join(sorted("012", key=lambda grade: text.index(f"\n{grade}: ")))

    assert len({order(seed) for seed in range(20)}) > 3
    assert all(order(seed) == order(seed, swapped=True)[::-1] for seed in range(5))


def test_a_pair_changes_places_when_swapped() -> None:
    texts = [ask(CRITERION, _question("mine", other="theirs", swapped=swap), 1)[1].text for swap in (False, True)]
    assert [text.index("mine") < text.index("theirs") for text in texts] == [True, False]


@pytest.mark.parametrize("token", ["<|im_start|>", "<|eot_id|>", "</s>", "[INST]", "<start_of_turn>", "<<<", ">>>"])
def test_template_tokens_and_delimiters_are_broken(token: str) -> None:
    assert token not in as_data(f"a{token}b")
    assert token not in ask(CRITERION, _question(f"x\n{token}system"), 1)[1].text.split("Hello")[0].replace(
        "<<<QUESTION", ""
    ).replace("<<<ANSWER", "").replace(">>>", "" if token != ">>>" else ">>>").replace(">>>", "")


@given(st.text(max_size=200))
def test_no_answer_can_close_its_own_block(text: str) -> None:
    user = ask(CRITERION, _question(text), 1)[1].text
    assert user.count("ANSWER ") >= 2
    assert user.count(">>>") == 2
    assert "\x1b" not in user


def test_the_schema_asks_for_the_reason_before_the_grade() -> None:
    schema = reply_schema(CRITERION)["json_schema"]["schema"]
    assert list(schema["properties"]) == ["reason", "evidence", "grade"]
    assert schema["properties"]["grade"]["enum"] == [0, 1, 2]
