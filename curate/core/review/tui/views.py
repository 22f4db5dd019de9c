"""Widgets that draw lines of named styles. Text never passes through markup, and a million lines cost what is seen."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from curate.core.review.keymap import Key
from curate.core.review.layout import footer, queue_line, status
from curate.core.review.safe_text import Line
from curate.core.review.session import Session

_STYLES = (
    "assistant", "call", "cursor", "decided", "done", "fault", "gone", "key", "new", "number", "role", "sign", "status",
    "string", "system", "title", "tool", "user", "why", "word",
)  # fmt: skip
CSS = """
LineView { background: $surface; }
LineView > .assistant, LineView > .decided { color: $text-success; text-style: bold; }
LineView > .user, LineView > .key { color: $text-primary; text-style: bold; }
LineView > .system, LineView > .sign, LineView > .done { color: $text-muted; }
LineView > .call, LineView > .tool, LineView > .role { color: $text-accent; text-style: bold; }
LineView > .title, LineView > .status { text-style: bold; }
LineView > .why, LineView > .number, LineView > .word { color: $text-warning; }
LineView > .string { color: $text-success; }
LineView > .fault { color: $text-error; text-style: bold; }
LineView > .gone { color: $text-error; text-style: strike; }
LineView > .new { color: $text-success; text-style: underline; }
LineView > .cursor { text-style: reverse; }
"""


class LineView(ScrollView, can_focus=False):
    """Lines to look at and scroll through."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(_STYLES)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._lines: list[Line] = []

    def put(self, lines: Iterable[Line]) -> None:
        """Show these lines from the first on."""
        self._lines = list(lines)
        self.virtual_size = Size(1, len(self._lines))
        self.scroll_to(y=0, animate=False)
        self.refresh()

    def line(self, number: int) -> Line:
        """A line by its number, empty past the last."""
        return self._lines[number] if number < len(self._lines) else ()

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        base = self.rich_style
        segments = [
            Segment(text, base + self.get_component_rich_style(style, partial=True) if style in _STYLES else base)
            for text, style in self.line(y + round(self.scroll_offset.y))
        ]
        width = self.scrollable_content_region.width
        return Strip(segments).adjust_cell_length(width, base)


class QueueView(LineView):
    """All items that are shown, as many lines as there are items; only those on the screen are made."""

    class Chosen(Message):
        """A line was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, session: Session, id: str) -> None:
        super().__init__(id)
        self._session = session

    def follow(self) -> None:
        """Show the list as it is now, with the reviewer's place on the screen."""
        self.virtual_size = Size(1, len(self._session))
        height, top = max(self.size.height, 1), round(self.scroll_offset.y)
        if not top <= self._session.cursor < top + height:
            self.scroll_to(y=max(self._session.cursor - height // 2, 0), animate=False)
        self.refresh()

    def line(self, number: int) -> Line:
        """An item in a line."""
        inside = number < len(self._session)
        return queue_line(self._session, number, self.scrollable_content_region.width) if inside else ()

    def on_click(self, event: Click) -> None:
        """Go to the item that was clicked."""
        self.post_message(self.Chosen(event.y + round(self.scroll_offset.y)))


class StatusBar(LineView):
    """How far the review is."""

    def __init__(self, session: Session, id: str) -> None:
        super().__init__(id)
        self._session = session

    def line(self, number: int) -> Line:
        """The one line."""
        return status(self._session, self.size.width) if number == 0 else ()


class KeyBar(Widget, can_focus=False):
    """The keys that fit into a line; a click does what the key does."""

    class Pressed(Message):
        """A key was clicked."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    def __init__(self, keys: Sequence[Key], digits: str, id: str) -> None:
        super().__init__(id=id)
        self._keys, self._digits = keys, digits

    def render_line(self, y: int) -> Strip:
        """The keys, each with what it does."""
        base = self.rich_style
        if y:
            return Strip.blank(self.size.width, base)
        segments = [Segment(text, base) for text, _ in footer(self._keys, self.size.width, self._digits)]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def on_click(self, event: Click) -> None:
        """Press the key that was clicked."""
        end = 0
        for text, key in footer(self._keys, self.size.width, self._digits):
            end += len(text)
            if event.x < end:
                if key is not None:
                    self.post_message(self.Pressed(key))
                return
