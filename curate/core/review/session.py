"""The state of a review: which items are shown, where the reviewer is, what was decided. No terminal, no clock."""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

import msgspec
import numpy as np

from curate.core.errors import ConfigError
from curate.core.review.decisions import NOTE, REDO, UNDO, Change, Event, Key, Step, replay
from curate.core.review.edit_row import with_parent
from curate.core.review.filters import DECISION, PENDING, parse_filter
from curate.core.review.items import Choice, Deck, Item
from curate.core.rows.row import Row

Record = Callable[[Sequence[Event]], None]
Clock = Callable[[], float]
Stamp = Callable[[], str]
_PACE = 50  # decisions whose median time apart says how long the rest will take: breaks don't count
_CLASSES = frozenset({"class", "prefer", "grade"})  # of these the values are counted, else the actions
SORTS = ("order", "length", "similarity", "uncertainty", "disagreement")


class Session:
    """A reviewer at work on a deck.

    Every step is recorded first and holds only then, so what is shown as decided is on disk. `record` gets the lines of
    a step at once. Positions are those of the deck; `view` has the positions that are shown, in their order.
    """

    def __init__(
        self, deck: Deck, events: Sequence[Event], record: Record, *, reviewer: str, clock: Clock, stamp: Stamp
    ) -> None:
        self.deck, self.reviewer = deck, reviewer
        self._record, self._clock, self._stamp = record, clock, stamp
        self._history = replay(events)
        self._positions: dict[Key, int] = {}
        self._held: dict[int, Event] = {}
        self._earlier: dict[int, Event] = {}
        self._open = bytearray(b"\x01" * len(deck))
        self.counts: Counter[str] = Counter()
        self.done = 0
        self._locate()
        self._view: Sequence[int] = range(len(deck))
        self._places: dict[int, int] | None = None
        self.filter, self.sort = "", "order"
        self.cursor = 0
        self._times: deque[float] = deque(maxlen=_PACE)
        if len(deck) and not self._open[0]:
            self.next_pending()

    def _locate(self) -> None:
        """Where the items are that were decided; decisions on items that have changed since don't count.

        What an edit made is the same item in a later dataset, and so is a row that stands on another line now: what was
        decided of them before holds until something else is decided, and again when that is undone.
        """
        standing = self._history.standing
        found = dict(self.deck.find(standing))
        edits = {made: key for key, event in standing.items() if key not in found and (made := event.edited_key)}
        found |= {edits[made]: at for made, at in self.deck.find(edits).items()}
        for key, event in sorted(standing.items(), key=lambda item: item[1].seq):
            if key in found:
                if key != self.deck.key(found[key]):
                    self._earlier[found[key]] = event
                self._hold(found[key], event)
        known = {change.key for step in (*self._history.done, *self._history.undone) for change in step}
        self._positions = found | dict(self.deck.find(known - found.keys()))
        for steps in (self._history.done, self._history.undone):
            steps[:] = [step for step in steps if all(change.key in self._positions for change in step)]

    def __len__(self) -> int:
        return len(self._view)

    @property
    def at(self) -> int | None:
        """The position that the reviewer is at, None where nothing is shown."""
        return int(self._view[self.cursor]) if len(self._view) else None

    @property
    def item(self) -> Item | None:
        """The item that the reviewer is at."""
        at = self.at
        return None if at is None else self.deck.item(at)

    def position(self, place: int) -> int:
        """The position of what is shown at this place of the view."""
        return int(self._view[place])

    @property
    def row(self) -> Row | None:
        """The row that the reviewer is at, as it was edited; None where the item is none."""
        at = self.at
        return None if at is None else self._row(at)

    def _row(self, at: int) -> Row | None:
        held = self._held.get(at)
        return held.row if held is not None and held.row is not None else self.deck.item(at).row

    def decision(self, at: int) -> Event | None:
        """The decision on an item, or a note alone, None where there is neither."""
        return self._held.get(at)

    def is_pending(self, at: int) -> bool:
        """Is the item still to be decided?"""
        return bool(self._open[at])

    @property
    def left(self) -> int:
        """How many items are still to be decided."""
        return len(self.deck) - self.done

    @property
    def left_here(self) -> int:
        """How many of the items that are shown are still to be decided."""
        if isinstance(self._view, range):
            return self.left
        return int(np.frombuffer(self._open, np.uint8)[np.asarray(self._view, np.int64)].sum())

    @property
    def seconds_each(self) -> float | None:
        """How long a decision takes, None until there are three."""
        times = list(self._times)
        apart = [later - earlier for earlier, later in itertools.pairwise(times)]
        return median(apart) if len(apart) > 1 else None

    def decide(self, choice: Choice) -> None:
        """Decide the item that the reviewer is at, and move on to the next pending one."""
        at = self.at
        if at is None:
            return
        self._write([self._event(at, choice.action, value=choice.value, row=self._classed(at, choice))])
        self._times.append(self._clock())
        self.next_pending()

    def _classed(self, at: int, choice: Choice) -> Row | None:
        """The row in the class that the choice puts it into, None for any other choice."""
        if choice.action != "class":
            return None
        row, digest = self._row(at), self.deck.key(at).digest
        return None if row is None else with_parent(msgspec.structs.replace(row, label=choice.value), digest)

    def edit(self, row: Row) -> Sequence[str]:
        """Put a row in the place of the one that the reviewer is at, or say what stands in its way."""
        at, item = self.at, self.item
        if at is None or item is None or item.row is None:
            return ["this item can't be edited"]
        faults = self.deck.faults(item, row)
        if not faults:
            self._write([self._event(at, "edit", row=with_parent(row, item.key.digest))])
            self._times.append(self._clock())
            self.next_pending()
        return faults

    def note(self, text: str) -> None:
        """Put a note to the item that the reviewer is at; what was decided of it stays."""
        at = self.at
        if at is None:
            return
        held = self._held.get(at)
        if held is None:
            self._write([self._event(at, NOTE, note=text)])
        else:
            self._write([self._event(at, held.action, value=held.value, note=text)])

    def decide_all(self, choice: Choice) -> int:
        """Decide every item that is shown, in one step that one undo takes back; returns how many."""
        first = self._history.last + 1
        events = [
            self._event(
                int(at),
                choice.action,
                value=choice.value,
                row=self._classed(int(at), choice),
                seq=first + number,
                bulk=first,
            )
            for number, at in enumerate(self._view)
        ]
        if events:
            self._write(events)
        return len(events)

    def undo(self) -> bool:
        """Take the last step back and go to where it was made."""
        return self._again(UNDO, self._history.done, lambda change: change.before)

    def redo(self) -> bool:
        """Do the step again that was taken back last."""
        return self._again(REDO, self._history.undone, lambda change: change.after)

    def _again(self, action: str, steps: Sequence[Step], wanted: Callable[[Change], Event | None]) -> bool:
        if not steps:
            return False
        step, first = steps[-1], self._history.last + 1
        events = []
        for number, change in enumerate(step):
            held = wanted(change)
            at, to = self._positions[change.key], 0 if held is None else held.seq
            bulk = first if len(step) > 1 else 0
            events.append(self._event(at, action, seq=first + number, bulk=bulk, to=to, key=change.key))
        self._write(events)
        self._go_to_position(self._positions[step[0].key])
        return True

    def move(self, steps: int) -> None:
        """Go so many items forward or back, as far as there are any."""
        self.cursor = max(0, min(self.cursor + steps, len(self._view) - 1))

    def go_to(self, place: int) -> None:
        """Go to a place of the view, counted from 0."""
        self.cursor = max(0, min(place, len(self._view) - 1))

    def next_pending(self) -> bool:
        """Go to the next item that is still to be decided, after the last one to the first; False where none is."""
        return self._go_first([range(self.cursor + 1, len(self._view)), range(self.cursor)])

    def previous_pending(self) -> bool:
        """Go back to the last item before this one that is still to be decided."""
        return self._go_first([range(self.cursor - 1, -1, -1), range(len(self._view) - 1, self.cursor, -1)])

    def _go_first(self, ranges: Sequence[range]) -> bool:
        for places in ranges:
            if isinstance(self._view, range):  # everything in the deck's order: a search in bytes takes no time
                low, high = (places.start, places.stop) if places.step > 0 else (places.stop + 1, places.start + 1)
                found = (self._open.find if places.step > 0 else self._open.rfind)(1, max(low, 0), max(high, 0))
            else:
                found = next((place for place in places if self._open[self._view[place]]), -1)
            if found >= 0:
                self.cursor = found
                return True
        return False

    def next_alike(self, name: str = "cluster") -> bool:
        """Go to the next item with the same value of a field; False where there is no other."""
        at = self.at
        wanted = None if at is None else self.deck.field(at, name)
        if wanted is None:
            return False
        for place in (*range(self.cursor + 1, len(self._view)), *range(self.cursor)):
            if self.deck.field(int(self._view[place]), name) == wanted:
                self.cursor = place
                return True
        return False

    def matching(self, written: str) -> Sequence[int]:
        """The positions that a filter leaves, in the deck's order. Raises: ConfigError for a filter that is none."""
        found = parse_filter(written)
        if not found.terms:
            return range(len(self.deck))
        places = range(len(self.deck))
        chosen = [at for at in places if found.matches(partial(self._field, at), partial(self.deck.text, at))]
        return np.array(chosen, np.int64)  # type: ignore[return-value]  # an array is read like any sequence of numbers

    def show(self, positions: Sequence[int], written: str) -> None:
        """Show these positions and say by which filter; the reviewer stays at the item where it is among them."""
        before = self.at
        self._view, self._places, self.filter = positions, None, written
        self._sort_view()
        self._stay_at(before)

    def sort_by(self, name: str) -> None:
        """Sort what is shown. Raises: ConfigError where the items have no such measure."""
        if name not in SORTS or (name != "order" and self.deck.measure(name) is None):
            known = [one for one in SORTS if one == "order" or self.deck.measure(one) is not None]
            raise ConfigError(f"these items can't be sorted by {name!r}", fix=f"sort by {', '.join(known)}")
        before = self.at
        self.sort = name
        self._sort_view()
        self._stay_at(before)

    def _sort_view(self) -> None:
        self._places = None
        if self.sort == "order":
            if not isinstance(self._view, range):
                self._view = np.sort(np.asarray(self._view))  # type: ignore[assignment]  # as in `matching`
                if len(self._view) == len(self.deck):
                    self._view = range(len(self.deck))
            return
        measure = self.deck.measure(self.sort)
        assert measure is not None
        positions = np.asarray(self._view, np.int64)
        # The largest first; what has no number comes last.
        self._view = positions[np.argsort(-measure[positions], kind="stable")]  # type: ignore[assignment]  # as above

    def _field(self, at: int, name: str) -> str | None:
        held = self._held.get(at)
        if name == DECISION:
            return PENDING if self._open[at] or held is None else held.action
        if name == "note":
            return held.note if held is not None and held.note else None
        return self.deck.field(at, name)

    def samples(self, count: int) -> list[str]:
        """The headings of some of the items that are shown, spread over all of them."""
        places = np.linspace(0, len(self._view) - 1, min(count, len(self._view))).astype(int)
        return [self.deck.heading(self.position(int(place))) for place in places]

    def decided(self) -> Iterator[tuple[int, Event]]:
        """The positions that are decided, and how."""
        return ((at, event) for at, event in sorted(self._held.items()) if not self._open[at])

    def _event(
        self,
        at: int,
        action: str,
        *,
        key: Key | None = None,
        note: str | None = None,
        row: Row | None = None,
        **more: Any,
    ) -> Event:
        named, held = key or self.deck.key(at), self._held.get(at)
        self._positions[named] = at
        decides = action not in (UNDO, REDO)
        if held is not None and decides:  # what was noted and edited stays with the item
            note = held.note if note is None else note
            row = held.row if row is None and action != "drop" else row
        rows = self.deck.item(at).rows if self.deck.kind.pairs and decides else ()
        return Event(
            seq=more.pop("seq", self._history.last + 1),
            at=self._stamp(),
            reviewer=self.reviewer,
            item=named.item,
            digest=named.digest,
            place=named.place,
            action=action,
            note=note or "",
            row=row,
            rows=list(rows),
            **more,
        )

    def _write(self, events: Sequence[Event]) -> None:
        self._record(events)
        for change in self._history.take(events):
            at = self._positions[change.key]
            self._hold(at, change.after or self._earlier.get(at))

    def _hold(self, at: int, event: Event | None) -> None:
        before = self._held.pop(at, None)
        for one, step in ((before, -1), (event, 1)):
            if one is not None and one.decides:
                self.done += step
                name = one.value if one.action in _CLASSES else one.action
                self.counts[name] += step
                if not self.counts[name]:
                    del self.counts[name]
        if event is not None:
            self._held[at] = event
        self._open[at] = event is None or not event.decides

    def _stay_at(self, position: int | None) -> None:
        self.cursor = 0
        if position is not None and (place := self._place(position)) is not None:
            self.cursor = place

    def _go_to_position(self, position: int) -> None:
        place = self._place(position)
        if place is None:  # what was filtered out is shown again: a reviewer has to see what was taken back
            self.show(range(len(self.deck)), "")
            place = self._place(position)
        self.cursor = place or 0

    def _place(self, position: int) -> int | None:
        if isinstance(self._view, range):
            return position
        if self._places is None:
            self._places = {int(at): place for place, at in enumerate(self._view)}
        return self._places.get(position)
