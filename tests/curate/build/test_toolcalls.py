"""The function-calling example, on the real rows."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.core.files import decode_lines
from curate.core.paths import load_function
from curate.core.rows.row import Row

SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "toolcalls"
needs_rows = pytest.mark.skipif(
    importlib.util.find_spec("bfcl_eval") is None,
    reason="the package bfcl-eval, which holds the rows, is not installed",
)


def record(kind: str, properties: dict[str, Any], acceptable: dict[str, Any], request: str = "r") -> dict[str, Any]:
    function = {
        "name": "f.g",
        "description": "Does it. And more.",
        "parameters": {"type": kind, "properties": properties, "required": ["a"]},
    }
    answer = {"ground_truth": [{"f.g": acceptable}]}
    return {"id": "1", "question": [[{"role": "user", "content": request}]], "function": [function], "answer": answer}


def adapt(values: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = load_function("bfcl.py:simple_python", SAMPLE)(values)
    return row


def target(row: dict[str, Any]) -> Any:
    return json.loads(row["messages"][-1]["content"])


def test_types_become_json_schemas_and_signatures_short() -> None:
    properties = {
        "a": {"type": "tuple", "items": {"type": "float"}},
        "b": {"type": "dict", "properties": {"c": {"type": "any"}}},
        "d": {"type": "string", "enum": ["x", "y"]},
    }
    row = adapt(record("dict", properties, {"a": [[1, 2]]}))
    schema = row["meta"]["answer_schema"]["properties"]["arguments"]
    assert schema["type"] == "object"
    assert schema["properties"]["a"] == {"type": "array", "items": {"type": "number"}}
    assert schema["properties"]["b"]["properties"]["c"] == {}
    assert row["messages"][1]["content"].startswith('f.g(a: list[float], b?: {c: any}, d?: "x"|"y") # Does it\n')


def test_optional_parameters_are_left_out_where_they_may_be() -> None:
    integers = {name: {"type": "integer"} for name in "abc"}
    row = adapt(record("dict", integers, {"a": ["", 1, 2], "b": ["", 3], "c": [4]}))
    assert target(row) == {"name": "f.g", "arguments": {"a": 1, "c": 4}}


def test_nested_choices_are_made() -> None:
    acceptable = {"a": [{"k": ["", "v"], "l": ["w", "x"]}], "b": [[{"m": [5]}, {"m": [6]}]]}
    row = adapt(record("dict", {"a": {"type": "dict"}, "b": {"type": "array"}}, acceptable))
    assert target(row)["arguments"] == {"a": {"l": "w"}, "b": [{"m": 5}, {"m": 6}]}


def test_the_value_that_the_request_spells_out_is_taught() -> None:
    values = {"a": ["New York City", "New York", "NYC"]}
    assert target(adapt(record("dict", {"a": {"type": "string"}}, values, "in NYC")))["arguments"] == {"a": "NYC"}
    assert target(adapt(record("dict", {"a": {"type": "string"}}, values, "there")))["arguments"] == {
        "a": "New York City"
    }


@needs_rows
def test_the_real_rows_make_the_dataset_that_the_demo_trains_on(tmp_path: Path) -> None:
    built = build(SAMPLE / "recipe.yaml", output=tmp_path / "dataset")
    verify_dataset(built.output)
    rows = {side: list(decode_lines(built.output / f"{side}.jsonl", Row)) for side in ("train", "val", "test")}
    assert 100 <= len(rows["test"]) <= 120
    assert len(rows["train"]) > 450
    for side, members in rows.items():
        assert {row.label for row in members} == {"call", "no_call"}
        others = {row.group for other, found in rows.items() if other != side for row in found}
        assert not others & {row.group for row in members}
    for row in (row for members in rows.values() for row in members):
        assert [message.role for message in row.messages] == ["system", "user", "assistant"]
        answer, key = json.loads(row.answer), row.meta["answer_key"]
        assert answer["name"] == key["name"] == (row.group if row.label == "call" else None)
        for name, value in answer.get("arguments", {}).items():
            plain = isinstance(value, str | int | float)
            assert not plain or value in key["arguments"][name]
        left_out = set(key["arguments"]) - set(answer.get("arguments", {}))
        assert all("" in key["arguments"][name] for name in left_out)
