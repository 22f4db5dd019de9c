"""Decisions: what the journal of a review says line by line, and what holds after all of its lines."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from curate.core import journal
from curate.core.digests import digest_bytes
from curate.core.rows.row import Row, encode_row

FILE = "decisions.jsonl"
REJECTED = "rejected.jsonl"
UNDO, REDO, NOTE = "undo", "redo", "note"
# Of these no decision is left: the item is still to be decided.
_OPEN = frozenset({NOTE})


class Key(NamedTuple):
    """An item as the journal names it. `place` is where it stood, `file:line`: equal items differ in it alone."""

    item: str
    digest: str
    place: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the journal: at this time this reviewer decided this of the item with this digest.

    A line holds the whole decision, its note included. `undo` and `redo` say in `to` which line holds again (0: none).
    """

    seq: int
    at: str
    reviewer: str
    item: str
    digest: str
    action: str
    value: str = ""
    """A reason, a class, a grade, or the contender that was preferred."""
    note: str = ""
    row: Row | None = None
    """What an edit made of the row."""
    rows: list[tuple[str, str]] = []
    """Of a pair: id and digest of the row that was kept, then of the one that was dropped."""
    place: str = ""
    bulk: int = 0
    """The first line of those that one step made, where it made several."""
    to: int | None = None

    @property
    def key(self) -> Key:
        """The item that was decided."""
        return Key(self.item, self.digest, self.place)

    @property
    def decides(self) -> bool:
        """Is the item decided by it?"""
        return self.action not in _OPEN

    @property
    def edited_key(self) -> Key | None:
        """The row that an edit made, as a later dataset has it."""
        return None if self.row is None else Key(self.item, row_digest(encode_row(self.row)), "")


def row_digest(line: bytes) -> str:
    """The digest of a dataset's line: what ties a decision to what was looked at."""
    return digest_bytes(line)


class Journal(journal.Journal[Event]):
    """The open journal of a review."""

    kind = Event
    loss = "the decision it held is then to be made again"


def read_events(path: Path) -> list[Event]:
    """The lines of a journal. Raises: ProvenanceError for one that is no decision."""
    return journal.read_whole_lines(path, Event, Journal.loss)[0]


@dataclass(frozen=True, slots=True)
class Change:
    """One item's decision before and after a step; None where there was none."""

    key: Key
    before: Event | None
    after: Event | None


Step = tuple[Change, ...]


@dataclass(slots=True)
class History:
    """What holds after a journal's lines, and the steps that can be undone and done again."""

    standing: dict[Key, Event] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    last: int = 0
    _lines: dict[int, Event] = field(default_factory=dict)

    def take(self, events: Sequence[Event]) -> Step:
        """Take in the lines of one step, and say what they changed."""
        step = tuple(self._change(event) for event in events)
        for change in step:
            if change.after is None:
                self.standing.pop(change.key, None)
            else:
                self.standing[change.key] = change.after
        self.last = max(self.last, events[-1].seq)
        action = events[0].action
        if action == UNDO:
            self.undone += self.done[-1:]
            del self.done[-1:]
        elif action == REDO:
            self.done += self.undone[-1:]
            del self.undone[-1:]
        else:
            self.done.append(step)
            self.undone.clear()
        return step

    def _change(self, event: Event) -> Change:
        before = self.standing.get(event.key)
        if event.to is not None:
            return Change(event.key, before, self._lines.get(event.to))
        self._lines[event.seq] = event
        return Change(event.key, before, event)


def replay(events: Iterable[Event]) -> History:
    """What holds after these lines, which are in the order in which they were written."""
    history = History()
    for step in _steps(events):
        history.take(step)
    return history


def _steps(events: Iterable[Event]) -> Iterator[list[Event]]:
    """The lines that belong together: one, or those of a bulk."""
    waiting: list[Event] = []
    for event in events:
        if waiting and (not event.bulk or event.bulk != waiting[0].bulk or event.action != waiting[0].action):
            yield waiting
            waiting = []
        waiting.append(event)
    if waiting:
        yield waiting
