"""Which of many texts repeat another: candidates from MinHash bands, each verified by exact Jaccard, one kept of each.

Texts are numbered in the order of preference. Each is compared with the kept ones it shares a band with: where one is
similar enough, the text is dropped because of it, else it is kept. So a dropped text is always similar itself to the
text that is kept instead, and no two kept candidates are similar to each other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.minhash import U32, Sketches, call, compiled

I32 = np.int32


@dataclass(frozen=True, slots=True)
class Clusters:
    """For each of n texts: `kept_instead` (itself where it is kept), `similarity` to that one, and `component`.

    Texts that a dropped one ties together share a component, named by the smallest number in it.
    """

    kept_instead: NDArray[np.int32]
    similarity: NDArray[np.float64]
    component: NDArray[np.int32]


def find_clusters(
    sketches: Sketches, threshold: float, *, pinned: NDArray[np.bool_] | None = None, threads: int = 1
) -> Clusters:
    """The clusters of texts whose Jaccard similarity reaches `threshold`; lower numbers are kept first.

    Texts that are `pinned` are kept whatever they are similar to; they still make others go, and share components.
    """
    total = sketches.starts.size - 1
    kept_instead = np.arange(total, dtype=I32)
    parents = np.arange(total, dtype=I32)
    similarity = np.ones(total, np.float64)
    active, buckets = _buckets(sketches, threads)
    if active.size:
        sizes = np.diff(sketches.starts)[active]
        sets, starts = _sorted_sets(sketches, active, sizes, threads)
        held = np.zeros(active.size, np.bool_) if pinned is None else pinned[active]
        call(_choose, active, held, buckets, sets, starts, sizes, threshold, kept_instead, similarity, parents)
        call(_flatten, parents)
    return Clusters(kept_instead, similarity, parents)


def _buckets(sketches: Sketches, threads: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The texts that share a bucket with another, and the bucket of each of them in each band, -1 for one of its own.

    Shapes: (a,) and (a, bands). Buckets are numbered through all bands.
    """
    keys = sketches.band_keys
    with_shingles = np.flatnonzero(np.diff(sketches.starts))
    found = np.full((keys.shape[1], keys.shape[0]), -1, I32)

    def label(band: int) -> int:
        # The key above the text's number in one integer: sorting it sorts both at full speed.
        packed = keys[band, with_shingles].astype(np.uint64) << np.uint64(32)
        packed |= with_shingles.view(np.uint64)
        packed.sort()
        count: int = call(_label_runs, packed, found[:, band])
        return count

    counts = _each(label, keys.shape[0], threads)
    active = np.flatnonzero((found >= 0).any(axis=1))
    buckets = found[active]
    firsts = np.cumsum([0, *counts[:-1]]).astype(I32)
    return active, np.where(buckets >= 0, buckets + firsts, I32(-1))


def _sorted_sets(
    sketches: Sketches, active: NDArray[np.int64], sizes: NDArray[np.int64], threads: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingle sets of the `active` texts, sorted and without repeats; `sizes` becomes the size of each set."""
    starts = np.zeros(active.size + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    sets = np.empty(int(starts[-1]), U32)
    edges = np.linspace(0, active.size, threads + 1).astype(np.int64)

    def piece(part: int) -> int:
        first, last = edges[part], edges[part + 1]
        call(_sort_sets, sketches.shingles, sketches.starts, active[first:last], starts[first:], sets, sizes[first:])
        return 0

    _each(piece, threads, threads)
    return sets, starts


def _each(work: Callable[[int], int], count: int, threads: int) -> list[int]:
    """`work` of every number below `count`, in order."""
    if threads <= 1:
        return [work(index) for index in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


@compiled
def _label_runs(packed: NDArray[np.uint64], labels: NDArray[np.int32]) -> int:
    """Number the runs of two or more equal keys in `labels`, from 0, and return how many there are."""
    count, first = 0, 0
    shift, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    for at in range(1, packed.size + 1):
        if at < packed.size and packed[at] >> shift == packed[first] >> shift:
            continue
        if at - first > 1:
            for member in range(first, at):
                labels[np.int64(packed[member] & low)] = count
            count += 1
        first = at
    return count


@compiled
def _sort_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    active: NDArray[np.int64],
    targets: NDArray[np.int64],
    sets: NDArray[np.uint32],
    sizes: NDArray[np.int64],
) -> None:
    for index in range(active.size):
        first, last = starts[active[index]], starts[active[index] + 1]
        target = targets[index]
        values = sets[target : target + last - first]
        values[:] = shingles[first:last]
        values.sort()
        size = 1
        for at in range(1, values.size):
            if values[at] != values[size - 1]:
                values[size] = values[at]
                size += 1
        sizes[index] = size


@compiled
def _root(parents: NDArray[np.int32], at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@compiled
def _flatten(parents: NDArray[np.int32]) -> None:
    for at in range(parents.size):
        parents[at] = _root(parents, at)


@compiled
def _jaccard(sets: NDArray[np.uint32], a: int, a_size: int, b: int, b_size: int, threshold: float) -> float:
    """The share of two sorted sets' union that both hold; 0 as soon as it is sure to stay below `threshold`."""
    if min(a_size, b_size) < threshold * max(a_size, b_size) - 1e-6:
        return 0.0
    # |A and B| / |A or B| >= t needs |A and B| >= t / (1 + t) * (|A| + |B|); the tolerance leaves ties to the division.
    spare = a_size + b_size - 2 * (threshold / (1 + threshold) * (a_size + b_size) - 1e-6)
    i, j, both = 0, 0, 0
    while i < a_size and j < b_size:
        x, y = sets[a + i], sets[b + j]
        both += x == y
        i += x <= y
        j += y <= x
        if i + j - 2 * both > spare:
            return 0.0
    return both / (a_size + b_size - both)


@compiled
def _choose(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    active: NDArray[np.int64],
    held: NDArray[np.bool_],
    buckets: NDArray[np.int32],
    sets: NDArray[np.uint32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    threshold: float,
    kept_instead: NDArray[np.int32],
    similarity: NDArray[np.float64],
    parents: NDArray[np.int32],
) -> None:
    """Fill the last three arrays: go through the texts in order, compare each with the kept ones in its buckets."""
    bands = buckets.shape[1]
    last_kept = np.full(buckets.max() + 1, -1, I32)  # per bucket, the head of a list of kept texts
    earlier = np.full(buckets.shape, -1, I32)  # per text and band, the next in that list
    compared_with = np.full(active.size, -1, I32)
    for text in range(active.size):
        best, best_similarity = -1, 0.0
        for band in range(bands):
            bucket = buckets[text, band]
            other = last_kept[bucket] if bucket >= 0 else -1
            while other >= 0:
                if compared_with[other] != text:
                    compared_with[other] = text
                    found = _jaccard(sets, starts[text], sizes[text], starts[other], sizes[other], threshold)
                    if found >= threshold:
                        a, b = _root(parents, active[text]), _root(parents, active[other])
                        parents[max(a, b)] = min(a, b)
                        if found > best_similarity or (found == best_similarity and other < best):
                            best, best_similarity = other, found
                other = earlier[other, band]
        if best >= 0 and not held[text]:
            kept_instead[active[text]] = active[best]
            similarity[active[text]] = best_similarity
            continue
        for band in range(bands):
            bucket = buckets[text, band]
            if bucket >= 0:
                earlier[text, band] = last_kept[bucket]
                last_kept[bucket] = text
