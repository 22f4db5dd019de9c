"""Rows of plain text: the short way says what the general one says."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.config import Recipe
from curate.core.normalize import chosen_text, text_key, text_lengths
from curate.core.rows import Message, Row
from curate.entries import Context
from curate.keys import make_keys
from curate.plain import all_plain, is_plain, work_out
from curate.validate import is_sound, make_rules

ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "narrator\nuser"])
ODD = ["", " ", "a", "A\tb ", "ΑΣ", "ΑΣ\n\nα", "{{name}}", "<INSERT>", "\x00", "Ã©", "\x85", "a\x1fb"]
TEXTS = st.sampled_from(ODD) | st.text()
TOOLS = [{"type": "function", "function": {"name": "f"}}]
MESSAGES = st.lists(st.builds(Message, ROLES, TEXTS), max_size=5)
CALL = {"id": "1", "function": {"name": "f", "arguments": "{}"}}


def rules_of(folder: Path) -> Context:
    sources = [{"name": "s", "path": "rows.jsonl"}]
    recipe = {"name": "n", "behaviour": "Answers.", "output": "out", "sources": sources}
    return Context(Recipe.model_validate(recipe), folder)


@given(st.lists(st.builds(Row, id=st.just("r"), messages=MESSAGES, tools=st.sampled_from([None, TOOLS])), max_size=6))
def test_the_short_way_says_what_the_general_one_says(rows: list[Row]) -> None:
    assert all_plain(rows) == all(map(is_plain, rows)) == all(row.messages for row in rows)
    rows = [row for row in rows if is_plain(row)]
    made = work_out(rows)
    rules = make_rules(rules_of(Path()))
    for at, row in enumerate(rows):
        assert tuple(made.lengths[at].tolist()) == text_lengths(row)
        assert made.prompts[at] == chosen_text(row, "prompt")
        assert made.keys[at].tobytes() == make_keys(row)
        assert make_keys(row)[16:] == text_key(chosen_text(row, "prompt"))
        assert make_keys(row, "conversation")[32:] == text_key(chosen_text(row, "conversation"))
        if made.sound[at]:
            assert is_sound(row, rules, fix=False)


@given(MESSAGES, MESSAGES)
def test_keys_are_equal_where_roles_and_normal_texts_are(one: list[Message], other: list[Message]) -> None:
    def said(messages: list[Message]) -> list[tuple[str, str]]:
        return [(message.role, " ".join(message.text.lower().split())) for message in messages]

    keys = [make_keys(Row(id="r", messages=messages))[:16] for messages in (one, other)]
    assert (keys[0] == keys[1]) == (said(one) == said(other))


def test_ordinary_rows_are_told_to_be_sound_without_the_rules() -> None:
    row = Row(id="r", messages=[Message("system", "s"), Message("user", "q"), Message("assistant", "a")])
    assert work_out([row]).sound.all()


@pytest.mark.parametrize(
    "message", [Message("assistant", [{"type": "text", "text": "a"}]), Message("assistant", tool_calls=[CALL])]
)
def test_other_rows_are_not_plain_and_have_keys_of_their_own(message: Message) -> None:
    row = Row(id="r", messages=[Message("user", "q"), message])
    assert not is_plain(row)
    assert not all_plain([row])
    bare = Row(id="r", messages=[Message("user", "q"), Message("assistant", "")])
    assert make_keys(row)[:16] != make_keys(bare)[:16]
    with_tools = Row(id="r", messages=bare.messages, tools=[{"type": "function", "function": {"name": "f"}}])
    assert Counter([make_keys(with_tools)[:16] == make_keys(bare)[:16]]) == {False: 1}
