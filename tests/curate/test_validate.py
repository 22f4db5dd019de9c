"""Validation: each rule fires on what it describes, and on nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import ConfigError
from curate.core.rows import Message, Row
from curate.validate import RULES, check_messages, validate
from tests.curate.row_makers import make_context, make_entries, make_row

U, A, S = Message("user", "q"), Message("assistant", "a"), Message("system", "s")
CALL = Message("assistant", None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}])
TOOL = Message("tool", "result", tool_call_id="1")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([U, A], None),
        ([S, U, A], None),
        ([S, Message("developer", "d"), U, A, U, A], None),
        ([U, CALL, TOOL, TOOL, A], None),
        ([U, CALL], None),
        ([Message("user", [{"type": "image_url", "image_url": {}}]), A], None),
        ([], "no-messages"),
        ([Message("human", "q"), A], "unknown-role"),
        ([U, S, A], "system-not-first"),
        ([U, U, A], "role-order"),
        ([A], "role-order"),
        ([U, A, A], "role-order"),
        ([U, A, TOOL, A], "role-order"),
        ([U, CALL, U, A], "role-order"),
        ([Message("user", " \n"), A], "empty-turn"),
        ([U, Message("assistant", None)], "empty-turn"),
        ([Message("user", [{"type": "text", "text": ""}]), A], "empty-turn"),
        ([U], "no-answer"),
        ([S], "no-answer"),
        ([U, CALL, TOOL], "no-answer"),
    ],
)
def test_roles_order_and_content(messages: list[Message], reason: str | None) -> None:
    fault = check_messages(Row(id="r", messages=messages))
    assert (fault and fault[0]) == reason
    assert reason is None or reason in RULES


def check(answer: str, schema: object, folder: Path = Path(), target: str = "meta.schema") -> str | None:
    row = make_row("q", answer, meta={} if schema is None else {"schema": schema})
    outcome = validate(make_entries([row]), make_context(folder, validate={"target_schema": target}))
    return outcome.rejections[0].reason if outcome.rejections else None


@pytest.mark.parametrize(
    ("answer", "schema", "reason"),
    [
        ('{"a": 1}', {"type": "object", "properties": {"a": {"type": "integer"}}}, None),
        ('{"a": "1"}', {"type": "object", "properties": {"a": {"type": "integer"}}}, "target-schema"),
        ("a: 1", {}, "target-not-json"),
        ('{"a": NaN}', {}, "target-not-json"),
        ('{"a": 1} {"b": 2}', {}, "target-not-json"),
        ("1", None, "no-schema"),
        ("1", {"type": "dict"}, "bad-schema"),
        ("1", "string", "bad-schema"),
        ("1", {"$ref": "https://example.org/schema.json"}, "bad-schema"),
        ("1", {"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, None),
        ('"abc"', {"pattern": "^b"}, "target-schema"),
        ('"abc"', {"pattern": "^a"}, None),
        ('"abc"', {"pattern": "("}, "bad-schema"),
        ("{}", {"patternProperties": {"^a": {}}}, "bad-schema"),
        (json.dumps("a" * 40 + "!"), {"pattern": "^(a|a)+$"}, "target-schema"),
    ],
)
def test_answers_against_the_schema_that_a_row_carries(answer: str, schema: object, reason: str | None) -> None:
    assert check(answer, schema) == reason


def test_answers_against_a_schema_file(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text('{"type": "array"}')
    assert check("[1]", None, tmp_path, "answer.json") is None
    assert check("{}", None, tmp_path, "answer.json") == "target-schema"
    (tmp_path / "answer.json").write_text('{"type": "list"}')
    with pytest.raises(ConfigError, match=r"answer\.json"):
        check("[1]", None, tmp_path, "answer.json")


messages = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant", "tool", "bot"]),
        st.one_of(st.none(), st.sampled_from(["", " ", "text"])),
        st.one_of(st.none(), st.just([{"id": "1"}])),
    ),
    max_size=5,
)


@given(st.lists(messages, max_size=8))
def test_every_row_is_kept_or_rejected_with_a_known_rule(conversations: Sequence[list[Message]]) -> None:
    entries = make_entries([Row(id=str(n), messages=list(m)) for n, m in enumerate(conversations)])
    outcome = validate(entries, make_context())
    kept: list[Any] = [entry.place.line for entry in outcome.kept]
    rejected = [rejection.line for rejection in outcome.rejections]
    assert sorted(kept + rejected) == [entry.place.line for entry in entries]
    assert {rejection.reason for rejection in outcome.rejections} <= set(RULES)
    assert all(entry.row.messages[-1].role == "assistant" for entry in outcome.kept)
