"""The full-screen review. What happens is decided by the session; here are keys, dialogs and what is drawn."""

from collections.abc import Callable, Iterable, Sequence

import click
from textual.app import App, ComposeResult, SystemCommand
from textual.containers import Horizontal
from textual.events import Key as KeyEvent
from textual.events import Resize
from textual.screen import Screen

from curate.core.errors import AcidtestError, ConfigError
from curate.core.review.edit_row import as_text
from curate.core.review.items import Choice
from curate.core.review.keymap import Key, find_key
from curate.core.review.layout import Look, Tokens, item_lines, toggled
from curate.core.review.plain_mode import accept, command
from curate.core.review.session import SORTS, Session
from curate.core.review.tui import dialogs, views
from curate.core.review.tui.dialogs import Ask, Bulk, EditRow, Help, pressed
from curate.core.review.tui.views import KeyBar, LineView, QueueView, StatusBar
from curate.core.rows.row import Row

_WIDE = 100  # cells from which the list stands beside the item
_LOW = 8  # lines under which the keys give their line to the item
_AT_ONCE = 20_000  # items that a filter looks through before the reviewer would notice
_SAMPLES = 5
_ASKED = {
    "note": "Note:",
    "filter": 'Filter: label:refund source:web cluster:12 decision:pending -origin:synthetic text~"two words"',
    "sort": f"Sort by: {', '.join(SORTS)}",
    "go-to": "Go to the item with the number:",
}


class ReviewApp(App[None]):
    """A session on a full screen."""

    TITLE = "review"
    CSS = f"""
    Screen {{ layers: below; }}
    StatusBar, KeyBar {{ height: 1; background: $panel; overflow: hidden; }}
    #queue {{ width: 36; display: none; border-right: solid $primary; }}
    .wide #queue {{ display: block; }}
    .listed #queue {{ display: block; width: 1fr; }}
    .listed #item, .wide.listed #queue {{ display: none; }}
    .wide.listed #item {{ display: block; }}
    #item {{ width: 1fr; padding: 0 1; }}
    .low KeyBar {{ display: none; }}
    {views.CSS}{dialogs.CSS}
    """

    def __init__(self, session: Session, keys: Sequence[Key], tokens: Tokens | None = None) -> None:
        super().__init__()
        self.session, self._keys, self._tokens = session, keys, tokens
        self._look = Look(diff=session.deck.kind.pairs)

    def compose(self) -> ComposeResult:
        """The state of the review above, the keys below, the list and the item between them."""
        yield StatusBar(self.session, "status")
        with Horizontal():
            yield QueueView(self.session, "queue")
            yield LineView("item")
        yield KeyBar(self._keys, self.session.deck.kind.digits, "bar")

    def on_resize(self, event: Resize) -> None:
        """Make room for what matters most at this size."""
        self.screen_stack[0].set_class(event.size.width >= _WIDE, "wide")
        self.screen_stack[0].set_class(event.size.height < _LOW, "low")
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        session = self.session
        main = self.screen_stack[0]
        view, item, at = main.query_one("#item", LineView), session.item, session.at
        if item is None or at is None:
            view.put([(("nothing to show: / and an empty filter shows everything", "title"),)])
        else:
            held = session.decision(at)
            label = session.deck.kind.label(held) if held is not None else ""
            # Two cells less than there are, so that a scroll bar covers nothing.
            view.put(item_lines(item, held, max(view.size.width - 4, 1), self._look, label))
        main.query_one(QueueView).follow()
        main.query_one(StatusBar).refresh()

    def on_key(self, event: KeyEvent) -> None:
        """Do what the key does; keys of a dialog are its own."""
        if len(self.screen_stack) > 1:
            return
        key = find_key(self._keys, pressed(event))
        if key is not None:
            event.stop()
            event.prevent_default()
            self.do(key)

    def on_key_bar_pressed(self, event: KeyBar.Pressed) -> None:
        """A key was clicked."""
        self.do(event.key)

    def on_queue_view_chosen(self, event: QueueView.Chosen) -> None:
        """An item was clicked."""
        self.session.go_to(event.place)
        self.screen.remove_class("listed")
        self._draw()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers: every key of the table, and what Textual has, such as themes."""
        for key in self._keys:
            yield SystemCommand(f"{key.name} ({key.key})", key.help, lambda key=key: self.do(key))
        yield from super().get_system_commands(screen)

    def do(self, key: Key) -> None:
        """Do what a key of the table does; what stands in the way is said, and the review goes on."""
        try:
            self._do(key)
        except AcidtestError as error:
            self._say(str(error), bad=True)
        self._draw()

    def _do(self, key: Key) -> None:
        if key.choice is not None:
            self.session.decide(key.choice)
            if not self.session.left_here:
                self._say("everything that is shown is decided; q quits")
        elif key.name in _ASKED:
            self._ask(key)
        elif key.name in ("raw", "metadata", "diff", "tokens"):
            self._look = toggled(self._look, key.name, self._tokens)
        elif key.name in ("scroll-down", "scroll-up"):
            view = self.query_one("#item", LineView)
            height = view.size.height
            self.call_after_refresh(
                view.scroll_relative, y=height if key.name == "scroll-down" else -height, animate=False
            )
        else:
            self._open(key.name)

    def _open(self, name: str) -> None:
        session = self.session
        if name == "list":
            self.screen.toggle_class("listed")
        elif name == "help":
            self.push_screen(Help(self._keys))
        elif name == "quit":
            self.exit()
        elif name == "bulk":
            samples = session.samples(_SAMPLES)
            self.push_screen(Bulk(self._keys, len(session), samples, session.filter), self._decide_all)
        elif name in ("edit", "edit-outside"):
            self._edit(outside=name == "edit-outside")
        elif notice := command(session, name, ""):
            self._say(notice)

    def _ask(self, key: Key) -> None:
        session, at = self.session, self.session.at
        held = session.decision(at) if at is not None else None
        value = {"note": held.note if held is not None else "", "filter": session.filter}.get(key.name, "")

        def answered(answer: str | None) -> None:
            if answer is None:
                return
            if key.name == "filter" and len(session.deck) > _AT_ONCE:
                self._say("looking through everything ...")
                self.run_worker(lambda: self._search(answer), thread=True, exclusive=True)
                return
            self._guarded(lambda: command(session, key.name, answer))

        self.push_screen(Ask(_ASKED[key.name], value), answered)

    def _search(self, written: str) -> None:
        """Look for what a filter leaves, beside the screen; then show it."""
        try:
            found = self.session.matching(written)
        except ConfigError as error:
            self.call_from_thread(self._say, str(error), bad=True)
            return

        def show() -> str:
            self.session.show(found, written.strip())
            return f"{len(found):,} items"

        self.call_from_thread(self._guarded, show)

    def _guarded(self, act: Callable[[], str]) -> None:
        try:
            if notice := act():
                self._say(notice)
        except AcidtestError as error:
            self._say(str(error), bad=True)
        self._draw()

    def _decide_all(self, choice: Choice | None) -> None:
        if choice is not None:
            self._guarded(lambda: f"decided {self.session.decide_all(choice):,} items; one undo takes them back")

    def _edit(self, *, outside: bool) -> None:
        row = self.session.row
        if row is None:
            raise ConfigError("this item can't be edited")
        if not outside:
            self.push_screen(EditRow(as_text(row), lambda text: self._accepted(text, row)))
            return
        with self.suspend():
            text = click.edit(as_text(row))
        if text is None or text == as_text(row):
            self._say("nothing was changed")
        elif faults := accept(self.session, text, row):
            self._say("not accepted: " + "; ".join(faults), bad=True)

    def _accepted(self, text: str, row: Row) -> Sequence[str]:
        try:
            faults = accept(self.session, text, row)
        except AcidtestError as error:
            return [str(error)]
        self._draw()
        return faults

    def _say(self, text: str, *, bad: bool = False) -> None:
        from curate.core.review.safe_text import shown

        self.notify(shown(text, 600), severity="error" if bad else "information", timeout=5 if bad else 3, markup=False)
