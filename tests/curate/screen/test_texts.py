import json
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row, encode_row
from curate.screen.spans import Found, Span
from curate.screen.stage import redact
from curate.screen.texts import SEPARATOR, redacted_row, row_text, text_series
from tests.curate.row_makers import make_row


def find_x(texts: pl.Series) -> Found:
    """Finds every x."""
    found = {row: [Span(at, at + 1, "ecks") for at, c in enumerate(text) if c == "x"] for row, text in enumerate(texts)}
    return {row: spans for row, spans in found.items() if spans}


def test_the_text_of_a_row_by_side() -> None:
    row = Row(id="1", messages=[Message("system", "s"), Message("user", "u"), Message("assistant", "a")])
    assert row_text(row, "prompt") == f"s{SEPARATOR}u"
    assert row_text(row, "answer") == "a"
    assert row_text(row, "conversation") == f"s{SEPARATOR}u{SEPARATOR}a"
    assert row_text(Row(id="1", messages=[Message("user", "u")]), "answer") == ""


def test_json_is_read_by_keys_and_values_and_stays_json() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "fox", "arguments": '{"to": "x\\nx", "n": 4111}'}}
    row = Row(
        id="1",
        messages=[
            Message("user", [{"type": "text", "text": "x?"}, {"type": "image_url", "image_url": {"url": "x"}}]),
            Message("assistant", None, tool_calls=[call]),
            Message("tool", '{"x": [1, "x"], "y": true}', tool_call_id="1"),
            Message("assistant", '{"name": "x"}'),
        ],
    )
    assert row_text(row, "answer") == f"name{SEPARATOR}x"
    clean = redact([row], "conversation", find_x)[0]
    assert clean.messages[0].content == [
        {"type": "text", "text": "[ECKS]?"},
        {"type": "image_url", "image_url": {"url": "x"}},
    ]
    assert clean.messages[1].tool_calls is not None
    function = clean.messages[1].tool_calls[0]["function"]
    assert function["name"] == "fox"
    assert json.loads(function["arguments"]) == {"to": "[ECKS]\n[ECKS]", "n": 4111}
    assert json.loads(clean.messages[2].text) == {"[ECKS]": [1, "[ECKS]"], "y": True}
    assert clean.messages[3].text == '{"name": "[ECKS]"}'


CALL = {"id": "x1", "type": "function", "function": {"name": "fox", "arguments": '{"to": "x"}'}}
FULL = Row(
    id="1",
    messages=[
        Message("user", "q", name="xan"),
        Message("assistant", "a", reasoning_content="x thinks", tool_calls=[CALL]),
    ],
    tools=[
        {
            "type": "function",
            "function": {
                "name": "fox",
                "description": "asks x",
                "parameters": {
                    "type": "object",
                    "required": ["x"],
                    "properties": {"x": {"type": "string", "enum": ["x", "y"], "default": {"id": "x"}}},
                },
            },
        }
    ],
    meta={"rejected": "ask x", "by": "x"},
)


def test_what_is_rendered_or_trained_on_is_redacted_and_its_shape_stays() -> None:
    clean = redact([FULL], "conversation", find_x)[0]
    assert [clean.messages[0].name, clean.messages[1].reasoning_content] == ["[ECKS]an", "[ECKS] thinks"]
    assert clean.tools is not None
    function = clean.tools[0]["function"]
    assert [function["name"], function["description"]] == ["fox", "asks [ECKS]"]
    assert function["parameters"]["required"] == list(function["parameters"]["properties"]) == ["x"]
    assert function["parameters"]["properties"]["x"] == {
        "type": "string",
        "enum": ["[ECKS]", "y"],
        "default": {"id": "[ECKS]"},
    }
    assert clean.meta == {"rejected": "ask [ECKS]", "by": "x"}


@pytest.mark.parametrize(
    ("rejected", "clean"),
    [
        ("x", "[ECKS]"),
        ({"role": "assistant", "content": "x"}, {"role": "assistant", "content": "[ECKS]"}),
        ([{"from": "gpt", "value": "x", "id": "x"}], [{"from": "gpt", "value": "[ECKS]", "id": "x"}]),
        (
            [{"role": "user", "name": "x", "content": [{"type": "text", "text": "x"}]}],
            [{"role": "user", "name": "[ECKS]", "content": [{"type": "text", "text": "[ECKS]"}]}],
        ),
        (
            {"role": "assistant", "content": None, "thinking": "x", "tool_calls": [CALL]},
            {
                "role": "assistant",
                "content": None,
                "thinking": "[ECKS]",
                "tool_calls": [{**CALL, "function": {"name": "fox", "arguments": '{"to": "[ECKS]"}'}}],
            },
        ),
        (None, None),
        (4, 4),
    ],
)
def test_the_rejected_side_is_redacted_whatever_its_shape(rejected: Any, clean: Any) -> None:
    row = make_row("q", "a", meta={"rejected": rejected})
    assert redact([row], "conversation", find_x)[0].meta == {"rejected": clean}


def test_sides_of_a_rejected_conversation() -> None:
    both = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]
    row = make_row("x", "x", meta={"rejected": both})
    asked, answered = (redact([row], on, find_x)[0].meta["rejected"] for on in ("prompt", "answer"))
    assert [turn["content"] for turn in asked] == ["[ECKS]", "x"]
    assert [turn["content"] for turn in answered] == ["x", "[ECKS]"]


def test_screens_of_what_was_said_read_no_more_than_that() -> None:
    assert row_text(FULL, "conversation") == f"q{SEPARATOR}a{SEPARATOR}to{SEPARATOR}x"
    assert row_text(FULL, "answer", "reasoning") == f"x thinks{SEPARATOR}a{SEPARATOR}to{SEPARATOR}x"


def test_definitions_and_rejected_sides_too_deep_to_walk_are_read_as_text() -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = {"a": [deep]}
    row = make_row("q", "a", meta={"rejected": deep}, tools=[{"parameters": {"default": deep}}])
    clean = redact([row], "conversation", find_x)[0]
    assert b"x" not in encode_row(clean).replace(b'"index"', b"")


def test_a_number_that_is_redacted_becomes_text_and_keys_that_meet_keep_both_values() -> None:
    row = make_row("p", '{"a@b.co": 1, "c@d.co": 2, "n": 4111111111111111}')

    def find(texts: pl.Series) -> Found:
        return {
            index: spans
            for index, text in enumerate(texts)
            if (
                spans := [
                    Span(text.index(w), text.index(w) + len(w), "pii")
                    for w in ("a@b.co", "c@d.co", "4" + "1" * 15)
                    if w in text
                ]
            )
        }

    assert json.loads(redact([row], "answer", find)[0].answer) == {"[PII]": 1, "[PII] 2": 2, "n": "[PII]"}


def test_json_too_deep_to_walk_is_read_as_text() -> None:
    text = '{"a":' * 500 + '"x"' + "}" * 500
    assert row_text(make_row("p", text), "answer") == text
    assert redact([make_row("p", text)], "answer", find_x)[0].answer == text.replace("x", "[ECKS]")


def test_a_pattern_that_matches_placeholders_ends() -> None:
    def find_capitals(texts: pl.Series) -> Found:
        spans = {
            row: [Span(at, at + 1, "big") for at, c in enumerate(text) if c.isupper()] for row, text in enumerate(texts)
        }
        return {row: found for row, found in spans.items() if found}

    assert redact([make_row("a B c D")], "prompt", find_capitals)[0].messages[0].text == "a [BIG] c [BIG]"


def test_unpaired_surrogates_keep_offsets() -> None:
    assert text_series(["a\ud800b", "ok"]).to_list() == ["a\ufffdb", "ok"]


contents = st.text(alphabet='xy\x1e\ud800é😀 "\\{}[]:,1\n', max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | contents,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(contents, inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant"]), contents | values.map(json.dumps), tool_calls=st.none()),
    max_size=4,
)
rows = st.builds(
    Row,
    id=st.just("r"),
    messages=messages,
    tools=st.none() | st.lists(st.dictionaries(contents, values, max_size=2), max_size=2),
    meta=st.just({}) | st.fixed_dictionaries({"rejected": values}),
)
sides = st.sampled_from(["prompt", "answer", "conversation"])


@given(rows, sides)
def test_redaction_leaves_nothing_behind_and_touches_nothing_else(row: Row, on: str) -> None:
    clean = redact([row], on, find_x)[0]
    assert "x" not in row_text(clean, on, "everything")
    assert [message.role for message in clean.messages] == [message.role for message in row.messages]
    if "x" not in row_text(row, on, "everything"):
        assert clean == row


@given(rows, sides)
def test_without_spans_a_row_stays_as_it_is(row: Row, on: str) -> None:
    assert redacted_row(row, on, []) == row


@given(values, sides)
def test_tool_call_arguments_stay_json_of_the_same_shape(value: object, on: str) -> None:
    call = {"function": {"name": "f", "arguments": json.dumps({"v": value})}}
    row = Row(id="r", messages=[Message("user", "q"), Message("assistant", None, tool_calls=[call])])
    clean = redact([row], on, find_x)[0]
    assert clean.messages[1].tool_calls is not None
    changed = clean.messages[1].tool_calls[0]["function"]["arguments"]
    assert list(json.loads(changed)) == ["v"]
    if "\ud800" not in json.dumps(value, ensure_ascii=False):
        assert msgspec.json.decode(encode_row(clean), type=Row).id == "r"
