"""Repeated word runs and lines in texts: the measures of the Gopher rules.

Source: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", section A.1.1 and
table A1: the share of characters in the most frequent 2-, 3- and 4-gram, the share of characters in duplicate 5- to
10-grams with overlaps counted once, the share of duplicate lines and of characters in them. Choices where the paper
leaves room: characters are those of words; a most frequent n-gram must occur twice; the first occurrence is not a
duplicate; lines are compared without case and outer white space; paragraphs are left to lines.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import Number, call, compiled
from curate.core.text.language.script_words import Words

if TYPE_CHECKING:
    import polars as pl

TOP = range(2, 5)
DUPLICATE = range(5, 11)
COLUMNS = (*(f"top_{n}" for n in TOP), *(f"duplicate_{n}" for n in DUPLICATE), "lines", "line_bytes")
_U64 = np.uint64
_ROLL = np.uint64(0x9E3779B97F4A7C15)  # an odd multiplier keeps every bit of the words that it mixes
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x00000100000001B3)  # FNV-1a for 64 bits


def measure_repetition(words: Words) -> "pl.DataFrame":
    """One column for each measure in COLUMNS, shares from 0 to 1, and `words`, the number of words."""
    import polars as pl

    shares = np.zeros((words.ends.size, len(COLUMNS)))
    call(_repeated_runs, words.hashes, words.sizes, words.starts, shares)
    call(_repeated_lines, words.data, words.ends, shares)
    columns = {name: shares[:, index] for index, name in enumerate(COLUMNS)}
    return pl.DataFrame({**columns, "words": np.diff(words.starts)})


@compiled
def _slot(keys: NDArray[np.uint64], key: Number) -> Number:
    """Where `key` is in a table with room to spare, or the free place (0) where it belongs."""
    mask = _U64(keys.size - 1)
    place = _U64((key * _ROLL) >> _U64(20)) & mask
    while keys[place] != 0 and keys[place] != key:
        place = (place + _U64(1)) & mask
    return place


@compiled
def _room(count: Number) -> Number:
    """The size of a table for `count` keys: a power of two, at most half full."""
    size = 16
    while size < 2 * count:
        size *= 2
    return size


@compiled
def _repeated_runs(
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int32],
    starts: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> None:
    for text in range(starts.size - 1):
        first, stop = starts[text], starts[text + 1]
        count = stop - first
        if count < 2:
            continue
        total = 0
        for index in range(first, stop):
            total += sizes[index]
        keys = np.zeros(_room(count), np.uint64)
        times = np.zeros(keys.size, np.int32)
        for n in range(2, min(10, count) + 1):
            keys[:] = 0
            times[:] = 0
            most, widest, covered, covered_to = 1, 0, 0, first
            for index in range(first, stop - n + 1):
                key, size = _U64(n), 0
                for more in range(index, index + n):
                    key = _U64((key ^ hashes[more]) * _ROLL)
                    key = _U64(key ^ (key >> _U64(29)))
                    size += sizes[more]
                key = _U64(key | _U64(1))  # 0 marks a free place
                place = _slot(keys, key)
                keys[place] = key
                times[place] += 1
                if times[place] < 2:
                    continue
                if times[place] > most or (times[place] == most and size > widest):
                    most, widest = int(times[place]), size
                for more in range(max(index, covered_to), index + n):
                    covered += sizes[more]
                covered_to = index + n
            if most == 1:
                break  # where no run of n words comes twice, no longer one does
            if n < 5:
                shares[text, n - 2] = min(1.0, most * widest / total)
            else:
                shares[text, n - 2] = covered / total


@compiled
def _repeated_lines(data: NDArray[np.uint8], ends: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    begin = 0
    for text in range(ends.size):
        end = ends[text]
        breaks = 1
        for at in range(begin, end):
            breaks += data[at] == 0x0A
        keys = np.zeros(_room(breaks), np.uint64)
        lines, repeated, size_all, size_repeated = 0, 0, 0, 0
        at = begin
        while at < end and breaks > 1:
            stop = at
            while stop < end and data[stop] != 0x0A:
                stop += 1
            left, right = at, stop
            at = stop + 1
            while left < right and data[left] <= 0x20:
                left += 1
            while right > left and data[right - 1] <= 0x20:
                right -= 1
            if left == right:
                continue
            key = _START
            for byte in data[left:right]:
                key = _U64((key ^ _U64(byte)) * _PRIME)
            key = _U64(key | _U64(1))
            place = _slot(keys, key)
            lines += 1
            size_all += right - left
            if keys[place] == key:
                repeated += 1
                size_repeated += right - left
            keys[place] = key
        if lines:
            shares[text, 9] = repeated / lines
            shares[text, 10] = size_repeated / size_all
        begin = end
