"""xLAM's and glaive's layouts of tool use."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.table.rejections import Rejection
from tests.curate.core.rows.formats.test_formats import read, read_row, turns

TOOL = {
    "name": "tide_table",
    "description": "Says when the tide is high.",
    "parameters": {
        "port": {"type": "str", "description": "Where."},
        "days": {"type": "int, optional", "description": "How many.", "default": 1},
        "units": {"type": "List[str]", "description": "In what."},
    },
}
QUERY: dict[str, Any] = {
    "id": 4,
    "query": "When is the tide high in Hull?",
    "answers": json.dumps([{"name": "tide_table", "arguments": {"port": "Hull", "units": ["m"]}}]),
    "tools": json.dumps([TOOL]),
}


def test_a_query_with_its_calls_is_a_row_with_tools(tmp_path: Path) -> None:
    row = read_row(tmp_path, QUERY)
    (call,) = row.messages[-1].tool_calls or []
    assert call["function"]["name"] == "tide_table"
    assert json.loads(call["function"]["arguments"]) == {"port": "Hull", "units": ["m"]}
    (tool,) = row.tools or []
    schema = tool["function"]["parameters"]
    assert {name: each["type"] for name, each in schema["properties"].items()} == {
        "port": "string",
        "days": "integer",
        "units": "array",
    }
    assert schema["required"] == ["port", "units"]
    assert (row.id, row.meta) == ("4", {})


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object"}, {"type": "object", "properties": {"port": {"type": "str"}}}]
)
def test_a_schema_that_is_one_stays_as_it_is(tmp_path: Path, schema: dict[str, Any]) -> None:
    for tool in ({"name": "tide", "parameters": schema}, {"function": {"name": "tide", "parameters": schema}}):
        row = read_row(tmp_path, {**QUERY, "tools": [tool]})
        assert row.tools is not None
        assert row.tools[0]["function"]["parameters"] == schema


@pytest.mark.parametrize("change", [{"answers": "[]"}, {"answers": "tide_table()"}, {"answers": [3]}, {"query": None}])
def test_a_query_without_a_call_is_no_row(tmp_path: Path, change: dict[str, Any]) -> None:
    (rejection,) = read(tmp_path, {**QUERY, **change})
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "not-a-row"


SYSTEM = """SYSTEM: You help sailors with these functions. Use them if needed -
{
    "name": "tide",
    "parameters": {"type": "object", "properties": {"port": {"type": "string"}}}
}
{"name": "wind", "parameters": {}}"""
CHAT = """USER: High tide in Hull, O'Brien asks?


ASSISTANT: Let me look. <functioncall> {"name": "tide", "arguments": '{"port": "O\\'Hull"}'} <|endoftext|>


FUNCTION RESPONSE: {"at": "6:10"}


ASSISTANT: At 6:10. <|endoftext|>


USER: Thanks"""


def test_a_conversation_as_one_text_is_taken_apart(tmp_path: Path) -> None:
    row = read_row(tmp_path, {"system": SYSTEM, "chat": CHAT, "n": 1})
    assert turns(row) == [
        ("system", "You help sailors with these functions. Use them if needed"),
        ("user", "High tide in Hull, O'Brien asks?"),
        ("assistant", "Let me look."),
        ("tool", '{"at": "6:10"}'),
        ("assistant", "At 6:10."),
        ("user", "Thanks"),
    ]
    (call,) = row.messages[2].tool_calls or []
    assert json.loads(call["function"]["arguments"]) == {"port": "O'Hull"}
    assert row.messages[3].tool_call_id == call["id"]
    assert [tool["function"]["name"] for tool in row.tools or []] == ["tide", "wind"]
    assert row.meta == {"n": 1}


@pytest.mark.parametrize("arguments", ['{"port": "Hull"}', '\'{"port": "Hull"}\'', '"{\\"port\\": \\"Hull\\"}"', "{}"])
def test_arguments_are_json_or_quoted_json(tmp_path: Path, arguments: str) -> None:
    chat = f'USER: q\n\n\nASSISTANT: <functioncall> {{"name": "tide", "arguments": {arguments}}} <|endoftext|>'
    (call,) = read_row(tmp_path, {"system": SYSTEM, "chat": chat}).messages[-1].tool_calls or []
    assert json.loads(call["function"]["arguments"]) in ({"port": "Hull"}, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chat": "USER: q\n\n\nASSISTANT: <functioncall> tide(Hull)"}, "turn 2 of chat"),
        ({"system": 'Use -\n{"name": "tide", '}, "functions in system"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (rejection,) = read(tmp_path, {"system": SYSTEM, "chat": CHAT, **change})
    assert isinstance(rejection, Rejection)
    assert said in rejection.detail
