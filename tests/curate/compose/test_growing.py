"""Conversations that grow: what begins another stays with it, what only looks like it doesn't."""

from hypothesis import given
from hypothesis import strategies as st

from curate.compose.growing import growing_ties
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


def sets_of(*rows: Row) -> list[set[str]]:
    """The ids that are tied to one another."""
    ties = growing_ties(select(rows))
    return [{name for name in ties if ties[name] == tie} for tie in sorted(set(ties.values()))]


def test_rows_that_begin_another_are_tied_to_it() -> None:
    assert sets_of(
        talk("one", "the tap drips", "Tighten it."),
        talk("two", "the tap drips", "Tighten it.", "it still does", "Change the seal."),
        talk("three", "The tap  drips", "Tighten it.", "it still does", "Change the seal.", "thanks", "Welcome."),
        talk("other", "the tap drips", "Call somebody.", "it still does", "Change the seal."),
    ) == [{"one", "two", "three"}]


def test_two_ways_on_from_one_beginning_are_one_set() -> None:
    ways = [talk(name, "a", "b", name, "d") for name in ("left", "right")]
    assert sets_of(talk("start", "a", "b"), *ways) == [{"start", "left", "right"}]
    assert sets_of(*ways) == []  # neither says all that the other says


def test_a_prompt_without_its_answer_is_a_beginning_too() -> None:
    assert sets_of(talk("asked", "a", "b", "c"), talk("all", "a", "b", "c", "d", "e", "f")) == [{"asked", "all"}]


def test_other_system_messages_and_tools_make_other_conversations() -> None:
    long = ("a", "b", "c", "d")
    tool = {"type": "function", "function": {"name": "f"}}
    assert sets_of(talk("short", "a", "b", system="Be kind."), talk("long", *long, system="Be short.")) == []
    assert sets_of(talk("short", "a", "b", system="Be kind."), talk("long", *long, system="Be kind.")) != []
    assert sets_of(talk("short", "a", "b"), talk("long", *long, tools=[tool])) == []


def test_calls_are_part_of_what_is_said() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = [Message("user", "weigh it"), Message("assistant", None, tool_calls=[call])]
    more = [Message("tool", "3 kg", tool_call_id="1"), Message("assistant", "It weighs 3 kg.")]
    plain = Row(id="plain", messages=[calls[0], Message("assistant", "")])
    assert sets_of(Row(id="call", messages=calls), Row(id="all", messages=calls + more), plain) == [{"call", "all"}]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=6), min_size=1, max_size=12), st.integers(0, 9))
def test_no_row_of_a_side_begins_one_of_another(texts: list[list[str]], seed: int) -> None:
    rows = select([talk(f"r{at}", *each[: len(each) // 2 * 2]) for at, each in enumerate(texts)])
    sides = split_rows(rows, HALVES, seed, growing_ties(rows))
    said = {side: [row.messages for row in members.rows] for side, members in sides.items()}
    for side, conversations in said.items():
        others = [messages for other, several in said.items() if other != side for messages in several]
        for messages in conversations:
            assert all(other[: len(messages)] != messages for other in others)
