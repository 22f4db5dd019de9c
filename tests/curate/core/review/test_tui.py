"""The full screen, by a pilot and by golden text screens. What keys do is tested on the machine behind it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from curate.core.review.decisions import Event
from curate.core.review.items import Deck
from curate.core.review.keymap import load_keys
from curate.core.review.session import Session
from curate.core.review.tui.app import ReviewApp
from curate.core.review.tui.views import LineView
from curate.review.rows_deck import RowDeck
from tests.curate.core.review.decks import make_deck, make_session, record, write_rows

GOLDEN = Path(__file__).parent / "golden"
Act = Callable[[ReviewApp, "Pilot[None]"], Awaitable[None]]


def drive(deck: Deck, act: Act, size: tuple[int, int] = (80, 24), events: list[Event] | None = None) -> Session:
    """Drive a review of the deck, and return its session."""
    session = make_session(deck, [] if events is None else events)

    async def run() -> None:
        app = ReviewApp(session, load_keys(deck.kind, None))
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await act(app, pilot)

    asyncio.run(run())
    return session


def screen(app: ReviewApp) -> str:
    """The screen as text."""
    compositor = app.screen._compositor
    strips = compositor.render_strips(app.screen.size)
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def press(*keys: str) -> Act:
    async def act(_: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.press(*keys)

    return act


TOOLS = [{"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "id": "c1", "function": {"name": "find_order", "arguments": '{"number": 17, "open": true}'}}
STRANGE = (
    "[bold]not bold[/bold] [/] \x1b[2J\x1b]0;title\x07 \u202egnp.exe \u200bzero \U0001f469\u200d\U0001f52c شكرا \x9b31m"
)


def strange_deck(folder: Path) -> RowDeck:
    rows: list[Any] = [
        record(0, label="refund", tools=TOOLS, meta={"score": 0.5}, messages=[
            {"role": "system", "content": "Help."},
            {"role": "user", "content": STRANGE},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": '{"state": "sent", "days": [1, 2]}'},
            {"role": "assistant", "content": "It is on its way."},
        ]),
        b'{"id": "broken", "messages": [',
        record(2, messages=[{"role": "user", "content": "long " * 40_000}, {"role": "assistant", "content": "ok"}]),
        record(3),
    ]  # fmt: skip
    return RowDeck([write_rows(folder / "rows.jsonl", rows)])


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
def test_screens_are_as_they_were(tmp_path: Path, size: tuple[int, int]) -> None:
    """ACIDTEST_GOLDEN=write makes them anew; look at them before they are committed."""
    seen: list[str] = []

    async def act(app: ReviewApp, pilot: "Pilot[None]") -> None:
        for keys in ((), ("m",), ("m", "j"), ("k", "x", "k", "d"), ("?",)):
            await pilot.press(*keys)
            await pilot.pause()
            seen.append(screen(app))

    drive(strange_deck(tmp_path), act, size)
    path = GOLDEN / f"{size[0]}x{size[1]}.txt"
    text = ("~" * size[0] + "\n").join(seen)
    if os.environ.get("ACIDTEST_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
    assert not any(character < " " and character != "\n" for character in text)
    assert not {"\x7f", "\x9b", "\u202e", "\u200b"} & set(text)


def test_one_key_decides_and_moves_on(tmp_path: Path) -> None:
    events: list[Event] = []
    session = drive(make_deck(tmp_path), press("a", "x", "3", "space", "f", "u"), events=events)
    assert [(event.item, event.action, event.value) for event in events] == [
        ("r0", "keep", ""), ("r1", "drop", ""), ("r2", "drop", "off topic"), ("r3", "skip", ""), ("r4", "flag", ""),
        ("r4", "undo", ""),
    ]  # fmt: skip
    assert session.at == 4


def test_dialogs_take_text(tmp_path: Path) -> None:
    async def act(app: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.press("n", *"odd", "enter")
        await pilot.press("/")
        app.screen.query_one(Input).value = "label:cancel"
        await pilot.press("enter")
        await pilot.press("g", "2", "enter")
        await pilot.press("/", "escape", "x")

    session = drive(make_deck(tmp_path), act)
    held = session.decision(0)
    assert held is not None
    assert held.note == "odd"
    assert (session.filter, len(session)) == ("label:cancel", 4)
    dropped = session.decision(3)
    assert dropped is not None
    assert dropped.action == "drop"


def test_a_bad_filter_is_said_and_the_review_goes_on(tmp_path: Path) -> None:
    async def act(app: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.press("/")
        app.screen.query_one(Input).value = "colour:[red]"
        await pilot.press("enter")
        await pilot.press("a")

    session = drive(make_deck(tmp_path), act)
    assert session.done == 1


def test_an_edit_is_checked_before_it_is_accepted(tmp_path: Path) -> None:
    async def act(app: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.press("e")
        area = app.screen.query_one(TextArea)
        area.text = area.text.replace("=== assistant ===\nAnswer 0.", "=== assistant ===\n ")
        await pilot.press("ctrl+s")
        assert app.screen.query("TextArea")  # not accepted, so still open
        area.text = area.text.replace("=== assistant ===\n ", "=== assistant ===\nBetter.")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert not app.screen.query("TextArea")

    session = drive(make_deck(tmp_path), act)
    held = session.decision(0)
    assert held is not None
    assert held.row is not None
    assert held.row.answer == "Better."
    assert session.at == 1


def test_bulk_asks_first(tmp_path: Path) -> None:
    session = drive(make_deck(tmp_path), press("b", "escape", "b", "x", "u", "b", "a"))
    assert session.counts == {"keep": 8}


def test_the_mouse_works(tmp_path: Path) -> None:
    async def act(_: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.click("#queue", offset=(4, 5))
        await pilot.click("#bar", offset=(10, 0))

    session = drive(make_deck(tmp_path), act, (120, 30))
    held = session.decision(5)
    assert held is not None
    assert held.action == "drop"


def test_the_palette_has_every_command(tmp_path: Path) -> None:
    async def act(app: ReviewApp, _: "Pilot[None]") -> None:
        titles = [one.title for one in app.get_system_commands(app.screen)]
        assert {"keep (a)", "undo (u)", "Theme"} <= set(titles)

    drive(make_deck(tmp_path), act)


@pytest.mark.parametrize("size", [(20, 5), (3, 2)])
def test_a_tiny_terminal_still_decides(tmp_path: Path, size: tuple[int, int]) -> None:
    async def act(app: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.press("a")
        await pilot.resize_terminal(*size)
        await pilot.press("x", "?", "escape", "b", "escape", "l", "l")
        await pilot.resize_terminal(80, 24)
        await pilot.press("a")

    assert drive(make_deck(tmp_path), act).counts == {"keep": 2, "drop": 1}


def test_a_hundred_thousand_rows_are_a_list_at_once(tmp_path: Path) -> None:
    deck = make_deck(tmp_path, 100_000)

    async def act(app: ReviewApp, pilot: "Pilot[None]") -> None:
        await pilot.press("g", *"99999", "enter")
        await pilot.pause()
        assert "Question 99998?" in screen(app)
        assert app.query_one("#item", LineView).line(0)[0][0].startswith("r99998")

    assert drive(deck, act, (120, 30)).at == 99_998
