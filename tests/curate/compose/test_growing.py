"""Conversations that grow: what begins another stays with it, what only looks like it doesn't."""

from hypothesis import given
from hypothesis import strategies as st

from curate.compose.growing import find_beginnings
from curate.compose.split import split_rows
from curate.core.rows.row import Message, Row
from curate.recipe.recipe import Split
from tests.curate.row_makers import select

HALVES = Split.model_validate({"shares": {"train": 0.5, "val": 0.2, "test": 0.3}})


def talk(name: str, *texts: str, system: str = "", **more: object) -> Row:
    """A conversation of these turns, the user's first."""
    scene = [Message("system", system)] if system else []
    turns = [Message("assistant" if at % 2 else "user", text) for at, text in enumerate(texts)]
    return Row(**{"id": name, "messages": [*scene, *turns], **more})  # type: ignore[arg-type]


def found_in(*rows: Row) -> dict[str, str]:
    """The ids of the rows that begin with another, and of the shortest that each begins with."""
    return {rows[at].id: rows[start].id for at, start in find_beginnings(select(rows)).items()}


def test_a_row_is_found_that_begins_others() -> None:
    assert found_in(
        talk("one", "the tap drips", "Tighten it."),
        talk("two", "the tap drips", "Tighten it.", "it still does", "Change the seal."),
        talk("three", "The tap  drips", "Tighten it.", "it still does", "Change the seal.", "thanks", "Welcome."),
        talk("other", "the tap drips", "Call somebody.", "it still does", "Change the seal."),
    ) == {"two": "one", "three": "one"}


def test_two_ways_on_have_one_beginning() -> None:
    ways = [talk(name, "a", "b", name, "d") for name in ("left", "right")]
    assert found_in(*ways, talk("start", "a", "b")) == {"left": "start", "right": "start"}
    assert found_in(*ways) == {}  # neither says all that the other says


def test_equal_conversations_have_one_beginning() -> None:
    rows = [talk("first", "a", "b"), talk("again", "A", "b"), talk("long", "a", "b", "c", "d")]
    assert found_in(*rows) == {"again": "first", "long": "first"}


def test_a_prompt_without_its_answer_is_a_beginning_too() -> None:
    assert found_in(talk("asked", "a", "b", "c"), talk("all", "a", "b", "c", "d", "e", "f")) == {"all": "asked"}


def test_other_system_messages_and_tools_make_other_conversations() -> None:
    long = ("a", "b", "c", "d")
    tool = {"type": "function", "function": {"name": "f"}}
    assert found_in(talk("short", "a", "b", system="Be kind."), talk("long", *long, system="Be short.")) == {}
    assert found_in(talk("short", "a", "b", system="Be kind."), talk("long", *long, system="Be kind.")) != {}
    assert found_in(talk("short", "a", "b"), talk("long", *long, tools=[tool])) == {}


def test_calls_are_part_of_what_is_said() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = [Message("user", "weigh it"), Message("assistant", None, tool_calls=[call])]
    more = [Message("tool", "3 kg", tool_call_id="1"), Message("assistant", "It weighs 3 kg.")]
    plain = Row(id="plain", messages=[calls[0], Message("assistant", "")])
    assert found_in(Row(id="call", messages=calls), Row(id="all", messages=calls + more), plain) == {"all": "call"}


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=6), min_size=1, max_size=12), st.integers(0, 9))
def test_no_row_of_a_side_begins_one_of_another(texts: list[list[str]], seed: int) -> None:
    rows = select([talk(f"r{at}", *each[: len(each) // 2 * 2]) for at, each in enumerate(texts)])
    sides = split_rows(rows, HALVES, seed, {})
    said = {side: [row.messages for row in members.rows] for side, members in sides.items()}
    for side, conversations in said.items():
        others = [messages for other, several in said.items() if other != side for messages in several]
        for messages in conversations:
            assert all(other[: len(messages)] != messages for other in others)


def test_conversations_fall_to_sides_by_their_shares_however_long_they_grow() -> None:
    turns = [[f"begin {n}", "go on", *[f"more {n}"] * 6] for n in range(400)]
    rows = select([talk(f"{n}-{end}", *turns[n][:end]) for n in range(400) for end in (2, 4, 6, 8)])
    # 400 conversations with a share of 0.5: four standard deviations are 40 of them, of four rows each.
    assert abs(len(split_rows(rows, HALVES, 1, {})["train"]) - 800) < 4 * 40
