"""Some of the rows that were read, by number: entries are made where one is asked for, columns for all at once."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, copy_parts
from curate.core.rows.row_text import KEY_BYTES, first_of_equal
from curate.core.seeding import stable_seeds
from curate.recipe.recipe import Dedup, Split
from curate.table.byte_store import Spool
from curate.table.class_of_row import NO_VALUE
from curate.table.row_ref import Entry

if TYPE_CHECKING:
    from curate.table.row_table import Batch, Settings, Sketched, SpooledSketches

# The columns that every row has, and those of the ids, which are spooled in one with another's behind one's.
_COLUMNS = (
    "keys", "lengths", "ranks", "numbers", "offsets", "raw_starts", "raw_sizes", "line_starts", "line_sizes", "sides",
    "orders", "sound",
)  # fmt: skip
_OF_IDS, _IDS = ("id_starts", "id_sizes"), "ids"
_ENTRIES = 4096  # that are made at once
_FOUND = 1 << 16  # rows among which ids are looked for at once
_FEW_BYTES = 1 << 20  # of a column; a small dataset touches no disk but for its output


class Whole:
    """All rows of a reading, numbered through, and the batches that hold them.

    Ids and columns are spooled: of millions of rows, what is in memory is what is asked for.
    """

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.batches: list[Batch] = []
        self._firsts: list[int] = []
        self._rows = 0
        self._spools = {name: Spool(_FEW_BYTES) for name in (*_COLUMNS, *_OF_IDS, _IDS)}
        self._kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = dict.fromkeys(_OF_IDS, (np.dtype(np.int64), ()))
        self._columns: dict[str, NDArray[Any]] = {}
        self._handed_out = 0
        self._firsts_by_name: NDArray[np.int64] | None = None

    def add(self, batch: "Batch") -> "Chosen":
        """The rows of a batch, as the last ones."""
        first, found = self._rows, batch.give_ids()
        if found:
            self.batches.append(batch)
            self._firsts.append(first)
            self._rows += len(found)
            data, sizes = encoded(found)
            start = self._spools[_IDS].add(data)
            parts = {"id_starts": np.cumsum(sizes) - sizes + start, "id_sizes": sizes}
            for name in _COLUMNS:
                parts[name] = getattr(batch.columns, name)
                self._kinds[name] = (parts[name].dtype, parts[name].shape[1:])
                setattr(batch.columns, name, parts[name][:0].copy())  # a part would keep the whole in memory
            for name, part in parts.items():
                self._spools[name].add(part.tobytes())
            self._columns.clear()
            self._firsts_by_name = None
        return Chosen(self, np.arange(first, self._rows))

    def all(self) -> "Chosen":
        """Every row."""
        return Chosen(self, np.arange(self._rows))

    def column(self, name: str) -> NDArray[Any]:
        """One of the columns (`batches.Columns`, or `id_starts` and `id_sizes`) through all batches."""
        if name not in self._columns:
            kind, shape = self._kinds.get(name, (np.dtype(np.float64), (1,)))
            self._columns[name] = self._spools[name].view().view(kind).reshape(-1, *shape)
        return self._columns[name]

    def first_names(self) -> NDArray[np.int64] | None:
        """For each row the number of the first that has its id; None where all ids differ."""
        if self._firsts_by_name is None:
            # Equal ids have equal draws: where those differ, no id has to be looked at.
            draws, self._firsts_by_name = np.sort(self.column("orders")), np.empty(0, np.int64)
            if (draws[1:] == draws[:-1]).any():
                self._firsts_by_name = first_of_equal(self.column("orders"), lambda at: names(Chosen(self, at)))
        return self._firsts_by_name if self._firsts_by_name.size else None

    def ids(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The ids of these rows in UTF-8, one behind the other, and where each ends."""
        sizes = self.column("id_sizes")[numbers]
        ends = np.cumsum(sizes)
        found = np.empty(int(ends[-1]) if ends.size else 0, np.uint8)
        if _IDS not in self._columns:
            self._columns[_IDS] = self._spools[_IDS].view()
        call(copy_parts, self._columns[_IDS], self.column("id_starts")[numbers], sizes, ends - sizes, found)
        return found, ends

    def _hand_out(self) -> None:
        """Give the batches their parts of the columns back, where rows were added since."""
        if self._handed_out == self._rows:
            return
        for name in _COLUMNS:
            whole = self.column(name)
            for batch, first, last in zip(self.batches, self._firsts, [*self._firsts[1:], self._rows], strict=True):
                setattr(batch.columns, name, whole[first:last])
        self._handed_out = self._rows

    def places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which batch holds each row, and its number there."""
        self._hand_out()
        batches = self.batches_of(numbers)
        return batches, numbers - np.array(self._firsts, np.int64)[batches]

    def batches_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which batch holds each row."""
        return np.searchsorted(np.array(self._firsts[1:], np.int64), numbers, "right")

    def entry(self, number: int) -> Entry:
        """The entry of a row."""
        self._hand_out()
        batch = bisect_right(self._firsts, number) - 1
        start, size = int(self.column("id_starts")[number]), int(self.column("id_sizes")[number])
        name = self._spools[_IDS].read(start, size).decode("utf-8", "surrogatepass")
        return Entry.within(self.batches[batch], number - self._firsts[batch], name)

    def labels(self) -> tuple[NDArray[np.int32], list[str]]:
        """The number of each row's label, and the labels by number."""
        numbers = np.zeros(self._rows, np.int32)
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
        for first in range(0, len(self), _ENTRIES):
            some = self[first : first + _ENTRIES]
            batches, places = self.whole.places(some.numbers)
            held = map(self.whole.batches.__getitem__, batches.tolist())
            yield from map(Entry.within, held, places.tolist(), names(some))

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
    parts = [part for part in parts if part] or parts[:1]
    if len(parts) == 1:
        return parts[0]
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
        found, ends = entries.whole.ids(entries.numbers)
        data, places = found.tobytes(), ends.tolist()
        if not data.isascii():
            return [data[first:last].decode("utf-8", "surrogatepass") for first, last in pairwise([0, *places])]
        text = data.decode("ascii")
        return [text[first:last] for first, last in pairwise([0, *places])]
    return [entry.id for entry in entries]


def encoded(found: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    """The ids in UTF-8, one behind the other, and how many bytes each has."""
    whole = "".join(found)
    if whole.isascii():
        return whole.encode(), np.array(list(map(len, found)), np.int64)
    each = [name.encode("utf-8", "surrogatepass") for name in found]
    return b"".join(each), np.array(list(map(len, each)), np.int64)


def find(entries: Sequence[Entry], wanted: Collection[str]) -> NDArray[np.int64]:
    """The positions of the entries with these ids."""
    if not wanted:
        return np.empty(0, np.int64)
    if not isinstance(entries, Chosen):
        return np.flatnonzero([entry.id in wanted for entry in entries])
    # The draws of ids are as good as the ids themselves to rule most rows out.
    settings = entries.whole.settings
    draws = np.sort(draw_names(settings.split, settings.seed, list(wanted)))
    parts = [np.empty(0, np.int64)]
    for first in range(0, len(entries), _FOUND):
        own = entries[first : first + _FOUND].column("orders")
        at = np.flatnonzero(draws[np.minimum(np.searchsorted(draws, own), draws.size - 1)] == own) + first
        parts.append(at[[name in wanted for name in names(take(entries, at))]])
    return np.concatenate(parts)


def spots(entries: Sequence[Entry]) -> list[tuple[str, int, int]]:
    """Path, line and offset of each."""
    if not isinstance(entries, Chosen):
        return [(place.path, place.line, place.offset) for place in (entry.place for entry in entries)]
    paths, of, lines = lines_of(entries)
    return list(zip([paths[at] for at in of.tolist()], lines.tolist(), entries.column("offsets").tolist(), strict=True))


def lines_of(entries: Sequence[Entry]) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Paths, which of them is each entry's, and its line there."""
    if not isinstance(entries, Chosen):
        places = [entry.place for entry in entries]
        known: dict[str, int] = {}
        of_path = [known.setdefault(place.path, len(known)) for place in places]
        return list(known), np.array(of_path, np.int64), np.array([place.line for place in places], np.int64)
    batches = entries.whole.batches
    of = entries.whole.batches_of(entries.numbers)
    lines = entries.column("numbers") + np.array([batch.first_line for batch in batches], np.int64)[of]
    return [batch.path for batch in batches], of, lines


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
        found = np.array(of_batch, np.int32)[entries.whole.batches_of(entries.numbers)]
    else:
        numbers = {}
        found = np.array([numbers.setdefault(entry.source, len(numbers)) for entry in entries], np.int32)
    return {name: at for name, number in numbers.items() if (at := np.flatnonzero(found == number)).size}


def lengths(entries: Sequence[Entry], part: int) -> NDArray[np.int64]:
    """The characters of each entry's messages (`part` 0), or of its conversation (1)."""
    if isinstance(entries, Chosen):
        return cast("NDArray[np.int64]", entries.whole.column("lengths")[:, part][entries.numbers])
    return np.array([entry.held.lengths(entry.at)[part] for entry in entries], np.int64)


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
    of = entries.whole.batches_of(entries.numbers).tolist()
    starts, found = entries.column("raw_starts").tolist(), sizes(entries).tolist()
    return [stores[at].read(start, size) for at, start, size in zip(of, starts, found, strict=True)]


def sound(entries: Sequence[Entry]) -> NDArray[np.bool_]:
    """Of which entries it was found while reading that validation has nothing to say."""
    if isinstance(entries, Chosen):
        return entries.column("sound")
    return np.array([entry.held.sound(entry.at) for entry in entries], np.bool_)


def labelled(entries: Sequence[Entry]) -> bool:
    """Has any of the rows a label?"""
    known = not isinstance(entries, Chosen) or any(batch.columns.labels for batch in entries.whole.batches)
    return known and any(entry.label is not None for entry in entries)


def synthesized(entries: Sequence[Entry]) -> bool:
    """Does any of the rows say which seed it was made from?"""
    if isinstance(entries, Chosen) and not any(batch.columns.synthesized for batch in entries.whole.batches):
        return False
    return any(entry.held.synthesized(entry.at) for entry in entries)


def keys(entries: Sequence[Entry], part: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Keys of shape (n, KEY_BYTES) that `curate.core.rows.row_keys` made of rows, and which of them is each entry's.

    `part` says which of a row's keys; None where some lack it.
    """
    first, last = part * KEY_BYTES, (part + 1) * KEY_BYTES
    if isinstance(entries, Chosen):
        found = entries.whole.column("keys")[:, first:last]
        return (found, entries.numbers) if found.shape[1] else None
    made = [entry.keys[first:last] for entry in entries]
    joined = np.frombuffer(b"".join(made), np.uint8)
    return (joined.reshape(-1, KEY_BYTES), np.arange(len(made))) if all(made) else None


def known_ranks(entries: Sequence[Entry], settings: Dedup) -> list[NDArray[np.float64]] | None:
    """The numbers that `curate.dedup.which_stays` goes by, one after the other, where they were worked out while reading."""
    if isinstance(entries, Chosen) and entries.whole.settings.dedup == settings:
        return [column[entries.numbers] for column in entries.whole.column("ranks").T]
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
    data, sizes = encoded(found)
    draws = stable_seeds(seed if split.seed is None else split.seed, data, np.cumsum(sizes).tolist())
    return np.frombuffer(draws, "<u8")


def first_names(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """For each entry the position of the first that has its id."""
    if isinstance(entries, Chosen):
        firsts = entries.whole.first_names()
        numbers = entries.numbers if firsts is None else firsts[entries.numbers]
        there = np.zeros(entries.whole.column("orders").size, np.bool_)
        there[numbers] = True
        if there.sum() == numbers.size:
            return np.arange(numbers.size)
        _, at, of = np.unique(numbers, return_index=True, return_inverse=True)
        found: NDArray[np.int64] = at[of]
        return found
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(entry.id, at) for at, entry in enumerate(entries)], np.int64)
