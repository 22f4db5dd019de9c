"""Shingles and MinHash band keys of many texts, by machine code over one buffer of UTF-8 bytes.

A text's words (`curate.dedup.shingle_words`) make shingles: runs of `ngram` words, kept as 32-bit hashes. The minima
follow datasketch 2.0's scheme `affine32`, so that datasketch serves as oracle on the same shingles.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U32, U64, Number, call, compiled
from curate.dedup.shingle_words import CHARACTER, Joined, Unit, joined, unit_number, write_words
from curate.recipe.recipe import Dedup
from curate.table.large_arrays import Room

SCHEME = "affine32"
# Texts in one piece of work: large enough that handing it over costs nothing, small enough to share out evenly.
_CHUNK_TEXTS = 2048
_SETTLE_PARTS = 16  # some 40 MB

_ROLL = U64(0x9E3779B97F4A7C15)  # an odd multiplier keeps every bit of the words that roll through
_EMPTY = U32(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Sketches:
    """Sketches of n texts: `shingles` one text after the other, `starts` (n + 1), `band_keys` of shape (bands, n).

    A text with fewer words than a shingle has none; its band keys mean nothing.
    """

    shingles: NDArray[np.uint32]
    starts: NDArray[np.int64]
    band_keys: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Banding:
    """How texts are sketched: shingles of `ngram` units, `bands` of `rows` minima each, permutations from `seed`."""

    ngram: int = 3
    bands: int = 32
    rows: int = 4
    seed: int = 0
    unit: Unit = "auto"


def banding_of(settings: Dedup, seed: int) -> Banding:
    """How the texts of a dataset are sketched; `seed` is the recipe's."""
    chosen = seed if settings.seed is None else settings.seed
    return Banding(settings.ngram, settings.bands, settings.rows, chosen % 2**32, settings.unit)


def sketch(texts: Sequence[str], banding: Banding, *, ignored_share: float | None = None, threads: int = 1) -> Sketches:
    """Shingles and band keys of every text; the same for any number of threads.

    Shingles that more than `ignored_share` of the texts have are left out, as if no text had them.
    """
    if ignored_share is None:
        return _sketch(texts, banding, threads)
    bare = _sketch(texts, Banding(banding.ngram, 0, banding.rows, banding.seed, banding.unit), threads)
    most = max(1, int(ignored_share * len(texts)))
    shingles, counts = call(_without_frequent, bare.shingles, bare.starts, most)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Sketches(shingles, starts, band_keys(shingles, starts, banding))


def joined_sketches(parts: Iterable[Sketches], texts: int, shingles: int, bands: int, room: Room) -> Sketches:
    """The sketches of all parts as one, each part taken only when its turn has come; the sums are known before."""
    starts = room.filled(texts + 1, 0, np.int64)
    made = Sketches(room.empty(shingles, U32), starts, room.empty((bands, texts), U32))
    at = used = 0
    for number, part in enumerate(parts):
        size, more = part.starts.size - 1, part.shingles.size
        made.shingles[used : used + more] = part.shingles
        made.band_keys[:, at : at + size] = part.band_keys
        made.starts[at : at + size + 1] = part.starts + used
        at, used = at + size, used + more
        if number % _SETTLE_PARTS == 0:
            room.settle()
    return made


def band_keys(shingles: NDArray[np.uint32], starts: NDArray[np.int64], banding: Banding) -> NDArray[np.uint32]:
    """The band keys of sets of shingles, of shape (bands, n)."""
    keys = np.empty((banding.bands, starts.size - 1), U32)
    call(_key_sets, shingles, starts, *_by_row(banding), banding.rows, keys)
    return keys


def permutations(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors and offsets of `count` permutations x -> a x + b mod 2^32, drawn as datasketch 2.0 draws them."""
    draw = np.random.RandomState(seed)  # the generator that the scheme is defined by
    a = draw.randint(0, 1 << 31, count, dtype=U32) * U32(2) + U32(1)
    b = draw.randint(0, 1 << 32, count, dtype=U32)
    return a, b


def signatures(shingles: NDArray[np.uint32], starts: NDArray[np.int64], count: int, seed: int) -> NDArray[np.uint32]:
    """The MinHashes of n sets of shingle hashes, of shape (n, count): what datasketch's `hashvalues` are."""
    a, b = permutations(count, seed)
    found = np.empty((starts.size - 1, count), U32)
    call(_minima_of_sets, shingles, starts, a, b, found)
    return found


def sketch_joined(texts: Joined, banding: Banding) -> Sketches:
    """The same of texts that are in one buffer."""
    keys = np.empty((banding.bands, texts.ends.size), U32)
    shingles, counts = _write_sketches(texts, banding, _by_row(banding), keys)
    return Sketches(shingles, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]), keys)


def _sketch(texts: Sequence[str], banding: Banding, threads: int) -> Sketches:
    drawn = _by_row(banding)
    keys = np.empty((banding.bands, len(texts)), U32)

    def piece(first: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        last = first + _CHUNK_TEXTS
        return _write_sketches(joined(texts[first:last]), banding, drawn, keys[:, first:last])

    firsts = range(0, len(texts), _CHUNK_TEXTS)
    if threads > 1 and len(firsts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            pieces = list(pool.map(piece, firsts))
    else:
        pieces = [piece(first) for first in firsts]
    starts = np.zeros(len(texts) + 1, np.int64)
    if pieces:
        np.cumsum(np.concatenate([counts for _, counts in pieces]), out=starts[1:])
    shingles = np.concatenate([part for part, _ in pieces]) if pieces else np.empty(0, U32)
    return Sketches(shingles, starts, keys)


def _write_sketches(
    texts: Joined, banding: Banding, drawn: tuple[NDArray[np.uint32], NDArray[np.uint32]], keys: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Write the band keys of the texts, and return their shingles and how many each has."""
    data, ends = texts
    eights, unit = data.view(np.dtype("<u8")), unit_number(banding.unit)
    room, counts = call(_sketch_texts, data, eights, ends, unit, banding.ngram, *drawn, banding.rows, keys)
    return room[: int(counts.sum())].copy(), counts


def _by_row(banding: Banding) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The permutations, first those of every band's first row: then bands lie side by side and are keyed at once."""
    shape = (banding.bands, banding.rows)
    a, b = (part.reshape(shape).T.ravel() for part in permutations(banding.bands * banding.rows, banding.seed))
    return a, b


@compiled
def _mixed(value: Number) -> Number:
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
        found[k] = _EMPTY
    fours = shingles.size // 4 * 4
    # Four at a time: reading and writing what was found would cost as much as the arithmetic.
    for index in range(0, fours, 4):
        h, i = _mixed(shingles[index]), _mixed(shingles[index + 1])
        j, m = _mixed(shingles[index + 2]), _mixed(shingles[index + 3])
        for k in range(a.size):
            first = min(U32(U32(a[k] * h) + b[k]), U32(U32(a[k] * i) + b[k]))
            second = min(U32(U32(a[k] * j) + b[k]), U32(U32(a[k] * m) + b[k]))
            found[k] = min(found[k], first, second)
    for index in range(fours, shingles.size):
        h = _mixed(shingles[index])
        for k in range(a.size):
            found[k] = min(found[k], U32(U32(a[k] * h) + b[k]))


@compiled
def _minima_of_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    found: NDArray[np.uint32],
) -> None:
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
            keys[band] = _mixed(U32(keys[band] * U32(31)) ^ found[row * bands + band])
    for band in range(bands):
        band_keys[band] = keys[band]


@compiled
def _write_shingles(words: NDArray[np.uint64], ngram: int, out: NDArray[np.uint32]) -> Number:
    """Write the hashes of the runs of `ngram` words to `out` and return how many there are."""
    count = max(0, words.size - ngram + 1)
    for at in range(count):
        run = words[at]
        for more in range(1, ngram):
            run = U64(run * _ROLL + words[at + more])
        out[at] = U32((run ^ (run >> U64(29))) * _ROLL >> U64(32))
    return count


@compiled
def _sketch_texts(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    data: NDArray[np.uint8],
    eights: NDArray[np.uint64],
    ends: NDArray[np.int64],
    unit: int,
    ngram: int,
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    rows: int,
    band_keys: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    # The shingles are what is written to the room, the rest of it anything: to copy takes long to compile.
    # A word takes a byte and a separator at least, so half the bytes bound the words; where characters are words, all.
    bytes_per_word = 1 if unit == CHARACTER else 2
    room = np.empty(data.size // bytes_per_word, U32)
    counts = np.empty(ends.size, np.int64)
    longest, at = 0, 0
    for text in range(ends.size):
        longest = max(longest, ends[text] - at)
        at = ends[text]
    words = np.empty(longest // bytes_per_word + 1, U64)
    found, keys = np.empty(a.size, U32), np.empty(band_keys.shape[0], U32)
    used, at = 0, 0
    for text in range(ends.size):
        size = write_words(data, eights, at, ends[text], unit, words)
        count = _write_shingles(words[:size], ngram, room[used:])
        if keys.size:
            _minima(room[used : used + count], a, b, found)
            _write_keys(found, rows, keys, band_keys[:, text])
        counts[text] = count
        used += count
        at = ends[text]
    return room, counts


@compiled
def _key_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    rows: int,
    band_keys: NDArray[np.uint32],
) -> None:
    found, keys = np.empty(a.size, U32), np.empty(band_keys.shape[0], U32)
    for text in range(starts.size - 1):
        _minima(shingles[starts[text] : starts[text + 1]], a, b, found)
        _write_keys(found, rows, keys, band_keys[:, text])


@compiled
def _without_frequent(
    shingles: NDArray[np.uint32], starts: NDArray[np.int64], most: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingles that at most `most` texts have, and how many each text has left."""
    size = 16
    while size < 2 * shingles.size:
        size *= 2
    # A hash table with one slot per different shingle: in how many texts it is, and the last of them.
    values, texts, last = np.empty(size, U32), np.zeros(size, np.int32), np.full(size, -1, np.int32)
    slots = np.empty(shingles.size, np.int64)
    for text in range(starts.size - 1):
        for at in range(starts[text], starts[text + 1]):
            slot = np.int64(_mixed(shingles[at])) & (size - 1)
            while last[slot] >= 0 and values[slot] != shingles[at]:
                slot = (slot + 1) & (size - 1)
            values[slot] = shingles[at]
            texts[slot] += last[slot] != text
            last[slot] = text
            slots[at] = slot
    kept, counts, used = np.empty(shingles.size, U32), np.zeros(starts.size - 1, np.int64), 0
    for text in range(starts.size - 1):
        for at in range(starts[text], starts[text + 1]):
            if texts[slots[at]] <= most:
                kept[used] = shingles[at]
                used += 1
                counts[text] += 1
    return kept[:used].copy(), counts
