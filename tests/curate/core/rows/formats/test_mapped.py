"""`map`: which keys and templates a row is made of, and that what they leave is kept."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import ConfigError
from curate.core.rows.formats.mapped import mapped, unused
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader, Unread
from curate.core.sources.source import FieldMap, Source
from curate.table.rejections import Rejection
from tests.curate.core.rows.formats.test_formats import json_values, read, read_row, turns

PAIR = {"prompt": "ask", "answer": "told"}


def messages(record: dict[str, Any], **fields: str) -> list[tuple[str, Any]]:
    found = mapped(fields).convert(record)["messages"]
    return [(message["role"], message.get("content")) for message in found]


def test_paths_reach_into_records_and_the_rest_is_kept(tmp_path: Path) -> None:
    record = {
        "meta": {"question": "q", "by": "me"},
        "a": {"x": 1},
        "intent": 7,
        "turns": ["first", "more"],
        "left": [1],
    }
    fields = {"prompt": "meta.question", "answer": "a", "label": "intent", "system": "turns.0"}
    row = read_row(tmp_path, record, map=fields)
    assert turns(row) == [("system", "first"), ("user", "q"), ("assistant", '{"x":1}')]
    assert row.label == "7"
    assert row.meta == {"left": [1], "meta": {"by": "me"}, "turns": [None, "more"]}


def test_what_stands_beside_a_value_keeps_its_own_path(tmp_path: Path) -> None:
    record = {"task": "Shorten.", "examples": [{"given": "A long one.", "short": "One."}, {"given": "B"}]}
    row = read_row(tmp_path, record, map={"prompt": "task", "answer": "examples.0.short"})
    assert row.meta == {"examples": [{"given": "A long one."}, {"given": "B"}]}


def test_a_key_with_a_dot_is_found_as_it_is() -> None:
    assert messages({"v1.ask": "q", "told": "a"}, prompt="v1.ask", answer="told") == [("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize(
    ("template", "record", "text"),
    [
        ("{subject}\n\n{body}", {"subject": "Kettle", "body": "It leaks."}, "Kettle\n\nIt leaks."),
        ("{subject}\n\n{body}", {"subject": None, "body": "It leaks."}, "It leaks."),
        ("{subject}\n\n{body}", {"subject": "Kettle", "body": " "}, "Kettle"),
        ("From: {who.name}\nOn: {day}\n\n{body}", {"who": {"name": "Ada"}, "body": "Hi"}, "From: Ada\n\nHi"),
        ("Passage:\n{passage}\n\nQ: {body}", {"body": "Why?"}, "Q: Why?"),
        ("Answer as {{json}}.\n\n{body}", {"body": "Why?"}, "Answer as {json}.\n\nWhy?"),
        ("{body} ({n})", {"body": "How many?", "n": 3}, "How many? (3)"),
        ("{passages}\n\n{body}", {"passages": ["One.", "Two."], "body": "Why?"}, "One.\n\nTwo.\n\nWhy?"),
        ("{body}", {"body": "with {braces}\n\nand {gaps}"}, "with {braces}\n\nand {gaps}"),
    ],
)
def test_a_template_leaves_out_what_is_empty(template: str, record: dict[str, Any], text: str) -> None:
    assert messages({**record, "told": "a"}, prompt=template, answer="told")[0] == ("user", text)


def test_a_template_of_nothing_is_a_missing_prompt(tmp_path: Path) -> None:
    fields = {"prompt": "{ask}\n\n{body}", "answer": "told"}
    (rejection,) = read(tmp_path, {"ask": "", "told": "a"}, map=fields)
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, "there is no prompt" in rejection.detail) == ("not-a-row", True)


@pytest.mark.parametrize("system", [None, "", "  ", "absent"])
def test_a_system_prompt_is_there_only_where_it_has_text(system: str | None) -> None:
    record = {"ask": "q", "told": "a"} | ({} if system == "absent" else {"sys": system})
    assert messages(record, system="sys", **PAIR) == [("user", "q"), ("assistant", "a")]


TALK = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
TALK_TEXT = '[{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]'


@pytest.mark.parametrize("talk", [TALK, TALK_TEXT])
@pytest.mark.parametrize("name", ["prompt", "messages"])
def test_a_list_of_messages_is_messages_and_the_answer_ends_it(name: str, talk: object) -> None:
    whole = [("system", "s"), ("user", "q"), ("assistant", "a")]
    assert messages({"talk": talk, "told": "a"}, answer="told", **{name: "talk"}) == whole
    assert messages({"talk": talk, "told": "a", "s": "s"}, answer="told", system="s", **{name: "talk"}) == whole


def test_messages_that_end_with_an_answer_get_no_second_one(tmp_path: Path) -> None:
    talk = [*TALK, {"role": "assistant", "content": "a"}]
    fields = {"messages": "talk", "answer": "told"}
    assert messages({"talk": talk, "told": "a"}, **fields) == messages({"talk": talk}, **fields)
    (rejection,) = read(tmp_path, {"talk": talk, "told": "b"}, map=fields)
    assert isinstance(rejection, Rejection)
    assert "another one" in rejection.detail


def test_the_system_prompt_beside_messages_goes_first() -> None:
    record = {"talk": TALK[1:], "sys": "s"}
    assert messages(record, messages="talk", system="sys") == [("system", "s"), ("user", "q")]


def test_texts_are_what_user_and_assistant_say_in_turn() -> None:
    assert messages({"talk": ["q", "a"]}, messages="talk") == [("user", "q"), ("assistant", "a")]


def test_messages_as_python_prints_them_are_messages() -> None:
    """Tables that pandas wrote have them so."""
    talk = [{"role": "user", "content": "What's up?"}, {"role": "assistant", "content": 'A "cloud".'}]
    assert messages({"talk": str(talk)}, messages="talk") == [("user", "What's up?"), ("assistant", 'A "cloud".')]


def test_turns_that_are_objects_are_messages() -> None:
    talk = [{"system": "s", "input": "q1", "output": "a1"}, {"input": "q2", "output": "a2"}]
    whole = [("system", "s"), ("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2")]
    assert messages({"talk": talk}, messages="talk") == whole


PAIRS_OF_TURNS = [["q1", "a1"]]
MESSAGES = [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"}]


@pytest.mark.parametrize(
    "history",
    [
        PAIRS_OF_TURNS,
        MESSAGES,
        [{"from": "human", "value": "q1"}, {"from": "gpt", "value": "a1"}],
        [{"user": "q1", "assistant": "a1"}],
        [{"question": "q1", "answer": "a1"}],
        '[["q1", "a1"]]',
    ],
)
def test_history_is_earlier_turns(history: object) -> None:
    found = messages({"ask": "q", "told": "a", "past": history}, history="past", **PAIR)
    assert found == [("user", "q1"), ("assistant", "a1"), ("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize("history", [None, [], "", "[]"])
def test_no_history_is_no_turn(history: object) -> None:
    assert len(messages({"ask": "q", "told": "a", "past": history}, history="past", **PAIR)) == 2


def test_history_that_is_told_as_text_is_not_guessed_at(tmp_path: Path) -> None:
    (rejection,) = read(tmp_path, {"ask": "q", "told": "a", "past": "He asked."}, map={"history": "past", **PAIR})
    assert isinstance(rejection, Rejection)
    assert "template" in rejection.detail


@pytest.mark.parametrize(
    "choices",
    [
        ["red", "blue"],
        {"A": "red", "B": "blue"},
        '["red", "blue"]',
        {"text": ["red", "blue"], "label": ["A", "B"]},
    ],
)
@pytest.mark.parametrize("answer", [1, "1", "B", "b", "(B)", "blue"])
def test_choices_are_lettered_and_the_answer_is_the_letter(choices: object, answer: object) -> None:
    found = messages({"ask": "Which?", "told": answer, "of": choices}, choices="of", **PAIR)
    assert found == [("user", "Which?\n\nA. red\nB. blue"), ("assistant", "B")]


@pytest.mark.parametrize("answer", [2, -1, "C", None, "green", True])
def test_an_answer_that_is_no_choice_is_no_row(tmp_path: Path, answer: object) -> None:
    (rejection,) = read(tmp_path, {"ask": "q", "told": answer, "of": ["red", "blue"]}, map={"choices": "of", **PAIR})
    assert isinstance(rejection, Rejection)
    assert "choices" in rejection.detail


@pytest.mark.parametrize(
    "calls",
    [
        [{"name": "f", "arguments": {"x": 1}}],
        '[{"name": "f", "arguments": {"x": 1}}]',
        {"name": "f", "parameters": {"x": 1}},
        [{"type": "function", "id": "call_1", "function": {"name": "f", "arguments": '{"x":1}'}}],
    ],
)
def test_calls_come_from_a_column(tmp_path: Path, calls: object) -> None:
    tools = '[{"name": "f", "description": "d", "parameters": {"x": {"type": "int", "description": "n"}}}]'
    fields = {"prompt": "ask", "tool_calls": "calls", "tools": "tools", "reasoning": "why"}
    row = read_row(tmp_path, {"ask": "q", "calls": calls, "tools": tools, "why": "I look it up."}, map=fields)
    (call,) = row.messages[-1].tool_calls or []
    assert call["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert row.messages[-1].reasoning_content == "I look it up."
    (tool,) = row.tools or []
    assert tool["function"]["parameters"]["properties"] == {"x": {"type": "integer", "description": "n"}}
    assert row.meta == {}


def test_a_rejected_answer_is_kept_as_preference_rows_have_it(tmp_path: Path) -> None:
    row = read_row(tmp_path, {"ask": "q", "told": "a", "bad": "b", "n": 1}, map={"rejected": "bad", **PAIR})
    assert row.meta == {"rejected": "b", "n": 1}


def test_a_misspelled_key_is_told_before_anything_is_read(tmp_path: Path) -> None:
    record = {"subject": "s", "ask": "q", "told": "a"}
    for fields in ({"prompt": "{subjct}\n\n{ask}", "answer": "told"}, {"system": "sujbect", **PAIR}):
        with pytest.raises(ConfigError, match="did you mean subject"):
            read(tmp_path, record, map=fields)
    assert turns(read_row(tmp_path, record, map={"system": "sys", **PAIR})) == [("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a"},
        {"messages": "m", "prompt": "p"},
        {"messages": "m", "choices": "c"},
        {"prompt": "{a", "answer": "b"},
        {"prompt": "a}", "answer": "b"},
        {"prompt": "{}", "answer": "b"},
    ],
)
def test_a_map_that_makes_no_row_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"name either|stand beside|braces"):
        FieldMap.model_validate(fields)


@given(
    st.dictionaries(st.sampled_from("abc"), json_values, max_size=3), st.lists(st.sampled_from("abc012"), max_size=3)
)
def test_nothing_is_lost_beside_a_path(record: dict[str, Any], parts: list[str]) -> None:
    """Every text and number is either at the path or still where it was."""

    def leaves(value: Any, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        if items is None:
            return {} if value is None else {at: value}
        return {path: leaf for key, item in items for path, leaf in leaves(item, (*at, str(key))).items()}

    path, before = tuple(parts), leaves(record)
    after = leaves(unused(record, [".".join(path)] if path else []))
    assert after == {at: leaf for at, leaf in before.items() if not path or at[: len(path)] != path}


paths = st.sampled_from(["a", "b", "c", "a.0", "b.x", "a.0.b", "{a}\n\n{b}", "{c.0}"])
parts = json_values | st.sampled_from(
    [
        TALK,
        TALK_TEXT,
        [["q", "a"]],
        [{"user": "q", "assistant": "a"}],
        ["q", "a"],
        [{"name": "f", "arguments": {}}],
        '[{"name": "f"}]',
        {"A": "red", "B": "blue"},
        "[{'role': 'user', 'content': 'q'}]",
        "[{",
        "text",
    ]
)


@given(
    st.dictionaries(st.sampled_from("abcx"), parts, max_size=4),
    st.dictionaries(st.sampled_from(sorted(FieldMap.model_fields)), paths, max_size=6),
    st.booleans(),
)
def test_any_map_of_any_record_gives_a_row_or_a_reason(
    record: dict[str, Any], fields: dict[str, str], has_prompt: bool
) -> None:
    opening = {"prompt": "a", "answer": "b"} if has_prompt else {"messages": "a"}
    beside = {name: path for name, path in fields.items() if name not in ("messages", "prompt", "choices")}
    source = Source.model_validate({"name": "s", "path": "p", "map": {**beside, **opening}})
    assert source.map is not None
    reader = RowReader(source, mapped(source.map.model_dump(exclude_none=True)), None, {})
    found = reader.find(Record(1, 0, msgspec.json.encode(record)))
    assert isinstance(found, Unread) or found[0].messages


def test_an_empty_cell_is_no_label_and_no_group(tmp_path: Path) -> None:
    fields = {**PAIR, "label": "queue", "group": "customer"}
    record = {"ask": "When?", "told": "Now.", "queue": "", "customer": ""}
    row = read_row(tmp_path, record, map=fields)
    assert (row.label, row.group, row.meta) == (None, None, {})
