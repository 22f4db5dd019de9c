"""Shingles and MinHash band keys of many texts, by machine code over one buffer of UTF-8 bytes.

A text's words are what whitespace separates, letters lowercased. A shingle is a run of `ngram` words, kept as a 32-bit
hash. The minima follow datasketch 2.0's scheme `affine32`, so that datasketch serves as oracle on the same shingles.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
U8, U32, U64 = np.uint8, np.uint32, np.uint64

# In machine code a whole number has a width; for the type checker they are all numbers.
Number: TypeAlias = Any

SCHEME = "affine32"
# Texts in one piece of work: large enough that handing it over costs nothing, small enough to share out evenly.
_CHUNK_TEXTS = 2048

_WORD_START = U64(0xCBF29CE484222325)  # FNV-1a's offset and prime for 64 bits
_WORD_PRIME = U64(0x00000100000001B3)
_ROLL = U64(0x9E3779B97F4A7C15)  # an odd multiplier keeps every bit of the words that roll through
_EMPTY = U32(0xFFFFFFFF)


def compiled(function: F) -> F:
    """`function` as machine code that runs without the interpreter's lock, cached on disk where a folder allows it."""
    try:
        made: F = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder for the cache: neither beside the package, nor in the user's home
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return made


def call(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """`kernel(*arguments)`, also where its machine code can't be saved: a full disk must not stop the work."""
    try:
        return kernel(*arguments)
    except OSError:
        return kernel(*arguments)  # numba keeps what it compiled before it saves, so this finds it in memory


@dataclass(frozen=True, slots=True)
class Sketches:
    """Sketches of n texts: `shingles` one text after the other, `starts` (n + 1), `band_keys` of shape (bands, n).

    A text with fewer words than a shingle has none; its band keys mean nothing.
    """

    shingles: NDArray[np.uint32]
    starts: NDArray[np.int64]
    band_keys: NDArray[np.uint32]


def sketch(texts: Sequence[str], *, ngram: int, bands: int, rows: int, seed: int, threads: int = 1) -> Sketches:
    """Shingles and band keys of every text; the same for any number of threads."""
    a, b = permutations(bands * rows, seed)
    band_keys = np.empty((bands, len(texts)), U32)

    def piece(first: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        data, ends = _joined(texts[first : first + _CHUNK_TEXTS])
        keys = band_keys[:, first : first + len(ends)]
        shingles, counts = call(_sketch_texts, data, ends, ngram, a, b, rows, keys)
        return shingles, counts

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
    return Sketches(shingles, starts, band_keys)


def permutations(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Factors and offsets of `count` permutations x -> a x + b mod 2^32, drawn as datasketch 2.0 draws them."""
    draw = np.random.RandomState(seed)  # the generator that the scheme is defined by
    a = draw.randint(0, 1 << 31, count, dtype=U32) * U32(2) + U32(1)
    b = draw.randint(0, 1 << 32, count, dtype=U32)
    return a, b


def minima(shingles: NDArray[np.uint32], count: int, seed: int) -> NDArray[np.uint32]:
    """The MinHash of one set of shingle hashes: what the band keys are made of."""
    a, b = permutations(count, seed)
    found = np.empty(count, U32)
    call(_minima, shingles, a, b, found)
    return found


def _joined(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts' bytes in one buffer and where each ends. ASCII is lowercased later, in passing."""
    whole = "".join(texts)
    if whole.isascii():
        data, sizes = whole.encode(), list(map(len, texts))
    else:
        parts = [text.encode() if text.isascii() else text.lower().encode("utf-8", "surrogatepass") for text in texts]
        data, sizes = b"".join(parts), list(map(len, parts))
    return np.frombuffer(data, U8), np.cumsum(np.array(sizes, np.int64))


@compiled
def _space_bytes(data: NDArray[np.uint8], at: Number, end: Number) -> Number:
    """How many bytes the whitespace at `at` takes, 0 where there is none. Control characters separate words too."""
    byte = data[at]
    if byte <= 0x20:
        return 1
    if byte < 0xC2:
        return 0
    if byte == 0xC2:  # U+0085, U+00A0
        return 2 if at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0) else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if byte == 0xE2 and second == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
        return 3 if 0x80 <= third <= 0x8A or third in (0xA8, 0xA9, 0xAF) else 0
    if (byte == 0xE2 and second == 0x81 and third == 0x9F) or (byte == 0xE3 and second == 0x80 and third == 0x80):
        return 3  # U+205F, U+3000
    return 3 if byte == 0xE1 and second == 0x9A and third == 0x80 else 0  # U+1680


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
    found[:] = _EMPTY
    for index in range(shingles.size):
        h = _mixed(shingles[index])
        for k in range(a.size):
            found[k] = min(found[k], U32(U32(a[k] * h) + b[k]))


@compiled
def _shingles(data: NDArray[np.uint8], at: Number, end: Number, ngram: int, out: NDArray[np.uint32]) -> Number:
    """Write the hashes of the shingles of the text in data[at:end] to `out` and return how many there are."""
    ring = np.zeros(ngram, U64)
    oldest = U64(1)  # the factor by which a word has grown when it leaves
    for _ in range(ngram - 1):
        oldest = U64(oldest * _ROLL)
    rolled, word = U64(0), _WORD_START
    words, count, slot = 0, 0, 0
    # Unsigned positions: for signed ones the compiler tests each access for Python's negative indices.
    here, stop = U64(at), U64(end)
    while here <= stop:
        byte = data[here] if here < stop else U8(0x20)
        width = 0 if 0x20 < byte < 0xC2 else _space_bytes(data, here, stop) if here < stop else 1
        if width == 0:
            if U8(byte - 0x41) < U8(26):
                byte = U8(byte | 0x20)
            word = U64((word ^ U64(byte)) * _WORD_PRIME)
            here += U64(1)
            continue
        here += U64(width)
        if word == _WORD_START:
            continue
        word = U64(word ^ (word >> U64(32)))
        rolled = U64((rolled - ring[slot] * oldest) * _ROLL + word)
        ring[slot] = word
        slot = slot + 1 if slot + 1 < ngram else 0
        words += 1
        word = _WORD_START
        if words >= ngram:
            out[count] = U32((rolled ^ (rolled >> U64(29))) * _ROLL >> U64(32))
            count += 1
    return count


@compiled
def _sketch_texts(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    ngram: int,
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    rows: int,
    band_keys: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    # A word takes a byte and a space at least, so half the bytes bound the shingles of each text.
    room = np.empty(data.size // 2 + ends.size, U32)
    counts = np.empty(ends.size, np.int64)
    found = np.empty(a.size, U32)
    used, at = 0, 0
    for text in range(ends.size):
        count = _shingles(data, at, ends[text], ngram, room[used:])
        _minima(room[used : used + count], a, b, found)
        for band in range(band_keys.shape[0]):
            key: Number = U32(band)
            for row in range(rows):
                key = _mixed(U32(key * U32(31)) ^ found[band * rows + row])
            band_keys[band, text] = key
        counts[text] = count
        used += count
        at = ends[text]
    return room[:used].copy(), counts
