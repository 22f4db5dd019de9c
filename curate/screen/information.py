"""How much there is in a text: characters, words, different words, entropy of its bytes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import call, compiled
from curate.core.text.language.script_words import Words

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = ("characters", "words", "distinct", "entropy")


def measure_information(words: Words) -> "pl.DataFrame":
    """Columns `characters` (without white space), `words`, `distinct` (words), `entropy` (bits a byte, Shannon's)."""
    import polars as pl

    counts = np.zeros((words.ends.size, len(_COLUMNS)))
    call(_count, words.data, words.ends, words.hashes, words.starts, counts)
    return pl.DataFrame({name: counts[:, index] for index, name in enumerate(_COLUMNS)})


@compiled
def _count(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    counts: NDArray[np.float64],
) -> None:
    begin = 0
    times = np.zeros(256, np.int64)
    for text in range(ends.size):
        times[:] = 0
        characters = 0
        for at in range(begin, ends[text]):
            times[data[at]] += 1
            characters += data[at] > 0x20 and data[at] & 0xC0 != 0x80  # a character's later bytes start with bits 10
        size = ends[text] - begin
        entropy = 0.0
        for byte in range(256):
            if times[byte]:
                share = times[byte] / size
                entropy -= share * np.log2(share)
        ordered = np.sort(hashes[starts[text] : starts[text + 1]])
        distinct = min(1, ordered.size)
        for index in range(1, ordered.size):
            distinct += ordered[index] != ordered[index - 1]
        counts[text, 0] = characters
        counts[text, 1] = ordered.size
        counts[text, 2] = distinct
        counts[text, 3] = entropy
        begin = ends[text]
