"""Pairs of texts that mean nearly the same: cosine similarity of their vectors, tile by tile.

The products go through in tiles, so memory grows with the number of pairs found, never with the square of the texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError
from curate.core.text.embedding import Vectors

# A tile of 2,048 by 2,048 floats is 16 MB: large enough for matrix products at full speed, small beside the vectors.
_TILE = 2048
_MAX_PAIRS = 20_000_000  # 320 MB; more means that most texts are alike, and a list of pairs says nothing new
# Products of the same vectors differ in their last bits with the tile they fall in; four digits are what is written.
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """Candidate pairs (left[i], right[i]) with their cosine similarity, sorted by left, then right."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.left.size)


def similar_pairs(vectors: Vectors, threshold: float, *, tile: int = _TILE) -> Pairs:
    """The pairs (left < right) of vectors of length 1 whose cosine reaches `threshold`.

    Raises: DataError where there are so many that the threshold says nothing.
    """
    return _collect(_tiles(vectors, vectors, threshold, tile, upper=True))


def similar_across(left: Vectors, right: Vectors, threshold: float, *, tile: int = _TILE) -> Pairs:
    """The pairs of a vector in `left` with one in `right`, all of length 1, whose cosine reaches `threshold`.

    Raises: DataError where there are so many that the threshold says nothing.
    """
    return _collect(_tiles(left, right, threshold, tile, upper=False))


def choose_kept(pairs: Pairs, total: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each of `total` texts in order of preference, the one kept instead (itself where kept), and how similar.

    A text is dropped only because of a kept one that it is itself similar to: chains drop nothing.
    """
    kept_instead = np.arange(total, dtype=np.int64)
    similarity = np.ones(total, np.float64)
    # By the later text of each pair, then the most similar, then the preferred earlier one.
    for at in np.lexsort((pairs.left, -pairs.similarity, pairs.right)):
        earlier, later = int(pairs.left[at]), int(pairs.right[at])
        if kept_instead[later] == later and kept_instead[earlier] == earlier:
            kept_instead[later], similarity[later] = earlier, pairs.similarity[at]
    return kept_instead, similarity


def _tiles(left: Vectors, right: Vectors, threshold: float, tile: int, *, upper: bool) -> Iterator[Pairs]:
    for first in range(0, len(left), tile):
        rows = left[first : first + tile]
        for start in range(first if upper else 0, len(right), tile):
            cosines = rows @ right[start : start + tile].T
            a, b = np.nonzero(cosines >= threshold - 10.0**-_DIGITS)
            found = np.round(cosines[a, b].astype(np.float64), _DIGITS)
            chosen = found >= threshold
            if upper and start == first:
                chosen &= b > a
            if chosen.any():
                yield Pairs(a[chosen] + first, b[chosen] + start, np.clip(found[chosen], -1.0, 1.0))


def _collect(tiles: Iterator[Pairs]) -> Pairs:
    found: list[Pairs] = []
    count = 0
    for pairs in tiles:
        found.append(pairs)
        count += len(pairs)
        if count > _MAX_PAIRS:
            raise DataError(
                f"more than {_MAX_PAIRS:,} pairs of texts are similar in meaning",
                fix="drop exact duplicates first, or raise the threshold",
            )
    if not found:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    left, right, similarity = (
        np.concatenate([getattr(pairs, name) for pairs in found]) for name in ("left", "right", "similarity")
    )
    order = np.lexsort((right, left))
    return Pairs(left[order], right[order], similarity[order])
