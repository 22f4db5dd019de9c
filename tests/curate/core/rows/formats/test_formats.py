"""Formats: each shape of record becomes the same conversation, nothing of it is lost, and it is known by its keys."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.formats.registry import FORMATS, detect, find_format
from curate.core.rows.row import Row
from curate.core.sources.records import find_inputs
from curate.core.sources.source import FormatName, Source
from curate.table.rejections import Rejection
from curate.table.selection import RowRef
from tests.curate.row_makers import read_source

pytestmark = pytest.mark.usefixtures("each_way_to_read")
QA = [("user", "What is up?"), ("assistant", "The sky.")]
RECORDS: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "What is up?"}, {"role": "assistant", "content": "The sky."}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "What is up?"}, {"from": "gpt", "value": "The sky."}]},
    "preference": {"prompt": "What is up?", "chosen": "The sky.", "rejected": "The sea."},
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "What is up?"}]},
            {"role": "model", "parts": [{"text": "The sky."}]},
        ]
    },
    "alpaca": {"instruction": "What is up?", "input": "", "output": "The sky."},
    "dolly": {"instruction": "What is up?", "context": "", "response": "The sky."},
    "prompt-completion": {"prompt": "What is up?", "completion": "The sky."},
    "input-output": {"input": "What is up?", "output": "The sky."},
    "glaive": {"chat": "USER: What is up?\n\n\nASSISTANT: The sky. <|endoftext|>"},
    "pairs": {"question": "What is up?", "answer": "The sky."},
}


def read(folder: Path, *records: object, **settings: Any) -> list[RowRef | Rejection]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source = Source.model_validate({"name": "s", "path": "rows.jsonl", **settings})
    return read_source(source, find_inputs("rows.jsonl", folder), folder)


def read_row(folder: Path, record: object, **settings: Any) -> Row:
    (found,) = read(folder, record, **settings)
    assert isinstance(found, RowRef), found
    return found.row


def turns(row: Row) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in row.messages]


def test_the_recipe_knows_every_format() -> None:
    assert set(FormatName.__args__) == set(FORMATS) == {*RECORDS, "xlam"}  # which answers with calls alone


@pytest.mark.parametrize("name", RECORDS)
def test_every_format_is_found_out_and_read(tmp_path: Path, name: str) -> None:
    extra = {"id": "given", "label": 3, "stars": 5}
    form = find_format(RECORDS[name])
    assert form is not None
    assert form.name == name
    for settings in ({}, {"format": name}):
        row = read_row(tmp_path, {**RECORDS[name], **extra}, **settings)
        assert turns(row) == QA
        assert (row.id, row.label) == ("given", "3")
        assert row.meta["stars"] == 5
    assert find_format({"riddle": "?", "answer": "!"}) is None


def test_context_stands_below_the_instruction_and_history_before_it(tmp_path: Path) -> None:
    for inner, answer in itertools.product(("input", "context"), ("output", "response")):
        record = {"instruction": "Translate.", inner: "chat", answer: "cat", "system": "Be brief."}
        row = read_row(tmp_path, {**record, "history": [["Hello?", "Yes?"]]})
        assert turns(row) == [
            ("system", "Be brief."),
            ("user", "Hello?"),
            ("assistant", "Yes?"),
            ("user", "Translate.\n\nchat"),
            ("assistant", "cat"),
        ]
        assert row.meta == {}


@pytest.mark.parametrize("name", ["alpaca", "dolly", "prompt-completion", "input-output", "pairs"])
def test_what_stands_beside_a_question_is_read_in_all_formats_of_pairs(tmp_path: Path, name: str) -> None:
    beside = {"system_prompt": "Be brief.", "chat_history": [["Hi.", "Hello."]], "thinking": "It is not the sea."}
    row = read_row(tmp_path, {**RECORDS[name], **beside})
    assert turns(row) == [("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), *QA]
    assert row.messages[-1].reasoning_content == "It is not the sea."
    assert row.meta == {}
    switched = read_row(tmp_path, {**RECORDS[name], "reasoning": "off"})
    assert (turns(switched), switched.meta) == (QA, {"reasoning": "off"})


def test_a_prompt_may_have_a_context_or_be_a_transcript(tmp_path: Path) -> None:
    row = read_row(tmp_path, {**RECORDS["prompt-completion"], "context": "Look."})
    assert turns(row) == [("user", "Look.\n\nWhat is up?"), QA[1]]
    talk = "\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: What is up?\n\nAssistant:"
    row = read_row(tmp_path, {"prompt": talk, "completion": "The sky."})
    assert turns(row) == [("user", "Hi."), ("assistant", "Hello."), *QA]


def test_pairs_may_hold_messages(tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    answer = [{"role": "assistant", "content": "a"}]
    whole = [("system", "s"), ("user", "q"), ("assistant", "a")]
    assert turns(read_row(tmp_path, {"prompt": prompt, "completion": answer})) == whole
    assert turns(read_row(tmp_path, {"prompt": prompt, "chosen": answer, "rejected": answer})) == whole
    assert turns(read_row(tmp_path, {"prompt": prompt, "chosen": prompt + answer, "rejected": prompt})) == whole
    assert turns(read_row(tmp_path, {"chosen": prompt + answer, "rejected": prompt})) == whole


def test_the_rejected_answer_is_kept_beside_the_row(tmp_path: Path) -> None:
    row = read_row(tmp_path, {**RECORDS["preference"], "meta": {"a": 1}})
    assert row.meta == {"a": 1, "rejected": "The sea."}
    (rejection,) = read(tmp_path, {"chosen": "text", "rejected": "text"})
    assert isinstance(rejection, Rejection)
    assert "no prompt" in rejection.detail


def test_sharegpt_calls_become_tool_calls(tmp_path: Path) -> None:
    tool = {"name": "f", "parameters": {"type": "object"}}
    conversation = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "observation", "value": "2", "took": 3},
        {"from": "gpt", "value": "a", "weight": 0},
    ]
    row = read_row(tmp_path, {"conversations": conversation, "tools": json.dumps([tool]), "system": "s"})
    assert [message.role for message in row.messages] == ["system", "user", "assistant", "tool", "assistant"]
    (call,) = row.messages[2].tool_calls or []
    assert call["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert row.messages[3].tool_call_id == call["id"]
    assert row.messages[4].weight == 0
    assert row.tools == [{"type": "function", "function": tool}]
    assert row.meta == {"message_extras": {"3": {"took": 3}}}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sharegpt", {"conversations": [{"value": "from nobody"}]}),
        ("sharegpt", {"conversations": ["text"]}),
        ("sharegpt", {"conversations": [{"from": "function_call", "value": "f(x)"}]}),
        ("sharegpt", {"tools": "[{"}),
        ("alpaca", {"output": None}),
        ("alpaca", {"history": "text"}),
        ("prompt-completion", {"completion": {"text": "a"}}),
        ("chat", {"messages": ["text"]}),
        ("chat", {"tools": ["text"]}),
        ("chat", {"meta": "{text"}),
    ],
)
def test_a_record_that_is_no_row_says_why(tmp_path: Path, name: str, change: dict[str, Any]) -> None:
    (rejection,) = read(tmp_path, {**RECORDS[name], **change}, format=name)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "not-a-row"
    assert rejection.detail


def test_most_records_decide_and_ties_go_to_the_earlier_format() -> None:
    alpaca, chat = RECORDS["alpaca"], RECORDS["chat"]
    found = [detect(sample) for sample in ([alpaca, alpaca, chat, 3, None], [alpaca, chat], [{"x": 1}])]
    assert [form and form.name for form in found] == ["alpaca", "chat", None]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        *("messages", "conversations", "instruction", "input", "output", "response", "prompt", "completion", "chosen"),
        *("rejected", "tools", "system", "history", "meta", "id", "label", "other", "question", "query", "answer"),
        *("answers", "chat", "context", "choices", "reasoning"),
    ]
)


@given(st.lists(st.dictionaries(keys, json_values, max_size=5), min_size=1, max_size=4))
def test_any_record_is_a_row_or_a_rejection(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    items = read(tmp_path_factory.mktemp("any"), *records)
    assert len(items) == len(records)
    for record, item in zip(records, items, strict=True):
        if isinstance(item, RowRef) and "other" in record:
            assert item.row.meta["other"] == record["other"]
