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
from curate.plain import find_plain
from curate.validate import is_sound, make_rules

ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "narrator\nuser"])
ODD = ["", " ", "a", "A\tb ", "ΑΣ", "ΑΣ\n\nα", "{{name}}", "<INSERT>", "\x00", "Ã©", "\x85", "a\x1fb"]
TEXTS = st.sampled_from(ODD) | st.text()
MESSAGES = st.lists(st.builds(Message, ROLES, TEXTS), max_size=5)
CALL = {"id": "1", "function": {"name": "f", "arguments": "{}"}}


def rules_of(folder: Path) -> Context:
    sources = [{"name": "s", "path": "rows.jsonl"}]
    recipe = {"name": "n", "behaviour": "Answers.", "output": "out", "sources": sources}
    return Context(Recipe.model_validate(recipe), folder)


@given(MESSAGES)
def test_the_short_way_says_what_the_general_one_says(messages: list[Message]) -> None:
    row = Row(id="r", messages=messages)
    plain = find_plain(row)
    assert plain is not None
    assert plain.lengths() == text_lengths(row)
    assert plain.prompt() == chosen_text(row, "prompt")
    assert plain.keys() == make_keys(row)
    assert plain.keys()[16:] == text_key(chosen_text(row, "prompt"))
    assert make_keys(row, "conversation")[32:] == text_key(chosen_text(row, "conversation"))
    if plain.is_sound():
        assert is_sound(row, make_rules(rules_of(Path())), fix=False)


@given(MESSAGES, MESSAGES)
def test_keys_are_equal_where_roles_and_normal_texts_are(one: list[Message], other: list[Message]) -> None:
    def said(messages: list[Message]) -> list[tuple[str, str]]:
        return [(message.role, " ".join(message.text.lower().split())) for message in messages]

    keys = [make_keys(Row(id="r", messages=messages))[:16] for messages in (one, other)]
    assert (keys[0] == keys[1]) == (said(one) == said(other))


def test_ordinary_rows_are_told_to_be_sound_without_the_rules() -> None:
    row = Row(id="r", messages=[Message("system", "s"), Message("user", "q"), Message("assistant", "a")])
    plain = find_plain(row)
    assert plain is not None
    assert plain.is_sound()


@pytest.mark.parametrize(
    "message", [Message("assistant", [{"type": "text", "text": "a"}]), Message("assistant", tool_calls=[CALL])]
)
def test_other_rows_are_not_plain_and_have_keys_of_their_own(message: Message) -> None:
    row = Row(id="r", messages=[Message("user", "q"), message])
    assert find_plain(row) is None
    bare = Row(id="r", messages=[Message("user", "q"), Message("assistant", "")])
    assert make_keys(row)[:16] != make_keys(bare)[:16]
    with_tools = Row(id="r", messages=bare.messages, tools=[{"type": "function", "function": {"name": "f"}}])
    assert Counter([make_keys(with_tools)[:16] == make_keys(bare)[:16]]) == {False: 1}
