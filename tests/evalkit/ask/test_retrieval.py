import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.core.errors import ConfigError
from curate.core.rows.row import Message, Row
from evalkit.ask.requests import Questions, ask_all
from evalkit.ask.retrieval import RetrievedPassages, measure
from evalkit.documents.passages import Passage
from evalkit.run import RunOptions, evaluate, plan
from evalkit.suite.inputs import read_inputs
from tests.evalkit.tiny_world import write_rows, write_suite

MANUAL = "# Lamp\n\n## Battery\n\nThe cell lasts 19 hours.\n\n## Care\n\nWipe it with a damp cloth.\n"


def item(name: str, answer: str, **meta: Any) -> Row:
    question = f"What about the {name} of it?"
    return Row(id=name, messages=[Message("user", question), Message("assistant", answer)], meta=meta)


ITEMS = [
    item("battery", "19 hours", source_passage="lamp.md#Battery"),
    item("care", "a damp cloth", source_passage=["lamp.md#Care", "lamp.md#Lamp > Care"]),
    item("colour", "green", source_passage="paint.md"),
]


def with_documents(world: Path, documents: dict[str, Any], **contender: Any) -> Path:
    (world / "docs").mkdir(exist_ok=True)
    (world / "docs" / "lamp.md").write_text(MANUAL)
    write_rows(world / "items.jsonl", ITEMS)
    contenders = [{"name": "base"}, {"name": "base+rag", "documents": documents, **contender}]
    return write_suite(
        world,
        items="items.jsonl",
        contenders=contenders,
        scorers=[{"name": "right", "kind": "contains"}],
        primary="right",
        cluster=None,
    )


def asked(suite: Path) -> Questions:
    return ask_all(read_inputs(suite))[0][1]


def test_passages_stand_with_their_source_before_the_question_the_best_last(world: Path) -> None:
    suite = with_documents(world, {"paths": ["docs"], "top": 2}, system="Use the passages.")
    request = asked(suite).requests[0]
    assert [message.role for message in request.messages] == ["system", "user"]
    text = request.messages[1].text
    assert text.endswith("\n\n[lamp.md, Lamp > Battery]\nThe cell lasts 19 hours.\n\nWhat about the battery of it?")
    assert text.index("Lamp > Care") < text.index("Lamp > Battery")
    assert request.messages[0].text == "Use the passages."


def test_result_says_how_often_the_right_passage_and_the_answer_were_shown(world: Path) -> None:
    (world / "docs").mkdir()
    (world / "docs" / "scan.pdf").write_bytes(b"%PDF-1.4")
    suite = with_documents(world, {"paths": ["docs"], "top": 1, "ranking": "text"})
    evaluated = evaluate(suite, RunOptions())
    retrieval = evaluated.result.contenders[1].retrieval
    assert retrieval.source_named == 3
    assert retrieval.recall == {"1": pytest.approx(2 / 3)}
    assert retrieval.passages == 2
    assert retrieval.unreadable.count == 1
    assert retrieval.unreadable.first[0].file == "scan.pdf"
    assert retrieval.nothing_found == 1  # no word of the question about the colour is in the documents
    assert msgspec.to_builtins(retrieval.answer) == {
        "items": 3,
        "in_context": 2,
        "in_documents": 2,
        "score_with": 0.0,  # the model is random
        "score_without": 0.0,
    }
    assert not evaluated.result.contenders[0].retrieval
    assert evaluated.result.contenders[1].rung == "rag"
    assert evaluated.result.chain.documents["base+rag"]["files"] == 2
    assert evaluate(suite, RunOptions()).up_to_date
    (world / "docs" / "lamp.md").write_text(MANUAL + "More.")
    assert not evaluate(suite, RunOptions()).up_to_date


def test_a_plan_stores_nothing(world: Path) -> None:
    suite = with_documents(world, {"paths": ["docs"], "ranking": "text"})
    contender = plan(suite, RunOptions())["contenders"][1]
    assert contender["prompt_tokens"] > 0
    assert not (world / "results").exists()


def test_an_adapter_can_be_given_passages_and_stays_the_costliest_rung(world: Path) -> None:
    suite = with_documents(world, {"paths": ["docs"], "ranking": "text"}, run="run")
    inputs = read_inputs(suite)
    assert inputs.contenders[1].place == "fine-tune"
    assert "19 hours" in asked(suite).requests[0].messages[-1].text


def test_a_function_of_the_users_own_finds_passages_and_its_trouble_is_one_items(world: Path) -> None:
    (world / "own.py").write_text(
        "def find(question, top):\n"
        "    if 'colour' in question:\n        raise KeyError(question)\n"
        "    return ['plain text', {'text': 'from a book', 'source': 'p. 9'}, 'too many']\n"
    )
    questions = asked(with_documents(world, {"function": "own.py:find", "top": 2}))
    assert [request.item for request in questions.requests] == ["battery", "care"]
    text = questions.requests[0].messages[-1].text
    assert "\n\n[p. 9]\nfrom a book\n\nplain text\n\nWhat about" in text
    assert "the retriever raised KeyError" in (questions.faults["colour"].error or "")
    assert questions.retrieved is not None
    section = measure(ITEMS, questions.retrieved, {})
    assert section.failed == 1
    assert section.answer.in_documents is None


@pytest.mark.parametrize(
    ("documents", "fault"),
    [
        ({}, "either `paths` or a `function`"),
        ({"paths": ["docs"], "function": "own.py:find"}, "either `paths` or a `function`"),
        ({"paths": ["docs"], "chunk_words": 30, "overlap_words": 20}, "at most half"),
        ({"function": "own"}, "pattern"),
    ],
)
def test_settings_that_make_no_sense_are_refused(world: Path, documents: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        read_inputs(with_documents(world, documents))


def test_passages_go_into_the_last_turn_of_a_longer_conversation_with_parts(world: Path) -> None:
    parts = Message("user", [{"type": "text", "text": "And the battery?"}])
    suite = with_documents(world, {"paths": ["docs"], "ranking": "text"})
    turns = [Message("user", "hello"), Message("assistant", "hi"), parts, Message("assistant", "19 hours")]
    write_rows(world / "items.jsonl", [Row(id="i", messages=turns)])
    messages = asked(suite).requests[0].messages
    assert [message.text for message in messages[:2]] == ["hello", "hi"]
    assert json.loads(json.dumps(messages[2].content))[1] == {"type": "text", "text": "And the battery?"}
    assert "19 hours" in messages[2].text


def test_an_answer_counts_as_shown_by_whole_words_wherever_it_stands() -> None:
    shown = {"a": [Passage(file="f", text="It takes 190 hours.")], "b": [Passage(file="f", text="(The) GREEN, one!")]}
    items = [item("a", "19"), item("b", "a green one", source_passage="It takes long. " * 9)]
    section = measure(items, RetrievedPassages(shown, {}, 1), {"a": 0.0, "b": 1.0})
    assert section.answer.in_context == 1
    assert (section.answer.score_with, section.answer.score_without) == (1.0, 0.0)
    assert section.recall == {"1": 0.0}


def test_the_source_of_an_answer_may_be_named_by_its_text() -> None:
    text = "The cell lasts 19 hours when it is new, and about half of that after three years of daily use."
    passages = [Passage(file="f", text="other"), Passage(file="f", text=text[:85])]
    section = measure([item("a", "19", source_passage=text)], RetrievedPassages({"a": passages}, {}, 2), {})
    assert section.recall == {"1": 0.0, "2": 1.0}
