"""Runs of words that texts share with items: whole items wherever they stand, and long runs of their own words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, compiled
from curate.core.text.leaks.hashed_words import BASE, U64, U64s, Words, power, run_hashes, stirred

I64 = np.int64
_FILTER_BITS = 21  # 256 KB stay in the cache, and of the runs that no item has they let one in thirty through
_FIRST_ROOM = 4096

# key, words before the anchor, length, hash of the whole, item, first word in the item
_Pattern = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Patterns:
    """What to look for: pattern i is the run of `lengths[i]` words of `items[i]` that starts at its word `places[i]`.

    It is found by an anchor inside it, `before[i]` words from its start and as long as one of `sizes`; `keys` are the
    anchors' hashes, sorted, `hashes` those of the patterns, and `powers` BASE to their lengths. `slots` and `firsts`
    are a hash table from a key to its first pattern, `likely` a bitmap of the keys.
    """

    keys: U64s
    before: NDArray[np.int64]
    lengths: NDArray[np.int64]
    powers: U64s
    hashes: U64s
    items: NDArray[np.int64]
    places: NDArray[np.int64]
    whole: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    slots: U64s
    firsts: NDArray[np.int64]
    likely: NDArray[np.uint8]

    def find(self, words: Words, masked: NDArray[np.bool_]) -> "Hits":
        """Every place where a pattern stands in these texts."""
        room = _FIRST_ROOM
        while True:
            found = np.empty((3, room), I64)
            alone = np.empty(room, np.bool_)
            used = call(
                _find, words.hashes, words.firsts, masked, self.sizes, self.slots, self.firsts, self.likely, self.keys,
                self.before, self.lengths, self.powers, self.hashes, found, alone,
            )  # fmt: skip
            if used <= room:
                return Hits(found[0, :used], found[1, :used], found[2, :used], alone[:used])
            room = used


@dataclass(frozen=True, slots=True)
class Hits:
    """Where patterns were found: text, first word in it, pattern, and whether the text has no other own words."""

    texts: NDArray[np.int64]
    places: NDArray[np.int64]
    patterns: NDArray[np.int64]
    alone: NDArray[np.bool_]


def make_patterns(words: Words, masked: NDArray[np.bool_], ngram: int, short_ok: Sequence[bool]) -> Patterns:
    """The patterns of the items whose texts `words` holds: each whole, and each run of `ngram` words beside template.

    What is left of an item without its template is looked for as if it were the item, where it is short. Items with
    fewer than `ngram` words, and those of nothing but template, are looked for only where `short_ok` says so.
    """
    runs = [run_hashes(words.hashes[words.of(item)], ngram) for item in range(len(short_ok))]
    keys, counts = np.unique(np.concatenate([np.empty(0, U64), *runs]), return_counts=True)
    shared = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    found: list[tuple[_Pattern, bool]] = []
    for item, item_runs in enumerate(runs):
        here = words.of(item)
        hashes, own = words.hashes[here], ~masked[here]
        found += [((key, 0, ngram, key, item, at), False) for at, key in _clean_runs(item_runs, own, ngram)]
        if hashes.size >= ngram and (short_ok[item] or own.any()):
            anchor = int(np.argmin([shared[key] for key in item_runs.tolist()]))
            whole = int(run_hashes(hashes, hashes.size)[0])
            found.append(((int(item_runs[anchor]), anchor, hashes.size, whole, item, 0), True))
        elif hashes.size and short_ok[item]:
            found.append((_short(hashes, item, 0), True))
        rest = np.flatnonzero(own)
        if short_ok[item] and 0 < rest.size < min(ngram, hashes.size) and rest[-1] - rest[0] + 1 == rest.size:
            found.append((_short(hashes[rest], item, int(rest[0])), True))
    return _patterns(found, ngram)


def _patterns(found: list[tuple[_Pattern, bool]], ngram: int) -> Patterns:
    """The patterns, sorted by key, with their hash table."""
    keys = np.array([pattern[0] for pattern, _ in found], U64)
    found = [found[at] for at in np.argsort(keys, kind="stable")]
    columns = list(zip(*(pattern for pattern, _ in found), strict=True)) or [()] * 6
    keys, lengths = np.array(columns[0], U64), np.array(columns[2], I64)
    size = 1 << max(4, int(keys.size * 3).bit_length())
    slots, firsts = np.zeros(size, U64), np.full(size, -1, I64)
    likely = np.zeros(1 << (_FILTER_BITS - 3), np.uint8)
    call(_fill, keys, slots, firsts, likely)
    powers = {length: power(length) for length in set(columns[2])}
    return Patterns(
        keys=keys,
        before=np.array(columns[1], I64),
        lengths=lengths,
        powers=np.array([powers[length] for length in columns[2]], U64),
        hashes=np.array(columns[3], U64),
        items=np.array(columns[4], I64),
        places=np.array(columns[5], I64),
        whole=np.array([whole for _, whole in found], np.bool_),
        sizes=np.unique(np.minimum(lengths, ngram)),
        slots=slots,
        firsts=firsts,
        likely=likely,
    )


def _clean_runs(runs: U64s, own: NDArray[np.bool_], ngram: int) -> Iterator[tuple[int, int]]:
    """The runs that no template touches, each with its first word."""
    if runs.size:
        clean = np.convolve(own, np.ones(ngram, I64), "valid") == ngram
        for at in np.flatnonzero(clean):
            yield int(at), int(runs[at])


def _short(hashes: U64s, item: int, place: int) -> _Pattern:
    whole = int(run_hashes(hashes, hashes.size)[0])
    return whole, 0, hashes.size, whole, item, place


@compiled
def _fill(keys: U64s, slots: U64s, firsts: NDArray[np.int64], likely: NDArray[np.uint8]) -> None:
    """A hash table from each key to its first pattern, and a bitmap of the keys' low bits."""
    last = U64(slots.size - 1)
    bits = U64(likely.size * 8 - 1)
    for at in range(keys.size):
        if at and keys[at] == keys[at - 1]:
            continue
        mixed = stirred(keys[at])
        bit = (mixed >> U64(40)) & bits
        likely[bit >> U64(3)] |= np.uint8(1 << (bit & U64(7)))
        slot = mixed & last
        while firsts[slot] >= 0:
            slot = (slot + U64(1)) & last
        slots[slot], firsts[slot] = keys[at], at


@compiled
def _find(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    hashes: U64s,
    word_firsts: NDArray[np.int64],
    masked: NDArray[np.bool_],
    sizes: NDArray[np.int64],
    slots: U64s,
    firsts: NDArray[np.int64],
    likely: NDArray[np.uint8],
    keys: U64s,
    before: NDArray[np.int64],
    lengths: NDArray[np.int64],
    powers: U64s,
    wholes: U64s,
    found: NDArray[np.int64],
    alone: NDArray[np.bool_],
) -> int:
    """Write every hit that there is room for and return how many there are."""
    used = 0
    last = U64(slots.size - 1)
    bits = U64(likely.size * 8 - 1)
    longest = 0
    for text in range(word_firsts.size - 1):
        longest = max(longest, word_firsts[text + 1] - word_firsts[text])
    prefix = np.empty(longest + 1, U64)
    own = np.zeros(longest + 1, np.int64)
    size_powers = np.ones(sizes.size, U64)
    for index in range(sizes.size):
        for _ in range(sizes[index]):
            size_powers[index] = U64(size_powers[index] * BASE)
    for text in range(word_firsts.size - 1):
        first = word_firsts[text]
        count = word_firsts[text + 1] - first
        prefix[0] = U64(0)
        for at in range(count):
            prefix[at + 1] = U64(prefix[at] * BASE + hashes[first + at])
            own[at + 1] = own[at] + (not masked[first + at])
        for index in range(sizes.size):
            size, grown = sizes[index], size_powers[index]
            for at in range(count - size + 1):
                key = U64(prefix[at + size] - prefix[at] * grown)
                mixed = stirred(key)
                bit = (mixed >> U64(40)) & bits
                if not (likely[bit >> U64(3)] >> np.uint8(bit & U64(7))) & np.uint8(1):
                    continue
                slot = mixed & last
                while firsts[slot] >= 0 and slots[slot] != key:
                    slot = (slot + U64(1)) & last
                pattern = firsts[slot]
                while 0 <= pattern < keys.size and keys[pattern] == key:
                    start = at - before[pattern]
                    end = start + lengths[pattern]
                    if start >= 0 and end <= count and min(lengths[pattern], size) == size:
                        whole = U64(prefix[end] - prefix[start] * powers[pattern])
                        if whole == wholes[pattern]:
                            if used < found.shape[1]:
                                found[0, used], found[1, used], found[2, used] = text, start, pattern
                                alone[used] = own[count] - (own[end] - own[start]) == 0
                            used += 1
                    pattern += 1
    return used
