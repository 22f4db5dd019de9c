"""Shingles and MinHash band keys of texts as machine code, for so many that compiling pays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U32, U64, Number, compiled
from curate.dedup.shingle_words import CHARACTER, mixed_word, numbers_of, write_words

ROLL = U64(0x9E3779B97F4A7C15)  # an odd multiplier keeps every bit of the words that roll through
EMPTY = U32(0xFFFFFFFF)


@compiled
def mixed(value: Number) -> Number:
    """MurmurHash3's finalizer for 32 bits: every input bit reaches every output bit."""
    h = U32(value)
    h = U32(h ^ (h >> U32(16)))
    h = U32(h * U32(0x85EBCA6B))
    h = U32(h ^ (h >> U32(13)))
    h = U32(h * U32(0xC2B2AE35))
    return U32(h ^ (h >> U32(16)))


@compiled
def _minima(
    shingles: NDArray[np.uint32], a: NDArray[np.uint32], b: NDArray[np.uint32], found: NDArray[np.uint32]
) -> None:
    for k in range(found.size):  # a slice takes longer to compile
        found[k] = EMPTY
    fours = shingles.size // 4 * 4
    # Four at a time: reading and writing what was found would cost as much as the arithmetic.
    for index in range(0, fours, 4):
        h, i = mixed(shingles[index]), mixed(shingles[index + 1])
        j, m = mixed(shingles[index + 2]), mixed(shingles[index + 3])
        for k in range(a.size):
            first = min(U32(U32(a[k] * h) + b[k]), U32(U32(a[k] * i) + b[k]))
            second = min(U32(U32(a[k] * j) + b[k]), U32(U32(a[k] * m) + b[k]))
            found[k] = min(found[k], first, second)
    for index in range(fours, shingles.size):
        h = mixed(shingles[index])
        for k in range(a.size):
            found[k] = min(found[k], U32(U32(a[k] * h) + b[k]))


@compiled
def minima_of_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    found: NDArray[np.uint32],
) -> None:
    """Write the minima of each set of shingles, (texts, permutations), to `found`."""
    for text in range(starts.size - 1):
        _minima(shingles[starts[text] : starts[text + 1]], a, b, found[text])


@compiled
def _write_keys(found: NDArray[np.uint32], rows: int, keys: NDArray[np.uint32], band_keys: NDArray[np.uint32]) -> None:
    """One key for each band, from minima that lie row after row; `keys` is room to work in."""
    bands = band_keys.size
    for band in range(bands):
        keys[band] = U32(band)
    for row in range(rows):
        for band in range(bands):
            keys[band] = mixed(U32(keys[band] * U32(31)) ^ found[row * bands + band])
    for band in range(bands):
        band_keys[band] = keys[band]


@compiled
def _write_shingles(words: NDArray[np.uint64], ngram: int, out: NDArray[np.uint32]) -> Number:
    """Write the hashes of the runs of `ngram` words to `out` and return how many there are."""
    count = max(0, words.size - ngram + 1)
    for at in range(count):
        run = words[at]
        for more in range(1, ngram):
            run = U64(run * ROLL + words[at + more])
        out[at] = U32((run ^ (run >> U64(29))) * ROLL >> U64(32))
    return count


@compiled
def _write_whole(parts: NDArray[Any], out: NDArray[np.uint32]) -> int:
    """Write two hashes of all the parts in their order, and return how many hashes these are."""
    whole = U64(0)
    for at in range(parts.size):
        whole = mixed_word(whole, U64(parts[at]))
    out[0], out[1] = U32(whole), U32(whole >> U64(32))
    return 2


@compiled
def sketch_texts(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    data: NDArray[np.uint8],
    eights: NDArray[np.uint64],
    ends: NDArray[np.int64],
    cut: tuple[int, bool],
    runs: tuple[int, int],
    scenes: NDArray[np.uint64],
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    rows: int,
    band_keys: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Write the band keys of texts, (bands, texts).

    Returns room that starts with their shingles, and their counts. `cut` is as in `write_words`; `runs` are the words
    of a shingle, and how many shingles a text has at least: one with fewer has two made of all its words.
    """
    # The shingles are what is written to the room, the rest of it anything: to copy takes long to compile.
    # A word takes a byte and a separator at least, so half the bytes bound the words; where characters are words, all.
    bytes_per_word = 1 if cut[0] == CHARACTER else 2
    ngram, fewest = runs
    room = np.empty(data.size // bytes_per_word + 2 * ends.size, U32)
    counts = np.empty(ends.size, np.int64)
    longest, at = 0, 0
    for text in range(ends.size):
        longest = max(longest, ends[text] - at)
        at = ends[text]
    words = np.empty(longest // bytes_per_word + 1, U64)
    found, keys = np.empty(a.size, U32), np.empty(band_keys.shape[0], U32)
    used, at = 0, 0
    for text in range(ends.size):
        size = write_words(data, eights, at, ends[text], cut, words)
        count = _write_shingles(words[:size], ngram, room[used:])
        if size and count < fewest:
            count = _write_whole(words[:size], room[used:])
        if scenes[text]:
            scene = U32(scenes[text] ^ (scenes[text] >> U64(32)))
            for shingle in range(used, used + count):
                room[shingle] ^= scene
        if keys.size:
            _minima(room[used : used + count], a, b, found)
            _write_keys(found, rows, keys, band_keys[:, text])
        counts[text] = count
        used += count
        at = ends[text]
    return room, counts


@compiled
def number_texts(
    data: NDArray[np.uint8], eights: NDArray[np.uint64], ends: NDArray[np.int64], numbers: NDArray[np.uint64]
) -> None:
    """Write what stands for the numbers in each text."""
    at = 0
    for text in range(ends.size):
        numbers[text] = numbers_of(data, eights, at, ends[text])
        at = ends[text]


@compiled
def key_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    rows: int,
    band_keys: NDArray[np.uint32],
) -> None:
    """Write the band keys of sets of shingles, shape (bands, texts)."""
    found, keys = np.empty(a.size, U32), np.empty(band_keys.shape[0], U32)
    for text in range(starts.size - 1):
        _minima(shingles[starts[text] : starts[text + 1]], a, b, found)
        _write_keys(found, rows, keys, band_keys[:, text])


@compiled
def frequent(
    shingles: NDArray[np.uint32], starts: NDArray[np.int64], scenes: NDArray[np.uint64], most: int
) -> NDArray[np.uint32]:
    """The shingles, as they are without a scene, that more than `most` texts have; each at least once."""
    size = 16
    while size < 2 * shingles.size:
        size *= 2
    # A hash table with one slot per different shingle: in how many texts it is, and the last of them.
    values, texts, last = np.empty(size, U32), np.zeros(size, np.int32), np.full(size, -1, np.int32)
    found, count = np.empty(shingles.size, U32), 0
    for text in range(starts.size - 1):
        scene = U32(scenes[text] ^ (scenes[text] >> U64(32)))
        for at in range(starts[text], starts[text + 1]):
            shingle = U32(shingles[at] ^ scene)
            slot = np.int64(mixed(shingle)) & (size - 1)
            while last[slot] >= 0 and values[slot] != shingle:
                slot = (slot + 1) & (size - 1)
            values[slot] = shingle
            if last[slot] != text:
                texts[slot] += 1
                if texts[slot] == most + 1:
                    found[count] = shingle
                    count += 1
            last[slot] = text
    return found[:count].copy()


@compiled
def taken_out(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    scenes: NDArray[np.uint64],
    aside: NDArray[np.uint32],
    fewest: int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingles without those `aside` (sorted, as they are without a scene), and where those of each text start.

    A text with fewer left than `fewest` has two made of all that it had.
    """
    kept, ends, used = np.empty(shingles.size + 2 * scenes.size, U32), np.zeros(starts.size, np.int64), 0
    for text in range(starts.size - 1):
        scene = U32(scenes[text] ^ (scenes[text] >> U64(32)))
        first = used
        for at in range(starts[text], starts[text + 1]):
            shingle = U32(shingles[at] ^ scene)
            low, high = 0, aside.size
            while low < high:
                middle = (low + high) // 2
                if aside[middle] < shingle:
                    low = middle + 1
                else:
                    high = middle
            if low == aside.size or aside[low] != shingle:
                kept[used] = shingles[at]
                used += 1
        own = shingles[starts[text] : starts[text + 1]]
        if used - first < min(fewest, own.size):
            used = first + _write_whole(own, kept[first:])
        ends[text + 1] = used
    return kept[:used].copy(), ends
