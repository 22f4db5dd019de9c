"""Pairs under the names people use, and the `map` line that is proposed for everything else."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.formats.guess import guess_map, map_line
from curate.core.rows.formats.registry import find_format
from curate.core.sources.source import Source
from curate.table.rejections import Rejection
from tests.curate.core.rows.formats.test_formats import json_values, read, read_row, turns

ASKED, TOLD = "Which bird sings at night?", "The nightingale."
BOTH = [("user", ASKED), ("assistant", TOLD)]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("question", "answer"),
        ("Question", "Answer"),
        ("query", "response"),
        ("input", "target"),
        ("question", "sql"),
        ("prompt", "response"),
        ("prompt", "answer"),
        ("problem", "solution"),
        ("q", "a"),
        ("user", "assistant"),
        ("instruction", "answer"),
        ("question", "reply"),
    ],
)
def test_a_pair_is_read_under_the_names_people_use(tmp_path: Path, question: str, answer: str) -> None:
    row = read_row(tmp_path, {"id": "one", question: ASKED, answer: TOLD, "stars": 3, "label": "birds"})
    assert turns(row) == BOTH
    assert (row.id, row.label, row.meta) == ("one", "birds", {"stars": 3})


def test_what_belongs_to_a_pair_is_put_in(tmp_path: Path) -> None:
    record = {"system": "Be brief.", "history": [["Hello?", "Yes?"]], "context": "A poem.", "question": ASKED}
    row = read_row(tmp_path, {**record, "answer": TOLD, "reasoning": "It says so."})
    assert turns(row) == [
        ("system", "Be brief."),
        ("user", "Hello?"),
        ("assistant", "Yes?"),
        ("user", f"A poem.\n\n{ASKED}"),
        ("assistant", TOLD),
    ]
    assert row.messages[-1].reasoning_content == "It says so."
    assert row.meta == {}


@pytest.mark.parametrize("prompt", ["[1, 2]", "[INST] hello", "{x}", "5 < 6"])
def test_a_prompt_that_looks_like_something_else_is_text(tmp_path: Path, prompt: str) -> None:
    assert turns(read_row(tmp_path, {"question": prompt, "answer": "a"}))[0] == ("user", prompt)


def test_choices_belong_to_the_question_and_the_key_to_the_answer(tmp_path: Path) -> None:
    choices = {"text": ["owl", "nightingale"], "label": ["A", "B"]}
    row = read_row(tmp_path, {"question": ASKED, "choices": choices, "answerKey": "B"})
    assert turns(row) == [("user", f"{ASKED}\n\nA. owl\nB. nightingale"), ("assistant", "B")]


@pytest.mark.parametrize(
    "record",
    [
        {"question": ASKED, "answer": TOLD, "solution": "Another."},
        {"question": ASKED, "prompt": "Another.", "answer": TOLD},
        {"question": ASKED, "answer": ["One.", "Two."]},
        {"question": {"text": ASKED}, "answer": TOLD},
        {"context": {"pages": []}, "question": ASKED, "answer": TOLD},
        {"history": "He asked for a bird.", "question": ASKED, "answer": TOLD},
        {"text": ASKED, "label": "bird"},
        {"document": ASKED, "summary": TOLD},
        {"source": ASKED, "target_text": TOLD},
    ],
)
def test_what_can_be_read_two_ways_is_not_guessed_at(record: dict[str, Any]) -> None:
    assert find_format(record) is None


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({"text": ASKED, "label": "bird"}, "map: {prompt: text, answer: label}"),
        ({"source": "un oiseau", "target": "a bird"}, "map: {prompt: source, answer: target}"),
        ({"document": ASKED, "summary": TOLD, "id": 3}, "map: {prompt: document, answer: summary}"),
        ({"context": {"x": [1]}, "question": ASKED, "answer": TOLD}, "map: {prompt: question, answer: answer}"),
        ({"question": ASKED, "answer": [TOLD, "An owl."]}, "map: {prompt: question, answer: answer.0}"),
        ({"data": {"ask": ASKED, "tell": TOLD}}, "map: {prompt: data.ask, answer: data.tell}"),
        ({"riddle": ASKED, "told": TOLD, "date": "2020"}, "map: {prompt: riddle, answer: told}"),
        (
            {
                "question": ASKED,
                "title": "Birds",
                "context": "A poem.",
                "answers": {"answer_start": [4], "text": [TOLD]},
            },
            'map: {prompt: "{context}\\n\\n{question}", answer: answers.text.0}',
        ),
        (
            {"sql_prompt": ASKED, "sql_context": "CREATE TABLE birds (name TEXT)", "sql": "SELECT name FROM birds"},
            'map: {prompt: "{sql_context}\\n\\n{sql_prompt}", answer: sql}',
        ),
        ({"question": ASKED, "query": "SELECT 1", "db_id": "birds"}, "map: {prompt: question, answer: query}"),
        ({"expected_answer": TOLD, "user_question": ASKED}, "map: {prompt: user_question, answer: expected_answer}"),
        (
            {"history": "He asked.", "question": ASKED, "answer": TOLD},
            'map: {prompt: "{history}\\n\\n{question}", answer: answer}',
        ),
        (
            {"system": "s", "conversation": [{"human": ASKED, "assistant": TOLD}]},
            "map: {system: system, messages: conversation}",
        ),
        (
            {"context": "A poem.", "question": ASKED, "answer": TOLD, "solution": "x"},
            'map: {prompt: "{context}\\n\\n{question}", answer: answer}',
        ),
        (
            {"prompt": [{"role": "user", "content": ASKED}], "check": {"ground_truth": TOLD}},
            "map: {messages: prompt, answer: check.ground_truth}",
        ),
        ({"turns": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "map: {messages: turns}"),
        (
            {
                "request": {"messages": [{"role": "user", "content": ASKED}]},
                "response": {"choices": [{"message": {"role": "assistant", "content": TOLD}}]},
            },
            "map: {messages: request.messages, answer: response.choices.0.message.content}",
        ),
        (
            {"question_stem": ASKED, "choices": {"text": ["owl", "wren"], "label": ["A", "B"]}, "answerKey": "B"},
            "map: {prompt: question_stem, answer: answerKey}",
        ),
    ],
)
def test_an_unknown_record_is_answered_with_the_line_that_reads_it(
    tmp_path: Path, record: dict[str, Any], line: str
) -> None:
    (rejection,) = read(tmp_path, record)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "unknown-format"
    assert f"`{line}`" in rejection.detail
    assert turns_by(tmp_path, record, line)


def turns_by(folder: Path, record: dict[str, Any], line: str) -> bool:
    """Does the line, put into a recipe's source, read the record as messages?"""
    (found,) = read(folder, record, **yaml.safe_load(line))
    return not isinstance(found, Rejection) or "role" in found.detail  # a message of ShareGPT's needs its own reader


def test_what_the_line_leaves_is_named(tmp_path: Path) -> None:
    (rejection,) = read(tmp_path, {"riddle": ASKED, "told": TOLD, "score": 1, "id": "x"})
    assert isinstance(rejection, Rejection)
    assert "id, score then stay in meta" in rejection.detail


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": "Just a story."}, "`adapter`"),
        ({"rpm": "12.5", "volts": "3"}, "`adapter`"),
        ({"text": ASKED, "role": "prompter"}, "`adapter`"),
        ({"talk": [{"speaker": "Ann", "text": ASKED}, {"speaker": "Bob", "text": TOLD}]}, "`adapter`"),
        ({"prompt": [{"role": "user", "content": ASKED}]}, "which has no answer: `map: {messages: prompt}`"),
        (
            {"data": [{"title": "Birds", "paragraphs": [{"context": "c", "qas": [{"question": "q", "gold": "a"}]}]}]},
            '`at: "data.*.paragraphs.*.qas", map: {prompt: "{context}\\n\\n{question}", answer: gold}`',
        ),
        (
            {"about": "Two birds", "cases": [{"riddle": ASKED, "told": TOLD}]},
            "`at: cases, map: {prompt: riddle, answer: told}`",
        ),
        ({"What is a quay?": "x", "A place for ships to land.": "y"}, "header line"),
        ({"data": [{"question": "q", "answer": "a"}], "version": 2}, "`at: data`"),
        ({"rows": [{"messages": [{"role": "user", "content": "q"}]}], "version": 2}, "`at: rows`"),
        ({"a": {"messages": [{"role": "user", "content": "q"}]}, "b": {"messages": []}}, '`at: "*"`'),
        ({"asked": [[{"role": "user", "content": "q"}]], "tools_of": [{"name": "f"}]}, "messages: asked.0"),
        (
            {"data": [{"title": "t", "paragraphs": [{"context": "c", "qas": [{"question": "q", "answer": "a"}]}]}]},
            '`at: "data.*.paragraphs.*.qas"`',
        ),
        ({"x.json": {"problem": "q", "solution": "a"}, "y.json": {"problem": "r", "solution": "b"}}, '`at: "*"`'),
        ({"rows": [{"riddle": "q", "told": "a"}]}, "`at: rows, map: {prompt: riddle, answer: told}`"),
    ],
)
def test_records_that_hold_no_pair_say_what_to_do(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    (rejection,) = read(tmp_path, record)
    assert isinstance(rejection, Rejection)
    assert said in rejection.detail


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8)


@given(st.dictionaries(names, json_values | st.text(min_size=1, max_size=30), min_size=2, max_size=6))
def test_every_proposed_line_can_be_pasted(record: dict[str, Any]) -> None:
    fields = guess_map(json.loads(json.dumps(record)))
    if fields is not None:
        pasted = yaml.safe_load(map_line(fields))
        assert pasted == {"map": fields}
        source = Source.model_validate({"name": "s", "path": "p", **pasted})
        assert source.map is not None
