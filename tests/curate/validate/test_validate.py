"""Validation: each rule fires on what it describes, and on nothing else."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import ConfigError
from curate.core.rows.answer_schema import Schemas
from curate.core.rows.formats.registry import FORMATS
from curate.core.rows.row import Message, Row, encode_row
from curate.recipe.rule_ids import RULES, SEVERITY
from curate.table.row_table import RowTable
from curate.table.selection import RowSelection
from curate.table.stage import StageResult
from curate.validate.repairs import REPAIRS, repair
from curate.validate.rules.conversation import check_messages
from curate.validate.rules.text import check_text
from curate.validate.rules.tool_calls import tool_rule
from curate.validate.stage import Validation
from tests.conftest import ROOT
from tests.curate.row_makers import make_context, make_row, select

U, A, S = Message("user", "q"), Message("assistant", "a"), Message("system", "s")
CALL = Message("assistant", None, tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}])
TOOL = Message("tool", "result", tool_call_id="1")


def validate(rows: RowSelection, folder: Path = Path(), **checks: Any) -> StageResult:
    return Validation().run(rows, make_context(folder, validate=checks), {})


def assert_same_with_a_column(rows: RowSelection, done: StageResult, **checks: Any) -> None:
    """Which rows are sound is worked out while they are read, or here: what comes of it is the same."""
    table = RowTable(Validation().makers(make_context(validate=checks).recipe, Path()))
    again = validate(RowSelection.of_rows(list(rows.rows), "made", "made.jsonl", table), **checks)
    assert (list(again.kept), list(again.rejections)) == (list(done.kept), list(done.rejections))
    assert again.counts == done.counts


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
        ([Message("user", [{"type": "text", "text": None}]), A], "empty-turn"),
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
    rejections = validate(select([row]), folder, target_schema=target).rejections
    return rejections[0].reason if rejections else None


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


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"required": ["x"], "type": "object"}}}]


def call(*calls: dict[str, Any]) -> Message:
    return Message("assistant", None, tool_calls=list(calls))


def f(arguments: Any = '{"x": 1}', name: str = "f", **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


def result(name: str | None = None) -> Message:
    return Message("tool", "r", tool_call_id=name)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([call(f(id="1")), result("1"), A], None),
        ([call(f(id="1"), f(id="2")), result("2"), result("1"), A], None),
        ([call(f(), f()), result(), result(), A], None),
        ([call(f()), result("any"), A], None),
        ([call(f(id="1")), result(), A], None),
        ([call(f({"x": 1}))], None),
        ([call({"name": "f", "arguments": {"x": 1}})], None),
        ([call(f(id="1")), result("2"), A], "result-without-call"),
        ([call(f(id="1")), result("1"), result("1"), A], "result-without-call"),
        ([call(f(id="1"), f(id="2")), result("1"), A], "call-without-result"),
        ([call(f(id="1"), f(id="1"))], "duplicate-call-id"),
        ([call({"id": "1"})], "bad-call"),
        ([call(f(name=""))], "bad-call"),
        ([call(f(name="g"))], "unknown-tool"),
        ([call(f("x=1"))], "arguments-not-json"),
        ([call(f("[1]"))], "arguments-not-json"),
        ([call(f("{}"))], "arguments-schema"),
        ([call(f(""))], "arguments-schema"),
    ],
)
def test_tool_calls_are_paired_and_fit_their_tool(turns: list[Message], reason: str | None) -> None:
    fault = tool_rule(Schemas())(Row(id="r", messages=[U, *turns], tools=TOOLS))
    assert (fault and fault[0]) == reason
    assert reason is None or reason in RULES


def test_a_tool_whose_schema_cannot_be_used_is_a_warning() -> None:
    tools = [{"name": "f", "parameters": {"type": "dict"}}]
    rows = select([Row(id="r", messages=[U, call(f())], tools=tools)])
    done = validate(rows)
    assert done.counts == {"warnings": {"bad-tool-schema": 1}}
    assert list(done.kept) == list(rows)
    strict = validate(rows, severity={"bad-tool-schema": "error"})
    assert [item.reason for item in strict.rejections] == ["bad-tool-schema"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Dear {{ name }}, hello", "placeholder"),
        ("see [Enter your date of birth] below", "placeholder"),
        ("[Enter HAMLET] [Enter the King and two lords]", None),
        ("run: echo ${{ github.actor }} in ={{ box }}", None),
        (r"\sum_{{i}}^{{n}} \frac{{a}}{{b}}", None),
        ('print(f"{{x}}")', None),
        ("Why does utf-8 show as cafÃ©?", None),
        ("Dear <INSERT NAME>,", "placeholder"),
        ("Dear <your_name>,", None),
        ("Dear [Your Name],", "placeholder"),
        ("Dear [INSERT_NAME],", "placeholder"),
        ("see [1], [your] own, and <your>", None),
        ("write `{{ name }}` there", None),
        ("```\n<h1>{{ title }}</h1>\n```\ndone", None),
        ("`x` then {{ name }}", "placeholder"),
        ("{{1, 2}, {3}}", None),
        ("cafÃ©", "mojibake"),
        ("it isnâ€™t", "mojibake"),
        ("â€œquotedâ€\x9d", "mojibake"),
        ("12 Â°C", "mojibake"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "mojibake"),
        ("ðŸ˜€", "mojibake"),
        ("café, naïve, «CAFÉ», “AMANHÃ”, 12 °C, Ünsal’s Âme, Привет, 😀, 日本", None),
        ("lost \ufffd", "lost-characters"),
        ("zero \x00", "nul-character"),
    ],
)
def test_text_that_was_left_or_damaged(text: str, reason: str | None) -> None:
    fault = check_text(make_row("q", text))
    assert (fault and fault[0]) == reason


@given(st.text(alphabet=st.characters(min_codepoint=0xA1, max_codepoint=0x17F), min_size=1))
def test_text_read_with_the_wrong_encoding_is_found_and_the_right_one_is_named(text: str) -> None:
    # Only letters that become one of the sequences that are looked for: those of Latin-1.
    letters = "".join(char for char in text if 0xE0 <= ord(char) <= 0xFF)
    fault = check_text(make_row(" " + letters.encode().decode("latin-1")))
    assert (fault is not None) == bool(letters)
    assert fault is None or repr(letters[0]) in fault[1]


def asked(question: str, answer: str, system: str = "Be kind.") -> str | None:
    messages = [Message("system", system), Message("user", question), Message("assistant", answer)]
    fault = check_text(Row(id="r", messages=messages))
    return fault and fault[0]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How do I show a title in Jinja?", "Write {{ title }} there."),
        ("Why is {{user}} shown as it is?", "The template was not rendered."),
        ("Translate: Hello {{name}}!", "Hallo {{name}}!"),
        ("Write a letter to my landlord.", "Dear [Your Landlord], ... [YOUR NAME]"),
        ("A form for guests, please", "Name: <INSERT NAME>"),
        ("Fill in the blank: I am [your name].", "I am Ann."),
    ],
)
def test_placeholders_that_were_asked_for_or_are_the_subject_stay(question: str, answer: str) -> None:
    assert asked(question, answer) is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where is my parcel?", "Hello {{customer}}, your order {{order_id}} is on its way."),
        ("Hello {{customer}}, what is it?", "Hi!"),
        ("How do I reset it?", "Press the button.\n\nKind regards,\n[Your Name]"),
        ("Write a note to a late payer.", "Dear <INSERT NAME>, please pay."),
    ],
)
def test_placeholders_that_were_left_are_found(question: str, answer: str) -> None:
    assert asked(question, answer) == "placeholder"


def test_a_system_prompt_with_a_placeholder_is_not_excused_by_the_talk() -> None:
    assert asked("What is a template?", "A form.", system="You are {{ bot }}.") == "placeholder"
    assert asked("Hi", "Hi", system="Explain Jinja, as in {{ bot }}.") is None


def pair(chosen: str, rejected: Any) -> str | None:
    done = validate(select([make_row("q", chosen, meta={"rejected": rejected})]))
    assert_same_with_a_column(select([make_row("q", chosen, meta={"rejected": rejected})]), done)
    return done.rejections[0].reason if done.rejections else None


@pytest.mark.parametrize(
    ("rejected", "reason"),
    [
        ("No", None),
        ("Yes", None),
        ("yes", "same-answers"),
        (" yes \r\n", "same-answers"),
        ({"role": "assistant", "content": "yes"}, "same-answers"),
        ([{"role": "assistant", "content": [{"type": "text", "text": "yes"}]}], "same-answers"),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}], "same-answers"),
        ([{"role": "assistant", "content": "yes", "reasoning_content": "hm"}], None),
        ([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], None),
        ("", "no-rejected-answer"),
        (" \n", "no-rejected-answer"),
        (None, "no-rejected-answer"),
        ([], "no-rejected-answer"),
        ([{"role": "user", "content": "q"}], "no-rejected-answer"),
        ([{"role": "assistant", "content": None}], "no-rejected-answer"),
        ({"text": "no"}, "no-rejected-answer"),
        (["no"], "no-rejected-answer"),
        (False, None),
        (3, None),
    ],
)
def test_sides_of_a_preference_row(rejected: Any, reason: str | None) -> None:
    assert pair("yes", rejected) == reason


def test_severity_is_the_recipes_to_say() -> None:
    rows = select([make_row("q", "{{name}}"), make_row("q", "cafÃ©"), make_row("", "a")])
    severity = {"placeholder": "warning", "mojibake": "off"}
    done = validate(rows, severity=severity)
    assert list(done.kept) == list(rows[:2])
    assert done.counts == {"warnings": {"placeholder": 1}}
    with pytest.raises(ValueError, match="no rule is called mojibak"):
        validate(rows, severity={"mojibak": "off"})


def test_repairs_are_counted_by_row_and_change_nothing_else() -> None:
    good = make_row("q", "a")
    messy = Row(
        id="m",
        messages=[
            Message("system", ""),
            Message("Human", "\ufeffq\u200b \n"),
            Message("user", [{"type": "text", "text": "un cafÃ©\r\n"}, {"text": "noir", "type": "text"}]),
            call({"id": "1", "function": {"name": "f", "arguments": {"x": 1}}}),
            result("1"),
            Message("gpt", "a  ", tool_calls=[]),
            Message("user", "thanks"),
        ],
        tools=TOOLS,
    )
    rows = select([good, messy])
    done = validate(rows, fix=True)
    first, second = done.kept
    assert first.number == rows[0].number
    assert (second.place, second.raw) == (rows[1].place, rows[1].raw)
    assert second.line == encode_row(second.row) != second.raw
    assert [(message.role, message.text) for message in second.row.messages] == [
        ("user", "q\n\nun café\nnoir"),
        ("assistant", ""),
        ("tool", "r"),
        ("assistant", "a"),
    ]
    assert second.row.messages[3].tool_calls is None
    assert second.row.messages[1].tool_calls == [
        {"id": "1", "type": "function", "function": f()["function"] | ARGUMENTS}
    ]
    assert done.counts["repairs"] == dict.fromkeys(sorted(REPAIRS.keys() - {"system-to-user"}), 1)
    assert_same_with_a_column(rows, done, fix=True)
    assert [item.reason for item in validate(rows).rejections] == ["empty-turn"]


ARGUMENTS = {"arguments": '{"x":1}'}


def repaired(*messages: Message, takes_system: bool = True, **more: Any) -> Row:
    return repair(Row(id="r", messages=list(messages), **more), Counter(), takes_system=takes_system)


FIRST, SECOND = f(id="1", type="function"), f(id="2", type="function")
PICTURE = {"type": "image_url", "image_url": {}}


@pytest.mark.parametrize(
    ("turns", "after"),
    [
        ([U, U, A, A], [Message("user", "q\n\nq"), Message("assistant", "a\n\na")]),
        ([U, Message("assistant", "Hm."), call(FIRST)], [U, Message("assistant", "Hm.", tool_calls=[FIRST])]),
        ([U, call(FIRST), call(SECOND)], [U, call(FIRST, SECOND)]),
        ([S, S, U, A], [Message("system", "s\n\ns"), U, A]),
        ([Message("user", "a", name="Ann"), Message("user", "b", name="Bob"), A], None),
        ([U, A, Message("assistant", "b", weight=0)], None),
        ([U, A, Message("assistant", "b", reasoning_content="hm")], None),
        ([U, call(FIRST), A], None),
        ([U, call(FIRST), TOOL, TOOL, A], None),
        ([U, A, U], [U, A]),
        ([U, A, S], [U, A]),
        ([U, call(FIRST), TOOL], [U, call(FIRST)]),
        ([S, U], None),
        ([Message("system", " "), U, A], [U, A]),
        (
            [Message("user", [PICTURE]), U, A],
            [Message("user", [PICTURE, {"type": "text", "text": "\n\n"}, {"type": "text", "text": "q"}]), A],
        ),
    ],
)
def test_repairs_of_the_order(turns: list[Message], after: list[Message] | None) -> None:
    assert repaired(*turns).messages == (after or turns)


def test_a_system_message_goes_to_the_user_where_the_template_has_no_place_for_it() -> None:
    assert repaired(S, U, A, takes_system=False).messages == [Message("user", "s\n\nq"), A]
    assert repaired(S, A, takes_system=False).messages == [S, A]


def test_only_wrongly_decoded_text_is_decoded_and_quotes_stay() -> None:
    row = repaired(
        Message("user", "“cafÃ©” &amp; ‘ﬁn’"), Message("assistant", "25Â°C, naïve", reasoning_content="Ã©t\r\n")
    )
    assert row.messages[0].text == "“café” &amp; ‘ﬁn’"
    assert (row.messages[1].text, row.messages[1].reasoning_content) == ("25°C, naïve", "ét")
    about = Row(id="r", messages=[Message("user", "Why does my encoding give cafÃ©?"), A])
    assert repair(about, Counter()) is about


@pytest.mark.parametrize(
    ("rejected", "after"),
    [
        ("b \r\n", "b"),
        ([{"role": "gpt", "content": "b "}], [{"role": "assistant", "content": "b"}]),
        ({"role": "assistant", "content": "b "}, [{"role": "assistant", "content": "b"}]),
        (
            [{"role": "user", "content": "q"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
            [{"role": "user", "content": "q\n\nq"}, {"role": "assistant", "content": "b"}],
        ),
        ([{"role": "assistant", "content": "b ", "score": 1}], [{"role": "assistant", "content": "b ", "score": 1}]),
        ({"text": "b "}, {"text": "b "}),
        (None, None),
        (False, False),
    ],
)
def test_the_rejected_side_is_repaired_as_the_chosen_is(rejected: Any, after: Any) -> None:
    assert repaired(U, A, meta={"rejected": rejected}).meta == {"rejected": after}


@given(st.lists(st.tuples(st.sampled_from(["user", "human", "GPT", "bot?"]), st.text(max_size=6)), max_size=4))
def test_a_second_repair_finds_nothing(turns: list[tuple[str, str]]) -> None:
    once = repair(Row(id="r", messages=[Message(role, text) for role, text in turns]), Counter())
    counts: Counter[str] = Counter()
    assert repair(once, counts) is once
    assert not counts


messages = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant", "tool", "bot"]),
        st.one_of(st.none(), st.sampled_from(["", " ", "text"])),
        tool_calls=st.one_of(st.none(), st.just([{"id": "1"}])),
    ),
    max_size=5,
)


@given(st.lists(messages, max_size=8))
def test_every_row_is_kept_or_rejected_with_a_known_rule(conversations: Sequence[list[Message]]) -> None:
    rows = select([Row(id=str(n), messages=list(m)) for n, m in enumerate(conversations)])
    done = validate(rows)
    assert_same_with_a_column(rows, done)
    kept: list[Any] = [row.place.line for row in done.kept]
    rejected = [rejection.line for rejection in done.rejections]
    assert sorted(kept + rejected) == [row.place.line for row in rows]
    assert {rejection.reason for rejection in done.rejections} <= set(RULES)
    assert all(row.messages[-1].role == "assistant" for row in done.kept.rows)


def test_the_page_about_rules_names_each_with_its_severity() -> None:
    page = (ROOT / "curate" / "README.md").read_text()
    for name, text in RULES.items():
        assert f"| `{name}` | {SEVERITY[name]} | {text.replace('|', '&#124;')} |" in page
    for name, text in REPAIRS.items():
        assert f"| `{name}` | {text} |" in page
    for form in FORMATS.values():
        assert f"| `{form.name}` | {form.keys} |" in page
