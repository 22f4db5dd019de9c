import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row
from evalkit.scorers.tool_call import ToolCallConfig, tool_call
from evalkit.scorers.types import Mark, Unscored


def item(key: Any) -> Row:
    return Row(id="1", messages=[Message("user", "q")], meta={} if key is None else {"answer_key": key})


def value(key: Any, answer: Any, part: str = "call") -> float:
    config = ToolCallConfig.model_validate({"name": "t", "kind": "tool_call", "part": part})
    text = answer if isinstance(answer, str) else json.dumps(answer)
    outcome = tool_call(config)(item(key), text)
    assert isinstance(outcome, Mark)
    assert (outcome.detail is None) == (outcome.value == 1)
    return outcome.value


def key(**arguments: Any) -> dict[str, Any]:
    return {"name": "f", "arguments": arguments}


def call(**arguments: Any) -> dict[str, Any]:
    return {"name": "f", "arguments": arguments}


@pytest.mark.parametrize(
    ("acceptable", "given_value", "accepted"),
    [
        ([5], 5, True),
        ([5], 5.0, True),
        ([0.5], 0.5, True),
        ([5.0], 5, True),
        ([5], "5", False),
        (["5"], 5, False),
        ([1], True, False),
        ([True], 1, False),
        ([True], True, True),
        ([None], None, True),
        ([5], None, False),
        (["New York, NY"], "new york ny", True),
        (["April 1, 2024"], "April 1 2024", True),
        (["it's"], 'it"s', True),
        (["a", "b"], "b", True),
        (["ab"], "ac", False),
        ([[1, 2]], [1, 2], True),
        ([[1, 2]], [2, 1], False),
        ([[1, 2]], [1], False),
        ([["New York", "Paris"]], ["new york", "paris"], True),
        ([[[1.0, 2.0], [3.0]]], [[1, 2], [3]], True),
        ([{"a": [1, 2], "b": ["x", ""]}], {"a": 2}, True),
        ([{"a": [1], "b": ["x"]}], {"a": 1}, False),
        ([{"a": [1]}], {"a": 1, "c": 2}, False),
        ([{"a": [1]}, {"c": [2]}], {"c": 2}, True),
        ([[{"a": [1, 2]}, {"a": [3]}]], [{"a": 2}, {"a": 3}], True),
        ([[{"a": [1]}]], [{"a": 1}, {"a": 1}], False),
        ([{"a": [{"deep": ["x", "y"]}]}], {"a": {"deep": "Y"}}, True),
    ],
)
def test_values(acceptable: list[Any], given_value: Any, accepted: bool) -> None:
    assert value(key(p=acceptable), call(p=given_value)) == accepted
    assert value(key(p=acceptable), call(p=given_value), "arguments") == accepted


def test_a_parameter_may_be_left_out_only_where_the_key_says_so() -> None:
    assert value(key(p=[1], q=["x", ""]), call(p=1)) == 1
    assert value(key(p=[1], q=["x"]), call(p=1)) == 0
    assert value(key(p=[1]), call(p=1, q=2)) == 0


def test_parts_are_judged_alone() -> None:
    wrong_name = {"name": "g", "arguments": {"p": 1}}
    assert [value(key(p=[1]), wrong_name, part) for part in ("name", "arguments", "call")] == [0, 1, 0]
    wrong_value = call(p=2)
    assert [value(key(p=[1]), wrong_value, part) for part in ("name", "arguments", "call")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("answer", "accepted"),
    [
        ({"name": None}, True),
        ({"name": None, "arguments": {}}, True),
        ({"name": None, "arguments": {"p": 1}}, False),
        ({"name": "null"}, False),
        ({}, False),
        ({"name": "f", "arguments": {}}, False),
    ],
)
def test_no_function_fits(answer: dict[str, Any], accepted: bool) -> None:
    assert value({"name": None, "arguments": {}}, answer) == accepted
    assert value({"name": None}, answer) == accepted


@pytest.mark.parametrize(
    "answer", ["", "f(p=1)", '[{"name": "f"}]', '{"name": "f", "arguments": "p=1"}', '{"name": "f", "arguments": [1]}']
)
def test_what_is_no_call_is_wrong(answer: str) -> None:
    assert value(key(p=[1]), answer) == 0


def test_an_entry_beside_name_and_arguments_is_a_fault() -> None:
    assert value(key(p=[1]), {**call(p=1), "thought": "hm"}) == 0


@pytest.mark.parametrize(
    "bad",
    [[], "f", {"arguments": {}}, {"name": 5}, {"name": "f", "arguments": []}, {"name": "f", "arguments": {"p": 1}}],
)
def test_items_without_a_usable_key_are_unscored(bad: Any) -> None:
    rule = tool_call(ToolCallConfig(name="t", kind="tool_call"))

    assert isinstance(rule(item(bad), "{}"), Unscored)
    assert rule(item(None), "{}") == Unscored("the item has no meta.answer_key")


_SCALARS = st.integers(-99, 99) | st.floats(-9, 9) | st.booleans() | st.text(min_size=1, max_size=8).filter(str.strip)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.lists(_SCALARS, min_size=1, max_size=3), max_size=4))
def test_every_acceptable_value_is_accepted_and_a_missing_one_is_not(arguments: dict[str, list[Any]]) -> None:
    for position in range(3):
        chosen = {name: values[position % len(values)] for name, values in arguments.items()}
        assert value(key(**arguments), call(**chosen)) == 1
        for name in chosen:
            without = {other: kept for other, kept in chosen.items() if other != name}
            assert value(key(**arguments), call(**without)) == 0


def test_the_real_rows_accept_their_own_targets_and_no_other_rows() -> None:
    pytest.importorskip("bfcl_eval", reason="the package with the real rows is not installed")
    from pathlib import Path

    from curate.core.paths import load_function, package_folder

    samples = Path(__file__).resolve().parents[3] / "samples" / "toolcalls"
    to_row = load_function("bfcl.py:simple_python", samples)
    data = package_folder("bfcl_eval") / "data"
    names = ("BFCL_v4_simple_python.json", "possible_answer/BFCL_v4_simple_python.json")
    records, keys = ([json.loads(line) for line in (data / name).read_text("utf-8").splitlines()] for name in names)
    rows = [to_row({**record, "answer": answer}) for record, answer in zip(records, keys, strict=True)]
    targets = [row["messages"][-1]["content"] for row in rows]

    rejected = [
        row["id"] for row, target in zip(rows, targets, strict=True) if not value(row["meta"]["answer_key"], target)
    ]
    assert rejected == []
    for row, other in zip(rows, targets[1:] + targets[:1], strict=True):
        if json.loads(other)["name"] != row["group"]:
            assert value(row["meta"]["answer_key"], other) == 0
