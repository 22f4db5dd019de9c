"""Some of the rows that were read, by number: entries are made where one is asked for, columns for all at once."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from curate.blake2b import digests
from curate.config import Dedup, Split
from curate.core.machine_code import call, copy_parts
from curate.core.normalize import KEY_BYTES
from curate.core.seeding import stable_prefix
from curate.entries import Entry
from curate.fields import NO_VALUE
from curate.room import Room

if TYPE_CHECKING:
    from curate.batches import Batch, Settings, Sketched, SpooledSketches

# The columns that every row has, all that is in memory of most rows beside their ids.
_MAPPED = (
    "keys", "lengths", "ranks", "numbers", "offsets", "raw_starts", "raw_sizes", "line_starts", "line_sizes", "sides",
    "orders",
)  # fmt: skip
_LINES = 4096  # entries whose lines are joined at once
# Lines that are written at once: enough that a thread rarely has to wait for the interpreter's lock between them.
_BLOCK_BYTES = 8 << 20


class Whole:
    """All rows of a reading, numbered through: their ids, and the batches that hold them."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.ids: list[str] = []
        self.batches: list[Batch] = []
        self._firsts: list[int] = []
        self._columns: dict[str, NDArray[Any]] = {}
        self._names: NDArray[np.object_] | None = None
        self._room = Room()

    def add(self, batch: "Batch") -> "Chosen":
        """The rows of a batch, as the last ones."""
        first = len(self.ids)
        self.ids += batch.give_ids()
        if len(self.ids) > first:
            self.batches.append(batch)
            self._firsts.append(first)
            self._columns.clear()
        return Chosen(self, np.arange(first, len(self.ids)))

    def names(self) -> NDArray[np.object_]:
        """The ids of all rows, as an array: many of them are taken out of it at once."""
        if self._names is None or self._names.size != len(self.ids):
            self._names = np.array(self.ids, np.object_)
        return self._names

    def all(self) -> "Chosen":
        """Every row."""
        return Chosen(self, np.arange(len(self.ids)))

    def column(self, name: str) -> NDArray[Any]:
        """One of the columns (`batches.Columns`) through all batches, which from then on hold parts of it."""
        if name not in self._columns:
            parts = [getattr(batch.columns, name) for batch in self.batches]
            shape = (len(self.ids), *parts[0].shape[1:]) if parts else (0, 1)
            whole = self._room.empty(shape, parts[0].dtype if parts else np.float64)
            if parts:
                np.concatenate(parts, out=whole)
            for batch, first, part in zip(self.batches, self._firsts, parts, strict=True):
                setattr(batch.columns, name, whole[first : first + len(part)])
            self._columns[name] = whole
        return self._columns[name]

    def settle(self, room: Room) -> None:
        """Let the room decide where columns are: those that it has no memory for go into temporary files."""
        self._room = room
        for name in _MAPPED if self.batches else ():
            self.column(name)
        room.settle()

    def places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which batch holds each row, and its number there."""
        firsts = np.array(self._firsts, np.int64)
        batches = np.searchsorted(firsts, numbers, "right") - 1
        return batches, numbers - firsts[batches]

    def entry(self, number: int) -> Entry:
        """The entry of a row."""
        batch = bisect_right(self._firsts, number) - 1
        return Entry.within(self.batches[batch], number - self._firsts[batch], self.ids[number])

    def labels(self) -> tuple[NDArray[np.int32], list[str]]:
        """The number of each row's label, and the labels by number."""
        numbers = np.zeros(len(self.ids), np.int32)
        names = {NO_VALUE: 0}
        for batch, first in zip(self.batches, self._firsts, strict=True):
            for at, label in batch.columns.labels.items():
                numbers[first + at] = names.setdefault(label or NO_VALUE, len(names))
        return numbers, list(names)

    def sketches(self, wanted: "Sketched") -> list["SpooledSketches"] | None:
        """The sketches of all rows' texts; None where they are not those that were made while reading."""
        found = [batch.sketched(wanted) for batch in self.batches]
        return None if None in found else [one for one in found if one is not None]


class Chosen(Sequence[Entry]):
    """Rows of a reading, in any order."""

    def __init__(self, whole: Whole, numbers: NDArray[np.int64]) -> None:
        self.whole, self.numbers = whole, numbers

    def __len__(self) -> int:
        return self.numbers.size

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> "Chosen": ...
    def __getitem__(self, at: int | slice) -> "Entry | Chosen":
        if isinstance(at, slice):
            return Chosen(self.whole, self.numbers[at])
        return self.whole.entry(int(self.numbers[at]))

    def __iter__(self) -> Iterator[Entry]:
        batches, places = self.whole.places(self.numbers)
        held = map(self.whole.batches.__getitem__, batches.tolist())
        return map(Entry.within, held, places.tolist(), names(self))

    def column(self, name: str) -> NDArray[Any]:
        """One of the columns (`batches.Columns`) of these rows."""
        found: NDArray[Any] = self.whole.column(name)[self.numbers]
        return found


def take(entries: Sequence[Entry], positions: NDArray[np.int64] | NDArray[np.bool_]) -> Sequence[Entry]:
    """The entries at these positions, or those that a mask chooses."""
    if isinstance(entries, Chosen):
        return Chosen(entries.whole, entries.numbers[positions])
    chosen = np.flatnonzero(positions) if positions.dtype == np.bool_ else positions
    return [entries[at] for at in chosen.tolist()]


def together(parts: Sequence[Sequence[Entry]]) -> Sequence[Entry]:
    """The entries of all parts, one part after the other."""
    chosen = [part for part in parts if isinstance(part, Chosen)]
    if chosen and len(chosen) == len(parts) and all(part.whole is chosen[0].whole for part in chosen):
        return Chosen(chosen[0].whole, np.concatenate([part.numbers for part in chosen]))
    return [entry for part in parts for entry in part]


def left_out(entries: Sequence[Entry], others: Sequence[Entry]) -> NDArray[np.int64]:
    """The positions of the entries that are not among the others."""
    if isinstance(entries, Chosen) and isinstance(others, Chosen) and entries.whole is others.whole:
        return np.flatnonzero(~np.isin(entries.numbers, others.numbers))
    there = set(map(_identity, others))
    return np.flatnonzero([_identity(entry) not in there for entry in entries])


def same(entries: Sequence[Entry], others: Sequence[Entry]) -> bool:
    """Are these the same rows in the same order?"""
    if isinstance(entries, Chosen) and isinstance(others, Chosen) and entries.whole is others.whole:
        return np.array_equal(entries.numbers, others.numbers)
    return list(map(_identity, entries)) == list(map(_identity, others))


def positions(entries: Sequence[Entry], others: Sequence[Entry]) -> NDArray[np.int64]:
    """Where each of the others stands among the entries, -1 where it doesn't."""
    if isinstance(entries, Chosen) and isinstance(others, Chosen) and entries.whole is others.whole:
        order = np.argsort(entries.numbers, kind="stable")
        found = np.searchsorted(entries.numbers[order], others.numbers)
        at = order[np.minimum(found, order.size - 1)] if order.size else np.full(found.size, -1)
        return np.where(order.size and entries.numbers[at] == others.numbers, at, -1)
    places = {_identity(entry): at for at, entry in enumerate(entries)}
    return np.array([places.get(_identity(entry), -1) for entry in others], np.int64)


def _identity(entry: Entry) -> tuple[int, int]:
    # An entry may be made anew each time; what holds its content stays.
    return id(entry.held), entry.at


def names(entries: Sequence[Entry]) -> list[str]:
    """The id of each."""
    if isinstance(entries, Chosen):
        found: list[str] = entries.whole.names()[entries.numbers].tolist()
        return found
    return [entry.id for entry in entries]


def find(entries: Sequence[Entry], wanted: Collection[str]) -> NDArray[np.int64]:
    """The positions of the entries with these ids."""
    if not wanted:
        return np.empty(0, np.int64)
    if not isinstance(entries, Chosen):
        return np.flatnonzero([entry.id in wanted for entry in entries])
    # The draws of ids are as good as the ids themselves to rule most rows out.
    settings = entries.whole.settings
    draws = np.sort(draw_names(settings.split, settings.seed, list(wanted)))
    own = entries.column("orders")
    at = np.flatnonzero(draws[np.minimum(np.searchsorted(draws, own), draws.size - 1)] == own)
    found = names(take(entries, at))
    return at[[name in wanted for name in found]]


def spots(entries: Sequence[Entry]) -> list[tuple[str, int, int]]:
    """Path, line and offset of each."""
    if not isinstance(entries, Chosen):
        return [(place.path, place.line, place.offset) for place in (entry.place for entry in entries)]
    batches = entries.whole.batches
    of = entries.whole.places(entries.numbers)[0]
    lines = entries.column("numbers") + np.array([batch.first_line for batch in batches], np.int64)[of]
    paths = [batch.path for batch in batches]
    return list(zip([paths[at] for at in of.tolist()], lines.tolist(), entries.column("offsets").tolist(), strict=True))


def labels(entries: Sequence[Entry]) -> Counter[str]:
    """How many have which label, in the order in which the labels come."""
    if not isinstance(entries, Chosen):
        return Counter(entry.label or NO_VALUE for entry in entries)
    numbers, known = entries.whole.labels()
    found, firsts, counts = np.unique(numbers[entries.numbers], return_index=True, return_counts=True)
    return Counter({known[found[at]]: int(counts[at]) for at in np.argsort(firsts)})


def sources(entries: Sequence[Entry]) -> dict[str, NDArray[np.int64]]:
    """The positions of the entries of each source."""
    if isinstance(entries, Chosen):
        numbers: dict[str, int] = {}
        of_batch = [numbers.setdefault(batch.source, len(numbers)) for batch in entries.whole.batches]
        found = np.array(of_batch, np.int64)[entries.whole.places(entries.numbers)[0]]
    else:
        numbers = {}
        found = np.array([numbers.setdefault(entry.source, len(numbers)) for entry in entries], np.int64)
    return {name: at for name, number in numbers.items() if (at := np.flatnonzero(found == number)).size}


def lengths(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """The characters of each entry's messages and of its conversation; shape (n, 2)."""
    if isinstance(entries, Chosen):
        return entries.column("lengths")
    return np.array([entry.held.lengths(entry.at) for entry in entries], np.int64).reshape(len(entries), 2)


def sizes(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """How many bytes each entry's record has."""
    if isinstance(entries, Chosen):
        return entries.column("raw_sizes")
    return np.array([entry.held.size(entry.at) for entry in entries], np.int64)


def raws(entries: Sequence[Entry]) -> list[bytes]:
    """The bytes of each entry's record."""
    if not isinstance(entries, Chosen):
        return [entry.raw for entry in entries]
    stores = [batch.stores()[1] for batch in entries.whole.batches]
    of = entries.whole.places(entries.numbers)[0].tolist()
    starts, found = entries.column("raw_starts").tolist(), sizes(entries).tolist()
    return [stores[at].read(start, size) for at, start, size in zip(of, starts, found, strict=True)]


def sound(entries: Sequence[Entry]) -> NDArray[np.bool_]:
    """Of which entries it was found while reading that validation has nothing to say."""
    if isinstance(entries, Chosen):
        return entries.column("sound")
    return np.array([entry.held.sound(entry.at) for entry in entries], np.bool_)


def labelled(entries: Sequence[Entry]) -> bool:
    """Has any of the rows a label?"""
    if isinstance(entries, Chosen) and not any(batch.columns.labels for batch in entries.whole.batches):
        return False
    return any(entry.label is not None for entry in entries)


def synthesized(entries: Sequence[Entry]) -> bool:
    """Does any of the rows say which seed it was made from?"""
    if isinstance(entries, Chosen) and not any(batch.columns.synthesized for batch in entries.whole.batches):
        return False
    return any(entry.held.synthesized(entry.at) for entry in entries)


def keys(entries: Sequence[Entry], part: int) -> NDArray[np.uint8] | None:
    """One of the keys that `curate.keys` makes of a row, of shape (n, KEY_BYTES); None where some lack it."""
    first, last = part * KEY_BYTES, (part + 1) * KEY_BYTES
    if isinstance(entries, Chosen):
        found: NDArray[np.uint8] = entries.whole.column("keys")[:, first:last][entries.numbers]
        return found if found.shape[1] or not len(entries) else None
    made = [entry.keys[first:last] for entry in entries]
    return np.frombuffer(b"".join(made), np.uint8).reshape(len(made), KEY_BYTES) if all(made) else None


def known_ranks(entries: Sequence[Entry], settings: Dedup) -> NDArray[np.float64] | None:
    """The numbers that `curate.preference` goes by, where they were worked out while reading."""
    if isinstance(entries, Chosen) and entries.whole.settings.dedup == settings:
        return entries.column("ranks")
    return None


def known_draws(
    entries: Sequence[Entry], split: Split, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.uint64]] | None:
    """What decides the side of each, and its place there, where that was drawn while reading."""
    if not isinstance(entries, Chosen):
        return None
    known = entries.whole.settings
    return (entries.column("sides"), entries.column("orders")) if (known.split, known.seed) == (split, seed) else None


def draw_names(split: Split, seed: int, found: Sequence[str]) -> NDArray[np.uint64]:
    """For each id the number that decides its place on its side: the column `orders`."""
    whole = "".join(found)
    if whole.isascii():
        data, counts = whole.encode(), list(map(len, found))
    else:
        named = [name.encode("utf-8", "surrogatepass") for name in found]
        data, counts = b"".join(named), list(map(len, named))
    prefix = stable_prefix(seed if split.seed is None else split.seed)
    return digests(prefix, data, np.cumsum(np.array(counts, np.int64)))


def first_names(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """For each entry the position of the first that has its id."""
    if isinstance(entries, Chosen):
        # Equal ids have equal draws: where those differ, no id has to be looked at.
        draws = np.sort(entries.column("orders"))
        if (draws[1:] != draws[:-1]).all():
            return np.arange(len(entries))
    seen: dict[str, int] = {}
    return np.fromiter((seen.setdefault(name, at) for at, name in enumerate(names(entries))), np.int64, len(entries))


def blocks(entries: Sequence[Entry]) -> Iterator[memoryview]:
    """The rows as a dataset's lines with their ends, many at a time; each block holds until the next is asked for."""
    if not isinstance(entries, Chosen):
        for first in range(0, len(entries), _LINES):
            yield memoryview(
                b"".join([line for entry in entries[first : first + _LINES] for line in (entry.line, b"\n")])
            )
        return
    room = np.empty(0, np.uint8)
    ends = np.cumsum(_line_sizes(entries))
    first = 0
    while first < ends.size:
        limit = _BLOCK_BYTES + (ends[first - 1] if first else 0)
        last = max(first + 1, int(np.searchsorted(ends, limit, "right")))
        size, room = _write_lines(entries[first:last], room)
        yield room[:size].data
        first = last


def _line_sizes(entries: Chosen) -> NDArray[np.int64]:
    """How many bytes each line has with its end."""
    spooled = entries.column("line_sizes")
    found: NDArray[np.int64] = np.where(spooled, spooled, entries.column("raw_sizes")) + 1
    return found


def _write_lines(entries: Chosen, room: NDArray[np.uint8]) -> tuple[int, NDArray[np.uint8]]:
    """Write the lines into the room, or a larger one, and return how many bytes they are."""
    spooled, sizes = entries.column("line_sizes"), _line_sizes(entries)
    ends = np.cumsum(sizes)
    if ends[-1] > room.size:
        room = np.empty(int(ends[-1]), np.uint8)
    batches = entries.whole.places(entries.numbers)[0]
    lines, _ = entries.whole.batches[0].stores()
    if spooled.any():
        at = np.flatnonzero(spooled)
        call(copy_parts, lines.view(), entries.column("line_starts")[at], sizes[at], (ends - sizes)[at], room)
    verbatim = np.flatnonzero(spooled == 0)
    starts = entries.column("raw_starts")[verbatim]
    out = room.data
    given = zip(verbatim.tolist(), batches[verbatim].tolist(), starts.tolist(), ends[verbatim].tolist(), strict=True)
    for row, batch, start, end in given:
        size = int(sizes[row])
        out[end - size : end] = entries.whole.batches[batch].stores()[1].read(start, size - 1) + b"\n"
    return int(ends[-1]), room
