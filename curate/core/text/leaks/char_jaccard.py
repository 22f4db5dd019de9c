"""Near duplicates of items: exact Jaccard similarity of sets of character runs, without comparing every pair.

Two sets as similar as the threshold asks must share one of their rarest members: each set's first
|S| - ceil(t |S|) + 1 in one common order. So an index of those members finds every such pair and few others.
Source: Bayardo, Ma, Srikant, Scaling Up All Pairs Similarity Search, 2007 (prefix filtering).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, compiled
from curate.core.text.leaks.hashed_words import BASE, U32, U64, U64s, Words, stirred

I32, I64 = np.int32, np.int64
_CHARACTER = U32(0x7FFFFFFF)  # without the mark of characters that are words by themselves
_SPACE = U32(0x20)
_FIRST_ROOM = 1024


@dataclass(frozen=True, slots=True)
class Index:
    """Items as sets of character runs, each run numbered from the rarest on.

    `sets[firsts[i] : firsts[i + 1]]` are the sorted runs of item i; `slots` and `numbers` find a run's number by its
    hash; `holders[held[r] : held[r + 1]]` are the items that have run r among their rarest.
    """

    ngram: int
    threshold: float
    sets: NDArray[np.int32]
    firsts: NDArray[np.int64]
    slots: U64s
    numbers: NDArray[np.int32]
    holders: NDArray[np.int32]
    held: NDArray[np.int64]

    def find(
        self, words: Words, masked: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """The texts and items that are similar enough, and how similar: text, item, Jaccard similarity."""
        runs, firsts = _runs(words, masked, self.ngram)
        room = _FIRST_ROOM
        while True:
            texts, items, similarity = np.empty(room, I64), np.empty(room, I64), np.empty(room, np.float64)
            used = call(
                _compare, runs, firsts, self.threshold, self.sets, self.firsts, self.slots, self.numbers, self.holders,
                self.held, texts, items, similarity,
            )  # fmt: skip
            if used <= room:
                return texts[:used], items[:used], similarity[:used]
            room = used


def index_items(words: Words, masked: NDArray[np.bool_], ngram: int, threshold: float) -> Index:
    """The items whose texts `words` holds, without their template."""
    runs, starts = _runs(words, masked, ngram)
    owners = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    keys, inverse = np.unique(runs, return_inverse=True)
    span = max(keys.size, 1)
    members = _distinct(owners * span + inverse) % span
    rarity = np.argsort(np.bincount(members, minlength=keys.size), kind="stable")
    number = np.empty(keys.size, I32)
    number[rarity] = np.arange(keys.size, dtype=I32)
    pairs = _distinct(owners * span + number[inverse])
    owner, member = pairs // span, (pairs % span).astype(I32)
    sizes = np.bincount(owner, minlength=starts.size - 1)
    firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(I64)
    position = np.arange(owner.size) - firsts[owner]
    rare = position < sizes[owner] - np.ceil(threshold * sizes[owner] - 1e-9) + 1
    by_member = np.argsort(member[rare], kind="stable")
    held = np.concatenate([[0], np.cumsum(np.bincount(member[rare], minlength=keys.size))]).astype(I64)
    size = 1 << max(4, int(keys.size * 3).bit_length())
    slots, numbers = np.zeros(size, U64), np.full(size, -1, I32)
    call(_fill, keys, number, slots, numbers)
    return Index(ngram, threshold, member, firsts, slots, numbers, owner[rare][by_member].astype(I32), held)


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct values, sorted. np.unique hashes, which takes ten times as long for millions."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if ordered.size else ordered


def _runs(words: Words, masked: NDArray[np.bool_], ngram: int) -> tuple[U64s, NDArray[np.int64]]:
    """The hashes of all runs of `ngram` characters in each text's words beside template, and where each text starts."""
    # A space before each word: words of scripts without spaces bring none of their own.
    out = np.empty(words.folded.size + words.hashes.size, U64)
    firsts = np.empty(words.starts.size, I64)
    used = call(
        _hash_runs, words.folded, words.starts, words.begins, words.ends, words.firsts, masked, ngram, out, firsts
    )
    return out[:used], firsts


@compiled
def _hash_runs(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    folded: NDArray[np.uint32],
    starts: NDArray[np.int64],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    word_firsts: NDArray[np.int64],
    masked: NDArray[np.bool_],
    ngram: int,
    out: U64s,
    firsts: NDArray[np.int64],
) -> int:
    used = 0
    ring = np.zeros(ngram, np.uint32)
    for text in range(starts.size - 1):
        firsts[text] = used
        seen = 0
        for word in range(word_firsts[text], word_firsts[text + 1]):
            if masked[word]:
                continue
            first = starts[text] + begins[word]
            last = starts[text] + ends[word]
            # One space between words: before each word but the first.
            for at in range(first - 1 if seen else first, last):
                code = _SPACE if at < first else folded[at] & _CHARACTER
                if code <= U32(1):
                    continue
                ring[seen % ngram] = code
                seen += 1
                if seen >= ngram:
                    run = U64(0)
                    for back in range(ngram):
                        run = U64(run * BASE + U64(ring[(seen + back) % ngram]))
                    out[used] = stirred(run)
                    used += 1
    firsts[starts.size - 1] = used
    return used


@compiled
def _fill(keys: U64s, number: NDArray[np.int32], slots: U64s, numbers: NDArray[np.int32]) -> None:
    last = U64(slots.size - 1)
    for at in range(keys.size):
        slot = stirred(keys[at]) & last
        while numbers[slot] >= 0:
            slot = (slot + U64(1)) & last
        slots[slot], numbers[slot] = keys[at], number[at]


@compiled
def _set_of(
    runs: U64s, slots: U64s, numbers: NDArray[np.int32], seen: U64s, known: NDArray[np.int32]
) -> tuple[int, int]:
    """Write the numbers of a text's runs that items have, sorted, to `known`; return their count and the set's size."""
    seen[:] = U64(0)
    last_seen, last = U64(seen.size - 1), U64(slots.size - 1)
    size, count = 0, 0
    for at in range(runs.size):
        run = runs[at] | U64(1)  # 0 marks an empty place
        place = (run >> U64(20)) & last_seen
        while seen[place] != U64(0) and seen[place] != run:
            place = (place + U64(1)) & last_seen
        if seen[place] == run:
            continue
        seen[place] = run
        size += 1
        slot = stirred(runs[at]) & last
        while numbers[slot] >= 0 and slots[slot] != runs[at]:
            slot = (slot + U64(1)) & last
        if numbers[slot] >= 0:
            known[count] = numbers[slot]
            count += 1
    known[:count].sort()
    return count, size


@compiled
def _compare(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    runs: U64s,
    run_firsts: NDArray[np.int64],
    threshold: float,
    sets: NDArray[np.int32],
    firsts: NDArray[np.int64],
    slots: U64s,
    numbers: NDArray[np.int32],
    holders: NDArray[np.int32],
    held: NDArray[np.int64],
    texts: NDArray[np.int64],
    items: NDArray[np.int64],
    similarity: NDArray[np.float64],
) -> int:
    used = 0
    compared_with = np.full(firsts.size, -1, np.int64)
    known = np.empty(runs.size, np.int32)
    room = np.empty(0, np.uint64)
    for text in range(run_firsts.size - 1):
        mine = runs[run_firsts[text] : run_firsts[text + 1]]
        need = 16
        while need < 2 * mine.size:
            need *= 2
        if room.size < need:
            room = np.empty(need, np.uint64)
        count, size = _set_of(mine, slots, numbers, room[:need], known)
        # Runs that no item has are the rarest of all, so they come first among the text's own rarest.
        rare = size - np.int64(np.ceil(threshold * size - 1e-9)) + 1 - (size - count)
        for index in range(min(rare, np.int64(count))):
            run = known[index]
            for holder in range(held[run], held[run + 1]):
                item = holders[holder]
                if compared_with[item] == text:
                    continue
                compared_with[item] = text
                other = firsts[item + 1] - firsts[item]
                if min(size, other) < threshold * max(size, other) - 1e-9:
                    continue
                both = _shared(known[:count], sets[firsts[item] : firsts[item + 1]])
                found = both / (size + other - both)
                if found >= threshold:
                    if used < texts.size:
                        texts[used], items[used], similarity[used] = text, item, found
                    used += 1
    return used


@compiled
def _shared(a: NDArray[np.int32], b: NDArray[np.int32]) -> int:
    i, j, both = 0, 0, 0
    while i < a.size and j < b.size:
        x, y = a[i], b[j]
        both += x == y
        i += x <= y
        j += y <= x
    return both
