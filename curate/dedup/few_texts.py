"""Sketches and clusters of few texts by Python: compiling machine code for them would take seconds.

The results are those of `minhash_kernels` and `cluster_kernels`; this is also the plainest form of what they do.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from curate.core.union_find import UnionFind
from curate.dedup.word_marks import CLOSING, OPENING
from curate.table.text_buffer import TextBuffer

U32 = np.uint32
_FEW_BYTES = 1 << 18  # Python sketches so many bytes in the time in which machine code is loaded
_ALL = (1 << 64) - 1
_START, _FACTOR, _ROLL = 0xCBF29CE484222325, 0xD6E8FEB86659FD93, 0x9E3779B97F4A7C15
_WORD, _CHARACTER = 0, 2
# Up to eight letters of ASCII, else one character: a lone byte, or several bytes of UTF-8.
_PIECES = re.compile(rb"[\x00-\x7f]{1,8}|[\xc2-\xdf].|[\xe0-\xef]..|[\xf0-\xff]...|.", re.DOTALL)
_CHARACTERS = re.compile(rb"[\xc2-\xdf].|[\xe0-\xef]..|[\xf0-\xff]...|.", re.DOTALL)
_SPACES = frozenset(
    char.encode() for char in "\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
) | frozenset(bytes([code]) for code in range(0x21))
_BETWEEN = re.compile(b"(?:%b)+" % b"|".join(map(re.escape, sorted(_SPACES))))


def _marks(plain: bytes, wide: tuple[int, ...]) -> bytes:
    return b"|".join(
        [b"[%b]" % re.escape(plain), *(mark.to_bytes((mark.bit_length() + 7) // 8, "big") for mark in wide)]
    )


_OPENING, _CLOSING = _marks(b"\"'`([{", OPENING), _marks(b"\"'`.,;:!?)]}", CLOSING)
_BARE = re.compile(rb"(?:%b)*(.*?)(?:%b)*" % (_OPENING, _CLOSING), re.DOTALL)
_BRACKETS = re.compile(rb"[()\[\]{}]")
_DIGIT = rb"(?:[0-9]|\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|\xe0\xa5[\xa6-\xaf]|\xef\xbc[\x90-\x99])"
# Digits behind a letter are a part of a name.
_NUMBERS = re.compile(rb"[A-Za-z_]%b+|(?:(?<![^\x00-\x20$(,:=\[])-)?%b+(?:[,./:]%b+)*" % (_DIGIT, _DIGIT, _DIGIT))
# First and last of the characters, as numbers of their bytes, of scripts that write without spaces.
_BY_THEMSELVES = (
    (0xE0B880, 0xE0FFFF), (0xE18080, 0xE1829F), (0xE19E80, 0xE19FBF), (0xE38180, 0xE383BF), (0xE39080, 0xE9BFBF),
    (0xEFA480, 0xEFABBF), (0xF0A08080, 0xF0B3BFBF),
)  # fmt: skip
ENOUGH = 1024
"""A text that is similar to so many with other answers makes no further ones go."""
MANY = 64
"""A text that is similar to so many kept ones ties no further ones: those are similar to some of these."""
_seen = 0


def are_few(size: int) -> bool:
    """Are texts of so many bytes, and all that this was asked of before, too few for compiling to pay?"""
    global _seen  # noqa: PLW0603 - what was compiled is the process's too
    _seen += size
    return _seen <= _FEW_BYTES


def sketch(
    texts: TextBuffer, cut: tuple[int, bool], runs: tuple[int, int], scenes: NDArray[np.uint64],
    drawn: tuple[NDArray[np.uint32], NDArray[np.uint32]], rows: int, out: tuple[NDArray[np.uint32], NDArray[np.uint64]],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:  # fmt: skip
    """Write to `out` what `minhash_kernels.sketch_texts` does; the texts' shingles, and how many each has."""
    data, first, found = texts.data.tobytes(), 0, []
    band_keys, numbers = out
    ngram, fewest = runs
    for number, last in enumerate(texts.ends.tolist()):
        text = data[first:last]
        words = [word for _, word in _words(text, *cut)]
        own = shingles(words, ngram)
        numbers[number] = sum(map(_number, _NUMBERS.findall(text))) & _ALL
        if words and own.size < fewest:
            whole = functools.reduce(_mix, words, 0)
            own = np.array([whole & 0xFFFFFFFF, whole >> 32], U32)
        scene = int(scenes[number])
        own ^= U32((scene ^ (scene >> 32)) & 0xFFFFFFFF)
        if band_keys.shape[0]:
            band_keys[:, number] = _keys(own, drawn, rows)
        found.append(own)
        first = last
    counts = np.array([own.size for own in found], np.int64)
    return np.concatenate([np.empty(0, U32), *found]), counts


def spelled_words(text: str, unit: int) -> list[tuple[str, int]]:
    """The words of a text as they are written, and as 64-bit hashes."""
    data = (text if text.isascii() else text.lower()).encode("utf-8", "surrogatepass")
    return [(word.decode("utf-8", "replace"), number) for word, number in _words(data, unit, with_marks=False)]


def shingles(words: list[int], ngram: int) -> NDArray[np.uint32]:
    """The hashes of the runs of `ngram` words."""
    return np.array([_shingle(words[at : at + ngram]) for at in range(len(words) - ngram + 1)], U32)


def _words(text: bytes, unit: int, with_marks: bool) -> Iterator[tuple[bytes, int]]:
    """The words of a text as they are written, and as 64-bit hashes."""
    for run in _BETWEEN.split(text):
        for word in _parts(run, unit):
            bare = word if with_marks or unit == _CHARACTER else _without_marks(word)
            if bare:
                yield word, functools.reduce(_mix, map(_piece, _PIECES.findall(bare)), _START)


def _parts(run: bytes, unit: int) -> Iterator[bytes]:
    """What stands between blanks, cut where characters are words by themselves."""
    if unit == _WORD or (unit != _CHARACTER and run.isascii()):
        if run:
            yield run
        return
    word = b""
    for char in _CHARACTERS.findall(run):
        number = int.from_bytes(char, "big")
        if unit != _CHARACTER and not any(low <= number <= high for low, high in _BY_THEMSELVES):
            word += char
            continue
        if word:
            yield word
        yield char
        word = b""
    if word:
        yield word


def _without_marks(word: bytes) -> bytes:
    found = _BARE.fullmatch(word)
    assert found is not None
    return word if not found[1] and _BRACKETS.search(word) else found[1]


def _piece(piece: bytes) -> int:
    return int.from_bytes(piece.lower(), "little" if piece.isascii() else "big")


def _number(written: bytes) -> int:
    if written[:1].isalpha() or written[:1] == b"_":
        return 0
    digits = (
        0x30 + (char[-1] - 0xA6 if char[0] == 0xE0 else char[-1] & 0x0F) if len(char) > 1 else char[0]
        for char in _CHARACTERS.findall(written)
    )
    return functools.reduce(_mix, digits, _START)


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


def choose(  # noqa: PLR0913, PLR0917 - as machine code has it
    sets: list[frozenset[int]], keys: NDArray[np.uint32], texts: list[int], earlier: int, kinds: NDArray[np.uint64],
    threshold: float, answers: tuple[NDArray[np.uint64], dict[int, frozenset[int]]],
    out: tuple[NDArray[np.int32], NDArray[np.float64], UnionFind[int]],
) -> set[int]:  # fmt: skip
    """Decide on texts in their order: each goes where it repeats a kept one that it shares a band and its kind with.

    Args:
        sets: each text's shingles.
        keys: the texts' band keys, shape (bands, n).
        texts: those that are decided on.
        earlier: how many texts at the start are of another dataset; where there are any, only they are repeated.
        kinds: texts of different kinds repeat not each other.
        threshold: the Jaccard similarity from which texts, and answers, are similar.
        answers: the number of each answer, and the shingles of those that are known; the answers of those that repeat
            each other are equal or similar.
        out: for each text the one kept instead, the similarity to it, and what is joined; written here.

    Returns: the texts whose answers' shingles are not known and should be.
    """
    kept_instead, similarity, joined = out
    numbers, known = answers
    asked = set[int]()
    buckets: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
    for text in texts:
        places = [(*place, int(kinds[text])) for place in enumerate(keys[:, text].tolist())]
        best, most, others = -1, 0.0, 0
        for other in {one for place in places for one in buckets[place]} if text >= earlier else ():
            found = _jaccard(sets[text], sets[other])
            if found < threshold:
                continue
            if numbers[text] != numbers[other]:
                if text not in known or other not in known:
                    asked |= {text, other}
                if _jaccard(known.get(text, frozenset()), known.get(other, frozenset())) < threshold:
                    others += 1
                    continue
            joined.join(text, other)
            if found > most or (found == most and other < best):
                best, most = other, found
        if best >= 0:
            kept_instead[text], similarity[text] = best, most
        elif others < ENOUGH and (not earlier or text < earlier):
            for place in places:
                buckets[place].append(text)
    return asked


def tie(
    sets: list[frozenset[int]], keys: NDArray[np.uint32], texts: list[int], threshold: float,
    numbers: NDArray[np.uint64], out: tuple[NDArray[np.int32], NDArray[np.float64], UnionFind[int]],
) -> None:  # fmt: skip
    """Join the texts that are similar, all of them kept; write the most similar earlier one of each to `out`.

    One with the same numbers goes before the others. A text that is similar to `MANY` is not looked at for later ones:
    those are similar to some of these.
    """
    partner, closeness, joined = out
    buckets: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for text in texts:
        places = list(enumerate(keys[:, text].tolist()))
        found = []
        for other in {one for place in places for one in buckets[place]}:
            alike = _jaccard(sets[text], sets[other])
            if alike >= threshold:
                found.append((numbers[text] == numbers[other], alike, -other))
                joined.join(text, other)
        if found:
            _, closeness[text], best = max(found)
            partner[text] = -best
        if len(found) < MANY:
            for place in places:
                buckets[place].append(text)


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0
