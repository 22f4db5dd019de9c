"""Words of many texts as hashes with their places, and which of them are template.

A word is a run of letters and digits, without accents, case and apostrophes; in scripts that put no spaces between
words, each character is one. Every hash is of 64 bits: two different runs of words share one by chance once in 10^19.

Near duplicates are compared by other words, with punctuation: an item that leaked is often copied without.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, compiled

U32, U64, I32, I64 = np.uint32, np.uint64, np.int32, np.int64
U64s = NDArray[np.uint64]

BASE = U64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses no bit of the words before
_WORD_START = U64(0xCBF29CE484222325)  # FNV-1a's offset and prime for 64 bits
_WORD_PRIME = U64(0x00000100000001B3)
_PLANE = 0x10000  # characters beyond the first plane are folded by rule, those in it by table
_GAP, _SILENT, _ALONE = U32(0), U32(1), U32(1 << 31)
_SILENT_CHARACTERS = "'\u2019\u02bc\u00ad\u200c\u200d\u2060\ufeff"
# Thai to Myanmar, Khmer, kana, CJK ideographs: written without spaces between words.
_SPACELESS = ((0x0E00, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))
# At most this many counters of runs of words. Where there are more runs, each counter is a little too high: far less
# than a limit, which grows with the texts too.
_MOST_CELLS = 22  # bits


@dataclass(frozen=True, slots=True)
class Words:
    """The words of n texts, w in all: `hashes`, and `begins` and `ends` in characters of the text, of shape (w,).

    `firsts` (n + 1) says where each text's words start; `folded` and `starts` (n + 1) are the texts' characters.
    """

    hashes: U64s
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    firsts: NDArray[np.int64]
    folded: NDArray[np.uint32]
    starts: NDArray[np.int64]

    def of(self, text: int) -> slice:
        """Where the words of this text are."""
        return slice(int(self.firsts[text]), int(self.firsts[text + 1]))


def split_words(texts: Sequence[str]) -> Words:
    """The words of every text."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), U32)
    starts = np.zeros(len(texts) + 1, I64)
    np.cumsum(np.fromiter(map(len, texts), I64, len(texts)), out=starts[1:])
    folded = np.empty(codes.size, U32)
    room = codes.size  # a word takes a character at least
    hashes, begins, ends = np.empty(room, U64), np.empty(room, I32), np.empty(room, I32)
    firsts = np.empty(len(texts) + 1, I64)
    used = call(_split, codes, starts, _fold_table(), folded, hashes, begins, ends, firsts)
    return Words(hashes[:used].copy(), begins[:used].copy(), ends[:used].copy(), firsts, folded, starts)


def run_hashes(hashes: U64s, length: int) -> U64s:
    """The hash of every run of `length` words, by its first word."""
    if hashes.size < length:
        return np.empty(0, U64)
    prefix = np.empty(hashes.size + 1, U64)
    call(_prefix, hashes, 0, hashes.size, prefix)
    with np.errstate(over="ignore"):
        found: U64s = prefix[length:] - prefix[:-length] * power(length)
    return found


def power(length: int) -> np.uint64:
    """BASE to this power, modulo 2^64."""
    return U64(pow(int(BASE), length, 1 << 64))


@dataclass(frozen=True, slots=True)
class Template:
    """Which runs of `ngram` words are template: `common` says so by the low bits of a run's hash."""

    ngram: int
    common: NDArray[np.bool_]

    def mask(self, words: Words) -> NDArray[np.bool_]:
        """Whether each word belongs to a template."""
        masked = np.zeros(words.hashes.size, np.bool_)
        call(_mask, words.hashes, words.firsts, self.ngram, self.common, masked)
        return masked


def cells_for(characters: int) -> int:
    """How many counters texts with so many characters need."""
    return 1 << min(characters.bit_length() + 1, _MOST_CELLS)


def count_runs(chunks: Iterable[Words], ngram: int, cells: int) -> NDArray[np.uint32]:
    """In how many texts each run of `ngram` words stands, by the low bits of its hash; `cells` is a power of two."""
    counts = np.zeros(cells, U32)
    latest = np.full(cells, -1, I64)
    before = 0
    for words in chunks:
        call(_count, words.hashes, words.firsts, ngram, before, counts, latest)
        before += words.firsts.size - 1
    return counts


def count_own(words: Words, masked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many words of each text are not template."""
    before = np.concatenate([[0], np.cumsum(~masked)])
    counts: NDArray[np.int64] = before[words.firsts[1:]] - before[words.firsts[:-1]]
    return counts


@cache
def _fold_table() -> NDArray[np.uint32]:
    """What each character of the first plane counts as: itself folded, a gap between words, or nothing at all."""
    table = np.zeros(_PLANE, U32)
    for code in range(_PLANE):
        base = unicodedata.normalize("NFKD", chr(code))
        first = next((c for c in base.casefold() if not unicodedata.combining(c)), "")
        if first.isalnum():
            table[code] = ord(first)
        elif not first or unicodedata.category(chr(code)) == "Mc":
            table[code] = _SILENT
    for character in _SILENT_CHARACTERS:
        table[ord(character)] = _SILENT
    for low, high in _SPACELESS:
        piece = table[low : high + 1]
        piece[piece > _SILENT] |= _ALONE
    table.setflags(write=False)
    return table


@compiled
def stirred(value: np.uint64) -> np.uint64:
    """splitmix64's finalizer: every input bit reaches every output bit."""
    h = U64(value)
    h = U64((h ^ (h >> U64(30))) * U64(0xBF58476D1CE4E5B9))
    h = U64((h ^ (h >> U64(27))) * U64(0x94D049BB133111EB))
    return U64(h ^ (h >> U64(31)))


@compiled
def _fold(code: np.uint32, table: NDArray[np.uint32]) -> np.uint32:
    if code < 0x10000:
        return U32(table[code])
    if 0x20000 <= code < 0x40000:  # more CJK ideographs
        return U32(code) | U32(0x80000000)
    return U32(code) if code < 0x1F000 else U32(0)  # scripts and letters, then pictures


@compiled
def _split(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    codes: NDArray[np.uint32],
    starts: NDArray[np.int64],
    table: NDArray[np.uint32],
    folded: NDArray[np.uint32],
    hashes: U64s,
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    firsts: NDArray[np.int64],
) -> int:
    used = 0
    for text in range(starts.size - 1):
        firsts[text] = used
        word, begin, end = _WORD_START, -1, -1
        first = starts[text]
        for at in range(first, starts[text + 1] + 1):
            code = _fold(codes[at], table) if at < starts[text + 1] else _GAP
            if at < starts[text + 1]:
                folded[at] = code
            if code == _SILENT:
                continue
            alone = code & _ALONE != 0
            if begin >= 0 and (code == _GAP or alone):
                hashes[used] = stirred(word)
                begins[used], ends[used] = begin, end
                used += 1
                word, begin = _WORD_START, -1
            if code == _GAP:
                continue
            if begin < 0:
                begin = at - first
            end = at - first + 1
            word = U64((word ^ U64(code)) * _WORD_PRIME)
            if alone:
                hashes[used] = stirred(word)
                begins[used], ends[used] = begin, end
                used += 1
                word, begin = _WORD_START, -1
    firsts[starts.size - 1] = used
    return used


@compiled
def _prefix(hashes: U64s, first: int, last: int, out: U64s) -> None:
    """out[i] becomes the hash of the first i words: a polynomial in BASE, so that any run's hash takes one step."""
    out[0] = U64(0)
    for at in range(first, last):
        out[at - first + 1] = U64(out[at - first] * BASE + hashes[at])


@compiled
def _count(
    hashes: U64s,
    firsts: NDArray[np.int64],
    ngram: int,
    before: int,
    counts: NDArray[np.uint32],
    latest: NDArray[np.int64],
) -> None:
    grown = U64(1)
    for _ in range(ngram):
        grown = U64(grown * BASE)
    cells = U64(counts.size - 1)
    for text in range(firsts.size - 1):
        rolled = U64(0)
        for at in range(firsts[text], firsts[text + 1]):
            rolled = U64(rolled * BASE + hashes[at])
            if at - firsts[text] >= ngram:
                rolled = U64(rolled - hashes[at - ngram] * grown)
            if at - firsts[text] >= ngram - 1:
                cell = stirred(rolled) & cells
                if latest[cell] != before + text:
                    latest[cell] = before + text
                    counts[cell] += U32(1)


@compiled
def _mask(
    hashes: U64s, firsts: NDArray[np.int64], ngram: int, common: NDArray[np.bool_], masked: NDArray[np.bool_]
) -> None:
    grown = U64(1)
    for _ in range(ngram):
        grown = U64(grown * BASE)
    cells = U64(common.size - 1)
    for text in range(firsts.size - 1):
        rolled = U64(0)
        unmasked_from = firsts[text]
        for at in range(firsts[text], firsts[text + 1]):
            rolled = U64(rolled * BASE + hashes[at])
            if at - firsts[text] >= ngram:
                rolled = U64(rolled - hashes[at - ngram] * grown)
            if at - firsts[text] >= ngram - 1 and common[stirred(rolled) & cells]:
                for word in range(max(unmasked_from, at - ngram + 1), at + 1):
                    masked[word] = True
                unmasked_from = at + 1
