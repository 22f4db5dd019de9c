"""Some of the rows that were read, by number: entries are made where one is asked for, columns for all at once."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from curate.config import Dedup, Split
from curate.core.normalize import KEY_BYTES
from curate.entries import Entry
from curate.fields import NO_VALUE

if TYPE_CHECKING:
    from curate.batches import Batch, Settings, Sketched, SpooledSketches

_LINES = 4096  # rows whose places are looked up at once


class Whole:
    """All rows of a reading, numbered through: their ids, and the batches that hold them."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.ids: list[str] = []
        self.batches: list[Batch] = []
        self._firsts: list[int] = []
        self._columns: dict[str, NDArray[Any]] = {}

    def add(self, batch: "Batch") -> "Chosen":
        """The rows of a batch, as the last ones."""
        first = len(self.ids)
        self.ids += batch.give_ids()
        if len(self.ids) > first:
            self.batches.append(batch)
            self._firsts.append(first)
            self._columns.clear()
        return Chosen(self, np.arange(first, len(self.ids)))

    def all(self) -> "Chosen":
        """Every row."""
        return Chosen(self, np.arange(len(self.ids)))

    def column(self, name: str) -> NDArray[Any]:
        """One of the columns (`batches.Columns`) through all batches, which from then on hold parts of it."""
        if name not in self._columns:
            parts = [getattr(batch.columns, name) for batch in self.batches]
            whole = np.concatenate(parts) if parts else np.empty((0, 1))
            for batch, first, part in zip(self.batches, self._firsts, parts, strict=True):
                setattr(batch.columns, name, whole[first : first + len(part)])
            self._columns[name] = whole
        return self._columns[name]

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


def _identity(entry: Entry) -> tuple[int, int]:
    # An entry may be made anew each time; what holds its content stays.
    return id(entry.held), entry.at


def names(entries: Sequence[Entry]) -> list[str]:
    """The id of each."""
    if isinstance(entries, Chosen):
        return list(map(entries.whole.ids.__getitem__, entries.numbers.tolist()))
    return [entry.id for entry in entries]


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
        found = entries.column("keys")[:, first:last]
        return np.ascontiguousarray(found) if found.shape[1] or not len(entries) else None
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


def first_of_each(found: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each key the position of the first that is equal to it. Shape of the keys: (n, KEY_BYTES)."""
    firsts = np.arange(len(found))
    heads = found.reshape(-1, KEY_BYTES).view(np.uint64)[:, 0]
    order = np.argsort(heads, kind="stable")
    same = np.flatnonzero(heads[order[1:]] == heads[order[:-1]])
    seen: dict[bytes, int] = {}
    for at in np.unique(order[np.concatenate([same, same + 1])]).tolist():
        firsts[at] = seen.setdefault(found[at].tobytes(), at)
    return firsts


def first_names(found: Sequence[str]) -> NDArray[np.int64]:
    """For each name the position of the first that is equal to it."""
    if len(set(found)) == len(found):
        return np.arange(len(found))
    seen: dict[str, int] = {}
    return np.fromiter((seen.setdefault(name, at) for at, name in enumerate(found)), np.int64, len(found))


def lines(entries: Sequence[Entry]) -> Iterator[bytes]:
    """Each row as a dataset's line."""
    if not isinstance(entries, Chosen):
        yield from (entry.line for entry in entries)
        return
    stores = [store for batch in entries.whole.batches for store in batch.stores()]
    for first in range(0, len(entries), _LINES):
        some = entries[first : first + _LINES]
        sizes = some.column("line_sizes")
        verbatim = sizes == 0
        starts = np.where(verbatim, some.column("raw_starts"), some.column("line_starts"))
        sizes = np.where(verbatim, some.column("raw_sizes"), sizes)
        places = 2 * entries.whole.places(some.numbers)[0] + verbatim
        for place, start, size in zip(places.tolist(), starts.tolist(), sizes.tolist(), strict=True):
            yield stores[place].read(start, size)
