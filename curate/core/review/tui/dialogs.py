"""Dialogs: one line of text, a row to edit, a decision for everything that is shown, and the help."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key as KeyEvent
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from curate.core.review.items import Choice
from curate.core.review.keymap import Key, find_key
from curate.core.review.layout import help_lines
from curate.core.review.safe_text import one_line, shown
from curate.core.review.tui.views import LineView

# With priority: an input would take the key to leave its own focus.
_ESCAPE: list[BindingType] = [Binding("escape", "leave", "leave", priority=True)]
_SAMPLE_CELLS = 64  # a line of the dialog on a terminal of 80
CSS = """
ModalScreen { align: center middle; }
ModalScreen > Vertical { width: 90%; max-width: 100; height: auto; max-height: 90%; border: round $primary; }
ModalScreen.tall > Vertical { height: 90%; }
ModalScreen TextArea, ModalScreen LineView { height: 1fr; }
#faults { color: $text-error; max-height: 5; }
"""


def pressed(event: KeyEvent) -> str:
    """A key as the table names it: the character where it has one, else its name."""
    character = event.character or ""
    return character if character.isprintable() and character not in ("", " ") else event.key


class Ask(ModalScreen[str | None]):
    """Asks for a line of text; None where the reviewer leaves."""

    BINDINGS: ClassVar[list[BindingType]] = _ESCAPE

    def __init__(self, question: str, value: str = "") -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        """A question and a line to type in."""
        with Vertical():
            yield Static(shown(self._question), markup=False)
            yield Input(shown(self._value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand over what was typed."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)


class EditRow(ModalScreen[None]):
    """A row to edit. `accept` takes the text, or says what is wrong with it; the dialog stays until it is taken."""

    BINDINGS: ClassVar[list[BindingType]] = [*_ESCAPE, Binding("ctrl+s", "save", "save", priority=True)]

    def __init__(self, text: str, accept: Callable[[str], Sequence[str]]) -> None:
        super().__init__(classes="tall")
        self._text, self._accept = text, accept

    def compose(self) -> ComposeResult:
        """The text, and room for what is wrong with it."""
        with Vertical():
            yield Static("ctrl+s accepts the row after it was checked, escape leaves it as it was", markup=False)
            yield TextArea(self._text)
            yield Static("", id="faults", markup=False)

    def action_save(self) -> None:
        """Have the row checked and taken."""
        text = self.query_one(TextArea).text
        if text == self._text:
            self.dismiss(None)
            return
        faults = self._accept(text)
        if faults:
            self.query_one("#faults", Static).update("\n".join(shown(fault, 400) for fault in faults))
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Leave the row as it was."""
        self.dismiss(None)


class Bulk(ModalScreen[Choice | None]):
    """Asks what to decide for everything that is shown, after a look at some of it."""

    BINDINGS: ClassVar[list[BindingType]] = _ESCAPE

    def __init__(self, keys: Sequence[Key], count: int, samples: Sequence[str], written: str) -> None:
        super().__init__()
        self._keys = [key for key in keys if key.choice is not None]
        self._count, self._samples, self._written = count, samples, written

    def compose(self) -> ComposeResult:
        """The count, the samples, and the keys."""
        what = f"the filter {self._written}" if self._written else "all items"
        lines = [f"One decision for {self._count:,} items ({what}), such as", ""]
        lines += [f"  {one_line(sample, _SAMPLE_CELLS)}" for sample in self._samples]
        lines += ["", "Press the key of the decision, escape to leave:", ""]
        lines += ["   ".join(f"{key.key} {key.label}" for key in self._keys)]
        with Vertical():
            yield Static("\n".join(lines), markup=False)

    def on_key(self, event: KeyEvent) -> None:
        """Decide."""
        key = find_key(self._keys, pressed(event))
        if key is not None:
            event.stop()
            self.dismiss(key.choice)

    def action_leave(self) -> None:
        """Leave without a decision."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """Every key with what it does."""

    BINDINGS: ClassVar[list[BindingType]] = _ESCAPE

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__(classes="tall")
        self._keys = keys

    def compose(self) -> ComposeResult:
        """The keys."""
        with Vertical():
            yield Static("escape leaves, ctrl+p searches all commands, and themes", markup=False)
            yield LineView("keys")

    def on_resize(self) -> None:
        """Lay the keys out for the width there is."""
        view = self.query_one(LineView)
        view.put(help_lines(self._keys, max(view.size.width - 2, 10)))

    def on_key(self, event: KeyEvent) -> None:
        """Scroll; any key that is not for that leaves."""
        view = self.query_one(LineView)
        moves = {"down": view.scroll_down, "up": view.scroll_up, "pagedown": view.scroll_page_down}
        moves |= {"pageup": view.scroll_page_up, "j": view.scroll_down, "k": view.scroll_up}
        if event.key in moves:
            moves[event.key](animate=False)
        elif event.key not in ("escape", "ctrl+p"):
            self.dismiss(None)

    def action_leave(self) -> None:
        """Leave the help."""
        self.dismiss(None)
