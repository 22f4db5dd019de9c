"""Logs are other people's files: every shape is read, every bad line is counted, none ends the job."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import DataError
from curate.core.rows.formats.format import UnfitError
from evalkit.drift.logs import _entry, read_logs
from evalkit.drift.measures import schema_faults

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my parcel?"}]
SAID = {"role": "assistant", "content": "On its way."}
RESPONSE = {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": SAID}]}


def _write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [*ASKED, SAID]},
        {"request": {"model": "m", "messages": ASKED}, "response": RESPONSE},
        {"request": {"body": {"messages": ASKED}}, "response": {"status_code": 200, "body": RESPONSE}},
        {"messages": ASKED, **RESPONSE},
        {"prompt": "Where is my parcel?", "completion": "On its way."},
        {"input": "Where is my parcel?", "output": "On its way."},
        {"conversations": [{"from": "human", "value": "Where is my parcel?"}, {"from": "gpt", "value": "On its way."}]},
    ],
    ids=["row", "request and response", "batch", "stored completion", "prompt", "input", "sharegpt"],
)
def test_an_exchange_in_any_shape(tmp_path: Path, record: dict[str, Any]) -> None:
    [entry] = read_logs([_write(tmp_path / "log.jsonl", record)]).entries
    assert (entry.question, entry.answer) == ("Where is my parcel?", "On its way.")


def test_bad_lines_are_counted_by_reason_with_their_places(tmp_path: Path) -> None:
    good = {"messages": [*ASKED, SAID]}
    path = _write(
        tmp_path / "log.jsonl",
        good,
        "{cut off",
        "[1, 2]",
        {"event": "login"},
        {"request": {"messages": ASKED}, "response": {"error": {"message": "overloaded"}}},
        {"request": {"messages": ASKED}, "response": {"choices": []}},
        {"messages": ASKED},
        {"messages": "hello"},
        {"messages": [{"role": 5, "content": []}]},
        {"prompt": {"a": 1}, "completion": 7},
        "{also cut off",
        good,
    )
    logs = read_logs([path])

    assert len(logs.entries) == 2
    assert logs.lines == 12
    assert logs.bad.total() == 10
    assert logs.bad["not JSON"] == 2
    assert logs.places["not JSON"] == [f"{path}:2", f"{path}:11"]
    assert logs.bad["the call failed: there is no answer"] == 1


def test_logs_without_one_exchange_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 times: not JSON"):
        read_logs([_write(tmp_path / "log.jsonl", "x", "y")])
    with pytest.raises(DataError, match="they are empty"):
        read_logs([_write(tmp_path / "log.jsonl")])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"thumb": "up"}, True),
        ({"feedback": {"score": -1}}, False),
        ({"rating": 1}, True),
        ({"rating": 0.0}, False),
        ({"vote": True}, True),
        ({"thumbs": "👎"}, False),
        ({"rating": 4}, None),
        ({"feedback": "the colour was wrong"}, None),
        ({}, None),
    ],
)
def test_thumbs(tmp_path: Path, given: dict[str, Any], wanted: bool | None) -> None:
    [entry] = read_logs([_write(tmp_path / "log.jsonl", {"messages": [*ASKED, SAID], **given})]).entries
    assert entry.thumb is wanted


def _called(name: str, arguments: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    tools = [{"type": "function", "function": {"name": "count", "parameters": parameters}}]
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"request": {"messages": ASKED, "tools": tools}, "response": {"choices": [{"message": message}]}}


def _schema(answer: str, schema: object) -> dict[str, Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    response = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    return {"request": {"messages": ASKED, "response_format": wanted}, "response": response}


@pytest.mark.parametrize(
    ("record", "counted"),
    [
        (_called("count", '{"n": 3}'), (0, 1)),
        (_called("count", '{"n": 30}'), (1, 1)),
        (_called("count", "{"), (1, 1)),
        (_called("delete", "{}"), (1, 1)),
        (_schema('{"a": 1}', {"type": "object", "required": ["a"]}), (0, 1)),
        (_schema('{"b": 1}', {"type": "object", "required": ["a"]}), (1, 1)),
        (_schema("sure!", {"type": "object"}), (1, 1)),
        (_schema('{"b": 1}', {"$ref": "http://127.0.0.1:9/x"}), (0, 0)),
        (_schema('{"b": 1}', {"type": "no such type"}), (0, 0)),
        ({"messages": [*ASKED, SAID]}, (0, 0)),
    ],
)
def test_answers_that_break_their_schema(tmp_path: Path, record: dict[str, Any], counted: tuple[int, int]) -> None:
    entries = read_logs([_write(tmp_path / "log.jsonl", record)]).entries
    assert schema_faults(entries, json_expected=False) == counted


KEYS = "messages request response choices message role content prompt completion error body tools tool_calls thumb"
VALUES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.recursive(VALUES, lambda some: st.lists(some) | st.dictionaries(st.sampled_from(KEYS.split()), some)))
def test_no_line_ends_the_job(value: object) -> None:
    with contextlib.suppress(UnfitError):
        _entry(json.dumps(value).encode(), "label")
