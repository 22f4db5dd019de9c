"""Texts as words, by machine code over UTF-8: what repetition, language and information are counted in.

A word is a run of letters and digits; in scripts without spaces each character is one. A hash stands for each word."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import Number, call, compiled

SCRIPTS = (
    "none",
    "latin",
    "cyrillic",
    "greek",
    "arabic",
    "hebrew",
    "devanagari",
    "han",
    "kana",
    "hangul",
    "thai",
    "other",
)
_HAN, _KANA, _THAI = SCRIPTS.index("han"), SCRIPTS.index("kana"), SCRIPTS.index("thai")
# Code points, inclusive; later lines win. "separator" ends a word, "none" belongs to one without being a letter.
_RANGES = """
80 10FFFF other|80 BF separator|AA AA latin|B5 B5 latin|BA BA latin|C0 2AF latin|D7 D7 separator|F7 F7 separator
2B0 36F none|370 3FF greek|1F00 1FFF greek|400 52F cyrillic|590 5FF hebrew|600 77F arabic|60C 60C separator
61B 61B separator|61F 61F separator|6D4 6D4 separator|900 97F devanagari|964 965 separator|E00 E7F thai
1100 11FF hangul|1E00 1EFF latin|2000 2E7F separator|2E80 2FFF han|3000 303F separator|3005 3007 han|3040 30FF kana
3130 318F hangul|3400 9FFF han|AC00 D7AF hangul|D7B0 F8FF separator|F900 FAFF han|FB50 FDFF arabic|FE00 FE6F separator
FE70 FEFE arabic|FEFF FF65 separator|FF10 FF19 none|FF21 FF3A latin|FF41 FF5A latin|FF66 FF9F kana|FFA0 FFFF separator
1F000 1FAFF separator|20000 31FFF han|30 39 none|41 5A latin|61 7A latin
"""
_SEPARATOR = -1
_U64 = np.uint64
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x00000100000001B3)  # FNV-1a for 64 bits


@dataclass(frozen=True, slots=True)
class Words:
    """The words of texts. Shapes: `hashes` and `sizes` (in characters) one a word; `starts` one a text and one more:
    text i's words are those from `starts[i]` to `starts[i + 1]`; `letters` (texts, scripts): letters of each script.
    """

    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int32]
    starts: NDArray[np.int64]
    letters: NDArray[np.int64]
    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    """The texts' bytes, letters lowercased, one after the other, and where each ends."""


def split_words(texts: Sequence[str]) -> Words:
    """The words of every text, letters lowercased. Texts must be free of unpaired surrogates."""
    parts = [text.lower().encode() for text in texts]
    ends = np.cumsum(np.array([len(part) for part in parts], np.int64))
    data = np.frombuffer(b"".join(parts), np.uint8)
    letters = np.zeros((len(parts), len(SCRIPTS)), np.int64)
    starts = np.zeros(len(parts) + 1, np.int64)
    # A word takes two bytes at least: itself and a separator, or a character of a script without spaces.
    hashes = np.empty(data.size // 2 + len(parts) + 1, np.uint64)
    sizes = np.empty(hashes.size, np.int32)
    count = call(_split, data, ends, _script_table(), hashes, sizes, starts, letters)
    return Words(hashes[:count], sizes[:count], starts, letters, data, ends)


@lru_cache(maxsize=1)
def _script_table() -> NDArray[np.int8]:
    """For every code point an index into SCRIPTS, or -1 where it separates words."""
    table = np.full(0x110000, _SEPARATOR, np.int8)
    for line in _RANGES.replace("|", "\n").strip().splitlines():
        first, last, script = line.split()
        table[int(first, 16) : int(last, 16) + 1] = _SEPARATOR if script == "separator" else SCRIPTS.index(script)
    return table


@compiled
def _code_point(data: NDArray[np.uint8], at: Number) -> Number:
    """The code point whose UTF-8 starts at `at`, and how many bytes it takes."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return byte, 1
    width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
    point = byte & (0x7F >> width)
    for more in range(1, width):
        point = (point << 6) | np.int64(data[at + more] & 0x3F)
    return point, width


@compiled
def _split(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    scripts: NDArray[np.int8],
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int32],
    starts: NDArray[np.int64],
    letters: NDArray[np.int64],
) -> Number:
    count, at = 0, 0
    for text in range(ends.size):
        word, size = _START, 0
        while at <= ends[text]:
            point, width = _code_point(data, at) if at < ends[text] else (np.int64(0x20), 1)
            script = scripts[point]
            alone = script in (_HAN, _KANA, _THAI)
            if size and (script == _SEPARATOR or alone):
                hashes[count] = _U64(word ^ (word >> _U64(32)))
                sizes[count] = size
                count += 1
                word, size = _START, 0
            if script != _SEPARATOR:
                letters[text, script] += 1
                word = _U64((word ^ _U64(point)) * _PRIME)
                size += 1
            if alone:
                hashes[count] = _U64(word ^ (word >> _U64(32)))
                sizes[count] = 1
                count += 1
                word, size = _START, 0
            at += width
        at = ends[text]
        starts[text + 1] = count
    return count
