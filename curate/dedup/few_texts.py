"""Sketches and clusters of few texts by Python: compiling machine code for them would take seconds.

The results are those of `minhash_kernels` and `cluster_kernels`; this is also the plainest form of what they do.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from curate.core.union_find import UnionFind
from curate.table.text_buffer import TextBuffer

U32 = np.uint32
_FEW_BYTES = 1 << 18  # Python sketches so many bytes in the time in which machine code is loaded
_ALL = (1 << 64) - 1
_START, _FACTOR, _ROLL = 0xCBF29CE484222325, 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15
_WORD, _CHARACTER = 0, 2
# Up to eight letters of ASCII, else one character: whitespace, a lone byte, or several bytes of UTF-8.
_PIECES = re.compile(rb"[\x21-\x7f]{1,8}|[\xc2-\xdf].|[\xe0-\xef]..|[\xf0-\xff]...|.", re.DOTALL)
_CHARACTERS = re.compile(rb"[\xc2-\xdf].|[\xe0-\xef]..|[\xf0-\xff]...|.", re.DOTALL)
_SPACES = frozenset(
    char.encode() for char in "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
) | frozenset(bytes([code]) for code in range(0x21))
# First and last of the characters, as numbers of their bytes, of scripts that write without spaces.
_BY_THEMSELVES = (
    (0xE0B880, 0xE0FFFF), (0xE18080, 0xE1829F), (0xE19E80, 0xE19FBF), (0xE38180, 0xE383BF), (0xE39080, 0xE9BFBF),
    (0xEFA480, 0xEFABBF), (0xF0A08080, 0xF0B3BFBF),
)  # fmt: skip
_seen = 0


def are_few(size: int) -> bool:
    """Are texts of so many bytes, and all that this was asked of before, too few for compiling to pay?"""
    global _seen  # noqa: PLW0603 - what was compiled is the process's too
    _seen += size
    return _seen <= _FEW_BYTES


def sketch(
    texts: TextBuffer, unit: int, ngram: int, drawn: tuple[NDArray[np.uint32], NDArray[np.uint32]], rows: int,
    band_keys: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:  # fmt: skip
    """Write the texts' band keys, shape (bands, n), and return their shingles and how many each has."""
    data, first, found = texts.data.tobytes(), 0, []
    for number, last in enumerate(texts.ends.tolist()):
        words = list(_words(data[first:last], unit))
        shingles = np.array([_shingle(words[at : at + ngram]) for at in range(len(words) - ngram + 1)], U32)
        if band_keys.shape[0]:
            band_keys[:, number] = _keys(shingles, drawn, rows)
        found.append(shingles)
        first = last
    counts = np.array([shingles.size for shingles in found], np.int64)
    return np.concatenate([np.empty(0, U32), *found]), counts


def _words(text: bytes, unit: int) -> Iterator[int]:
    """The words of a text as 64-bit hashes."""
    word = _START
    for piece in (_CHARACTERS if unit == _CHARACTER else _PIECES).findall(text):
        if piece in _SPACES:
            if word != _START:
                yield word
            word = _START
            continue
        number = int.from_bytes(piece.lower(), "little" if piece.isascii() else "big")
        is_word = unit == _CHARACTER or (unit != _WORD and any(low <= number <= high for low, high in _BY_THEMSELVES))
        if (piece.isascii() and unit != _CHARACTER) or not is_word:
            word = _mix(word, number)
            continue
        if word != _START:
            yield word
        yield _mix(_START, number)
        word = _START
    if word != _START:
        yield word


def _mix(word: int, piece: int) -> int:
    mixed = ((word ^ piece) * _FACTOR) & _ALL
    return mixed ^ (mixed >> 32)


def _shingle(words: list[int]) -> int:
    run = words[0]
    for word in words[1:]:
        run = (run * _ROLL + word) & _ALL
    return (((run ^ (run >> 29)) * _ROLL) & _ALL) >> 32


def _keys(
    shingles: NDArray[np.uint32], drawn: tuple[NDArray[np.uint32], NDArray[np.uint32]], rows: int
) -> NDArray[np.uint32]:
    """A text's band keys, from the minima of its shingles under each permutation."""
    a, b = drawn
    hashes = _mixed(shingles)
    minima = (a[:, None] * hashes + b[:, None]).min(1, initial=0xFFFFFFFF).reshape(rows, -1)
    keys = np.arange(minima.shape[1], dtype=U32)
    for row in minima:
        keys = _mixed((keys * U32(31)) ^ row)
    return keys


def _mixed(h: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """MurmurHash3's finalizer for 32 bits."""
    h = (h ^ (h >> U32(16))) * U32(0x85EBCA6B)
    h = (h ^ (h >> U32(13))) * U32(0xC2B2AE35)
    return h ^ (h >> U32(16))


def choose(
    sets: list[frozenset[int]], keys: NDArray[np.uint32], held: NDArray[np.bool_], earlier: int, threshold: float,
    out: tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]],
) -> None:  # fmt: skip
    """Decide on texts in their order: each goes where it is similar to a kept one that it shares a band with.

    Args:
        sets: each text's shingles; texts without any are compared with none.
        keys: the texts' band keys, shape (bands, n).
        held: texts that stay whatever they are similar to, shape (n,).
        earlier: how many texts at the start are of another dataset.
        threshold: the Jaccard similarity from which texts are similar.
        out: for each text the one kept instead, the similarity to it, and its component; written here.
    """
    kept_instead, similarity, components = out
    buckets: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    joined = UnionFind[int]()
    for text, own in enumerate(sets):
        if not own:
            continue
        places = list(enumerate(keys[:, text].tolist()))
        best, most, must_go = -1, 0.0, False
        for other in {one for place in places for one in buckets[place]} if text >= earlier else ():
            both = len(own & sets[other])
            found = both / (len(own) + len(sets[other]) - both)
            if found >= threshold:
                must_go |= other < earlier
                joined.join(text, other)
                if found > most or (found == most and other < best):
                    best, most = other, found
        if best >= 0 and (must_go or not held[text]):
            kept_instead[text], similarity[text] = best, most
            continue
        for place in places:
            buckets[place].append(text)
    components[:] = [joined.smallest(text) for text in range(len(sets))]
