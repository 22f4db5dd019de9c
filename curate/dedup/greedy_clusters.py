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

from curate.dedup import few_texts
from curate.dedup.minhash import Sketches
from curate.table.array_allocator import ArrayAllocator

I32, U32 = np.int32, np.uint32
_FEW_SHINGLES = 1 << 17  # Python chooses among so many in less time than it takes to load machine code and compile it
_CHOOSE_TEXTS = 1 << 17  # texts that are gone through before memory is let go of


@dataclass(frozen=True, slots=True)
class Clusters:
    """For each of n texts: `kept_instead` (itself where it is kept), `similarity` to that one, and `component`.

    Texts that a dropped one ties together share a component, named by the smallest number in it.
    """

    kept_instead: NDArray[np.int32]
    similarity: NDArray[np.float64]
    component: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for some of the texts.

    Texts that are `pinned` are kept whatever they are similar to; they still make others go, and share components.
    The first `earlier` texts are of another dataset: they are not compared with each other, and make pinned texts go.
    Texts with fewer shingles than `min_shingles` are compared with none.
    """

    pinned: NDArray[np.bool_] | None = None
    earlier: int = 0
    min_shingles: int = 1


def find_clusters(
    sketches: Sketches,
    threshold: float,
    rules: Rules | None = None,
    *,
    order: NDArray[np.int32] | None = None,
    threads: int = 1,
    allocator: ArrayAllocator | None = None,
) -> Clusters:
    """The clusters of texts whose Jaccard similarity reaches `threshold`; lower numbers are kept first.

    `order` says which sketch is that of text 0, 1, ...; without it they stand in this order. The band keys are used
    up: buckets are written in their place. `allocator` gives what it takes beside them.
    """
    rules, allocator = rules or Rules(), allocator or ArrayAllocator()
    if order is None:
        order = np.arange(sketches.starts.size - 1, dtype=I32)
    total = order.size
    kept_instead, parents = allocator.numbered(total, I32), allocator.numbered(total, I32)
    similarity = allocator.filled(total, 1, np.float64)
    usable = (np.diff(sketches.starts) >= max(1, rules.min_shingles))[order]
    if sketches.shingles.size <= _FEW_SHINGLES:
        held = rules.pinned if rules.pinned is not None else np.zeros(total, np.bool_)
        few = [
            frozenset(sketches.shingles[sketches.starts[at] : sketches.starts[at + 1]].tolist())
            if of_use
            else frozenset()
            for at, of_use in zip(order.tolist(), usable.tolist(), strict=True)
        ]
        out = kept_instead, similarity, parents
        few_texts.choose(few, sketches.band_keys[:, order], held, rules.earlier, threshold, out)
        return Clusters(*out)
    from curate.core.numba_kernels import call
    from curate.dedup import cluster_kernels as kernels

    active, buckets = _buckets(sketches, order, usable, threads, allocator)
    if active.size:
        sizes = np.diff(sketches.starts)[order[active]]
        sets, starts = _sorted_sets(sketches, order[active], sizes, threads, allocator)
        held = np.zeros(active.size, np.bool_) if rules.pinned is None else rules.pinned[active]
        earlier = int(np.searchsorted(active, rules.earlier))
        compared = (buckets, sets, starts, sizes, threshold)
        lists = (
            np.full(int(buckets.max()) + 1, -1, I32),
            allocator.filled(buckets.shape, -1, I32),
            np.full(active.size, -1, I32),
        )
        for first in range(0, active.size, _CHOOSE_TEXTS):
            part = (first, min(first + _CHOOSE_TEXTS, active.size))
            call(kernels.choose, *part, active, held, earlier, *compared, *lists, kept_instead, similarity, parents)
            allocator.settle()
        call(kernels.flatten, parents)
    return Clusters(kept_instead, similarity, parents)


def _buckets(
    sketches: Sketches, order: NDArray[np.int32], usable: NDArray[np.bool_], threads: int, allocator: ArrayAllocator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The texts that share a bucket with another, and the bucket of each of them in each band, -1 for one of its own.

    Shapes: (a,) and (a, bands). Buckets are numbered through all bands.
    """
    from curate.core.numba_kernels import call
    from curate.dedup import cluster_kernels as kernels

    keys = sketches.band_keys
    candidates = order[usable]
    candidates.sort()
    is_active = np.zeros(keys.shape[1], np.bool_)

    def label(band: int) -> int:
        own, labels = keys[band].copy(), keys[band].view(I32)
        labels[:] = -1
        return int(call(kernels.label_equal, own, candidates, labels, is_active))

    counts = _each(label, keys.shape[0], threads)
    active = np.flatnonzero(is_active[order])
    buckets = allocator.empty((active.size, keys.shape[0]), I32)
    call(kernels.number_through, keys.view(I32), order[active], np.cumsum([0, *counts]).astype(I32), buckets)
    allocator.settle()
    return active, buckets


def _sorted_sets(
    sketches: Sketches, active: NDArray[np.int32], sizes: NDArray[np.int64], threads: int, allocator: ArrayAllocator
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingle sets of the `active` texts, sorted and without repeats; `sizes` becomes the size of each set."""
    from curate.core.numba_kernels import call
    from curate.dedup import cluster_kernels as kernels

    starts = np.zeros(active.size + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    sets = allocator.empty(int(starts[-1]), U32)
    edges = np.linspace(0, active.size, threads + 1).astype(np.int64)

    def piece(part: int) -> int:
        first, last = edges[part], edges[part + 1]
        call(
            kernels.sort_sets,
            sketches.shingles,
            sketches.starts,
            active[first:last],
            starts[first:],
            sets,
            sizes[first:],
        )
        return 0

    _each(piece, threads, threads)
    allocator.settle()
    return sets, starts


def _each(work: Callable[[int], int], count: int, threads: int) -> list[int]:
    """`work` of every number below `count`, in order."""
    if threads <= 1:
        return [work(index) for index in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))
