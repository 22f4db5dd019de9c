"""The review without a full screen: an item is printed, a line is read. For pipes, screen readers and narrow links."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from curate.core.errors import ConfigError
from curate.core.review.edit_row import as_text, from_text
from curate.core.review.keymap import Key, find_key
from curate.core.review.layout import Look, Tokens, footer, help_lines, item_lines, queue_line, status, toggled
from curate.core.review.safe_text import Line, shown
from curate.core.review.session import Session
from curate.core.rows.row import Row

_WIDTH = 80
_LISTED = 20
_SAMPLES = 5
Write = Callable[[str], None]
Edit = Callable[[str], str | None]


class PlainReview:
    """A session driven by lines: a key or its name, then what it needs, such as `n a note` or `/ label:refund`."""

    def __init__(self, session: Session, keys: Sequence[Key], write: Write, edit: Edit, tokens: Tokens | None) -> None:
        self.session, self._keys, self._write, self._edit = session, keys, write, edit
        self._tokens = tokens
        self._look = Look(diff=session.deck.kind.pairs)

    def run(self, lines: Iterable[str]) -> None:
        """Work through the lines until they end or one says to quit."""
        given = iter(lines)
        self._show()
        for line in given:
            word, _, rest = line.strip().partition(" ")
            if not word:
                self._show()
                continue
            key = find_key(self._keys, word) or next((one for one in self._keys if one.name == word), None)
            if key is None:
                self._write(f"{shown(word, 40)}: no such key; ? shows them all")
                continue
            if key.name == "quit":
                return
            try:
                self._do(key, rest.strip(), given)
            except ConfigError as error:
                self._write(str(error))

    def _do(self, key: Key, rest: str, lines: Iterator[str]) -> None:
        session = self.session
        if key.choice is not None:
            session.decide(key.choice)
        elif key.name in ("raw", "metadata", "diff", "tokens"):
            self._look = toggled(self._look, key.name, self._tokens)
        elif key.name == "help":
            self._lines(help_lines(self._keys, _WIDTH))
            return
        elif key.name == "list":
            places = range(session.cursor, min(session.cursor + _LISTED, len(session)))
            self._lines(queue_line(session, place, _WIDTH) for place in places)
            return
        elif key.name == "bulk":
            self._bulk(rest, lines)
        elif key.name.startswith("scroll"):
            return  # everything is printed
        elif key.name in ("edit", "edit-outside"):
            self._edit_row()
        else:
            notice = command(session, key.name, rest)
            if notice:
                self._write(notice)
        self._show()

    def _bulk(self, name: str, lines: Iterator[str]) -> None:
        choice = next((one.choice for one in self._keys if one.choice and name in (one.key, one.name)), None)
        if choice is None:
            names = ", ".join(one.name for one in self._keys if one.choice)
            raise ConfigError("name what to decide for everything that is shown", fix=f"one of {names}")
        self._write(f"{choice.label} for {len(self.session):,} items, such as")
        for sample in self.session.samples(_SAMPLES):
            self._write(f"  {shown(sample, 100)}")
        self._write("type yes to decide all of them")
        if next(lines, "").strip() == "yes":
            self._write(f"decided {self.session.decide_all(choice):,} items; undo takes all of them back")
        else:
            self._write("nothing was decided")

    def _edit_row(self) -> None:
        row = self.session.row
        if row is None:
            raise ConfigError("this item can't be edited")
        text = self._edit(as_text(row))
        if text is None or text == as_text(row):
            self._write("nothing was changed")
            return
        for fault in accept(self.session, text, row):
            self._write(f"not accepted: {shown(fault, 400)}")

    def _show(self) -> None:
        session, item = self.session, self.session.item
        at = session.at
        self._lines([((("=" * _WIDTH), "sign"),), status(session, _WIDTH)])
        if item is None or at is None:
            self._write("nothing to show")
            return
        held = session.decision(at)
        label = session.deck.kind.label(held) if held is not None else ""
        self._lines(item_lines(item, held, _WIDTH, self._look, label))
        self._write("-" * _WIDTH)
        self._write("".join(text for text, _ in footer(self._keys, _WIDTH, session.deck.kind.digits)).strip())

    def _lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._write("".join(text for text, _ in line).rstrip())


def command(session: Session, name: str, rest: str) -> str:
    """Do what a command that is no choice says, and return what the reviewer should hear of it.

    Raises: ConfigError for a filter, a number or a measure that is none.
    """
    if name == "note":
        session.note(rest)
    elif name == "filter":
        session.show(session.matching(rest), rest.strip())
        return f"{len(session):,} items" if rest.strip() else "everything is shown"
    elif name == "sort":
        session.sort_by(rest or "order")
    elif name == "go-to":
        if not rest.isdecimal():
            raise ConfigError(f"{rest!r} is not a number", fix="name the number of an item in the list")
        session.go_to(int(rest) - 1)
    elif name in ("next", "previous"):
        session.move(1 if name == "next" else -1)
    else:
        return _move(session, name)
    return ""


def _move(session: Session, name: str) -> str:
    moves: dict[str, tuple[Callable[[], bool], str]] = {
        "undo": (session.undo, "there is nothing to undo"),
        "redo": (session.redo, "there is nothing to do again"),
        "next-pending": (session.next_pending, "nothing that is shown is pending"),
        "previous-pending": (session.previous_pending, "nothing that is shown is pending"),
        "cluster": (session.next_alike, "nothing else that is shown is of this cluster"),
    }
    act, otherwise = moves[name]
    return "" if act() else otherwise


def accept(session: Session, text: str, row: Row) -> Sequence[str]:
    """Take the edited text for the row, or say what is wrong with it."""
    made = from_text(text, row)
    if not isinstance(made, Row):
        return made
    return session.edit(made)
