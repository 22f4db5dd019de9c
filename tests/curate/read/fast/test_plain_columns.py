"""Rows of plain text: the short way says what the general one says."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row, encode_row
from curate.core.rows.row_keys import BESIDE, answer_form, beside, make_keys
from curate.core.rows.row_text import chosen_text, text_key, text_lengths
from curate.core.sources.records import Record
from curate.dedup.minhash import Banding, Sketches, SketchPacks, sketch
from curate.read.fast.chat_lines import ROLES, Scanned, scan
from curate.read.fast.lines import Lines
from curate.read.fast.plain_columns import PlainColumns, plain_columns
from curate.recipe.recipe import Validate
from curate.table.chunk import ChunkRows
from curate.table.text_buffer import TextBuffer
from curate.validate.stage import make_rules

SPEAKERS = st.sampled_from(["system", "developer", "user", "assistant", "tool", "narrator\nuser"])
ODD = ["", " ", "a", "A\tb ", "ΑΣ", "ΑΣ\n\nα", "{{name}}", "<INSERT>", "\x00", "Ã©", "\x85", "a\x1fb"]
LAYOUT = st.lists(st.sampled_from(["a", "语", "one two three", " ", "\n", "\t", "\r\n", "\x0b"]), max_size=12).map(
    "".join
)
TEXTS = st.sampled_from(ODD) | st.text() | LAYOUT
TOOLS = [{"type": "function", "function": {"name": "f"}}]
MESSAGES = st.lists(st.builds(Message, SPEAKERS, TEXTS), max_size=5)
CALL = {"id": "1", "function": {"name": "f", "arguments": "{}"}}


RULES = make_rules(Validate(), Path())


def scanned(rows: list[Row]) -> Scanned:
    lines = Lines.of_records([Record(1, 0, encode_row(row)) for row in rows])
    return scan(lines.data, lines.size, lines.places, strict=False)


def worked_out(rows: list[Row]) -> PlainColumns:
    found = scanned(rows)
    odd = {at: chosen_text(rows[at], "prompt") for at in np.flatnonzero(~found.fits).tolist()}
    labels = {at: row.label for at, row in enumerate(rows) if row.label is not None}
    return plain_columns(found, {at: row.tools for at, row in enumerate(rows) if row.tools}, labels, odd)


ROWS = st.builds(
    Row,
    id=st.just("r"),
    messages=MESSAGES,
    tools=st.sampled_from([None, TOOLS]),
    label=st.sampled_from([None, "", "a"]),
)


@given(st.lists(ROWS, max_size=6))
def test_the_short_way_says_what_the_general_one_says(rows: list[Row]) -> None:
    found, made = scanned(rows), worked_out(rows)
    prompts = gathered_texts(made.prompts)
    for at, row in enumerate(rows):
        assert prompts[at].lower() == chosen_text(row, "prompt").lower()
        assert found.fits[at] == (bool(row.messages) and all(message.role in ROLES for message in row.messages))
        if not found.fits[at]:
            continue
        assert tuple(made.lengths[at].tolist()) == text_lengths(row)
        assert made.keys[at].tobytes() == make_keys(row)
        assert tuple(made.beside[at].tolist()) == beside(row)
        assert make_keys(row)[16:] == text_key(chosen_text(row, "prompt"))
        if made.is_clear[at]:
            assert all(rule(row) is None for rule in RULES)


def gathered_texts(texts: TextBuffer) -> list[str]:
    starts = [0, *texts.ends.tolist()]
    assert len(texts.data) % 8 == 0
    assert len(texts.data) >= starts[-1] + 8
    return [texts.data[start : end - 1].tobytes().decode() for start, end in pairwise(starts)]


class Prompts(ChunkRows):
    """Rows of which the prompts alone are known."""

    def __init__(self, prompts: TextBuffer) -> None:
        self._prompts = prompts
        self.beside = np.zeros((prompts.ends.size, BESIDE), np.uint64)

    def texts(self, on: str) -> TextBuffer:
        assert on == "prompt"
        return self._prompts


def test_a_prompt_of_several_turns_is_sketched_as_one_text() -> None:
    turns = [Message("user", "Ä b"), Message("assistant", "c"), Message("user", "D e"), Message("assistant", "f")]
    row, prompt, banding = Row(id="r", messages=turns), "Ä b\nc\nD e", Banding(2, 4, 2)
    made = Sketches.unpacked(SketchPacks("prompt", banding).pack(Prompts(worked_out([row, row]).prompts)))
    assert (made.shingles == sketch([prompt, prompt], banding).shingles).all()
    assert (made.band_keys == sketch([prompt, prompt], banding).band_keys).all()


@given(MESSAGES, MESSAGES)
def test_keys_are_equal_where_roles_prompts_and_answers_are(one: list[Message], other: list[Message]) -> None:
    def said(messages: list[Message]) -> list[tuple[str, str]]:
        return [(message.role, form(message)) for message in messages]

    def form(message: Message) -> str:
        text = message.text
        return answer_form(text) if message.role == "assistant" else " ".join(text.lower().split())

    keys = [make_keys(Row(id="r", messages=messages))[:16] for messages in (one, other)]
    assert (keys[0] == keys[1]) == (said(one) == said(other))


def test_ordinary_rows_are_told_to_be_sound_without_the_rules() -> None:
    row = Row(id="r", messages=[Message("system", "s"), Message("user", "q"), Message("assistant", "über 日本")])
    assert worked_out([row]).is_clear.all()


@pytest.mark.parametrize(
    "text", ["cafÃ©", "a\ufffdb", "{{name}}", "[YOUR_NAME]", "<INSERT x>", "\x00", "\u3000 ", "Ð¿Ñ€"]
)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_what_rules_may_object_to_is_left_to_them(text: str, role: str) -> None:
    messages = [Message(one, text if one == role else "text") for one in ("system", "user", "assistant")]
    assert not worked_out([Row(id="r", messages=messages)]).is_clear.any()


def test_long_talks_are_told_to_be_sound_too() -> None:
    talk = [Message(role, "text") for _ in range(15) for role in ("user", "assistant")]
    assert worked_out([Row(id="r", messages=talk), Row(id="r", messages=talk[:-1])]).is_clear.tolist() == [True, False]


@pytest.mark.parametrize(
    "message", [Message("assistant", [{"type": "text", "text": "a"}]), Message("assistant", tool_calls=[CALL])]
)
def test_other_rows_are_not_plain_and_have_keys_of_their_own(message: Message) -> None:
    row = Row(id="r", messages=[Message("user", "q"), message])
    assert not scanned([row]).fits.any()
    bare = Row(id="r", messages=[Message("user", "q"), Message("assistant", "")])
    assert make_keys(row)[:16] != make_keys(bare)[:16]
    with_tools = Row(id="r", messages=bare.messages, tools=[{"type": "function", "function": {"name": "f"}}])
    assert Counter([make_keys(with_tools)[:16] == make_keys(bare)[:16]]) == {False: 1}
