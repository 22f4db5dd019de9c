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

from curate.core.numba_kernels import U32, call, compiled
from curate.dedup.minhash import Sketches
from curate.table.large_arrays import Room

I32 = np.int32
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
    room: Room | None = None,
) -> Clusters:
    """The clusters of texts whose Jaccard similarity reaches `threshold`; lower numbers are kept first.

    `order` says which sketch is that of text 0, 1, ...; without it they stand in this order. The band keys are used
    up: buckets are written in their place. `room` gives what it takes beside them.
    """
    rules, room = rules or Rules(), room or Room()
    if order is None:
        order = np.arange(sketches.starts.size - 1, dtype=I32)
    total = order.size
    kept_instead, parents = room.numbered(total, I32), room.numbered(total, I32)
    similarity = room.filled(total, 1, np.float64)
    usable = (np.diff(sketches.starts) >= max(1, rules.min_shingles))[order]
    active, buckets = _buckets(sketches, order, usable, threads, room)
    if active.size:
        sizes = np.diff(sketches.starts)[order[active]]
        sets, starts = _sorted_sets(sketches, order[active], sizes, threads, room)
        held = np.zeros(active.size, np.bool_) if rules.pinned is None else rules.pinned[active]
        earlier = int(np.searchsorted(active, rules.earlier))
        compared = (buckets, sets, starts, sizes, threshold)
        lists = (
            np.full(int(buckets.max()) + 1, -1, I32),
            room.filled(buckets.shape, -1, I32),
            np.full(active.size, -1, I32),
        )
        for first in range(0, active.size, _CHOOSE_TEXTS):
            part = (first, min(first + _CHOOSE_TEXTS, active.size))
            call(_choose, *part, active, held, earlier, *compared, *lists, kept_instead, similarity, parents)
            room.settle()
        call(_flatten, parents)
    return Clusters(kept_instead, similarity, parents)


def _buckets(
    sketches: Sketches, order: NDArray[np.int32], usable: NDArray[np.bool_], threads: int, room: Room
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The texts that share a bucket with another, and the bucket of each of them in each band, -1 for one of its own.

    Shapes: (a,) and (a, bands). Buckets are numbered through all bands.
    """
    keys = sketches.band_keys
    candidates = order[usable]
    candidates.sort()
    is_active = np.zeros(keys.shape[1], np.bool_)

    def label(band: int) -> int:
        own, labels = keys[band].copy(), keys[band].view(I32)
        labels[:] = -1
        return int(call(_label_equal, own, candidates, labels, is_active))

    counts = _each(label, keys.shape[0], threads)
    active = np.flatnonzero(is_active[order])
    buckets = room.empty((active.size, keys.shape[0]), I32)
    call(_number_through, keys.view(I32), order[active], np.cumsum([0, *counts]).astype(I32), buckets)
    room.settle()
    return active, buckets


def _sorted_sets(
    sketches: Sketches, active: NDArray[np.int32], sizes: NDArray[np.int64], threads: int, room: Room
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The shingle sets of the `active` texts, sorted and without repeats; `sizes` becomes the size of each set."""
    starts = np.zeros(active.size + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    sets = room.empty(int(starts[-1]), U32)
    edges = np.linspace(0, active.size, threads + 1).astype(np.int64)

    def piece(part: int) -> int:
        first, last = edges[part], edges[part + 1]
        call(_sort_sets, sketches.shingles, sketches.starts, active[first:last], starts[first:], sets, sizes[first:])
        return 0

    _each(piece, threads, threads)
    room.settle()
    return sets, starts


def _each(work: Callable[[int], int], count: int, threads: int) -> list[int]:
    """`work` of every number below `count`, in order."""
    if threads <= 1:
        return [work(index) for index in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


@compiled
def _label_equal(
    keys: NDArray[np.uint32], candidates: NDArray[np.int32], labels: NDArray[np.int32], shared: NDArray[np.bool_]
) -> int:
    """Number the keys that two or more candidates have in `labels`, from 0, and return how many there are.

    Those candidates become true in `shared`; several threads may write it, because none writes false.
    """
    size = 16
    while size < 2 * candidates.size:
        size *= 2
    # A hash table with linear probing; the keys are mixed already, so their low bits are as good as any.
    first = np.full(size, -1, I32)
    count = 0
    for at in range(candidates.size):
        text = candidates[at]
        slot = np.int64(keys[text]) & (size - 1)
        while first[slot] >= 0 and keys[first[slot]] != keys[text]:
            slot = (slot + 1) & (size - 1)
        other = first[slot]
        if other < 0:
            first[slot] = text
            continue
        if labels[other] < 0:
            labels[other] = count
            shared[other] = True
            count += 1
        labels[text] = labels[other]
        shared[text] = True
    return count


@compiled
def _number_through(
    labels: NDArray[np.int32], active: NDArray[np.int32], firsts: NDArray[np.int32], buckets: NDArray[np.int32]
) -> None:
    """Write the labels of the active texts, those of each band from its number in `firsts` on, to `buckets`."""
    for index in range(active.size):
        for band in range(labels.shape[0]):
            label = labels[band, active[index]]
            buckets[index, band] = label + firsts[band] if label >= 0 else -1


@compiled
def _sort_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    active: NDArray[np.int32],
    targets: NDArray[np.int64],
    sets: NDArray[np.uint32],
    sizes: NDArray[np.int64],
) -> None:
    for index in range(active.size):
        first, last = starts[active[index]], starts[active[index] + 1]
        values = sets[targets[index] : targets[index] + last - first]
        _sort_hashes(shingles[first:last], values)
        size = 1
        for at in range(1, values.size):
            if values[at] != values[size - 1]:
                values[size] = values[at]
                size += 1
        sizes[index] = size


@compiled
def _sort_hashes(values: NDArray[np.uint32], out: NDArray[np.uint32]) -> None:
    """Write `values` in ascending order to `out`: evenly spread ones by their high bits first, then by insertion.

    Hashes are evenly spread; equal ones cost nothing, since insertion does not move them.
    """
    bits = 1
    while (1 << bits) < values.size:
        bits += 1
    shift = U32(32 - bits)
    places = np.zeros((1 << bits) + 1, I32)
    for value in values:
        places[(value >> shift) + 1] += 1
    for at in range(1, places.size):
        places[at] += places[at - 1]
    for value in values:
        out[places[value >> shift]] = value
        places[value >> shift] += 1
    for at in range(1, out.size):
        value, back = out[at], at
        while back > 0 and out[back - 1] > value:
            out[back] = out[back - 1]
            back -= 1
        out[back] = value


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
    first: int,
    last: int,
    active: NDArray[np.int64],
    held: NDArray[np.bool_],
    earlier: int,
    buckets: NDArray[np.int32],
    sets: NDArray[np.uint32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    threshold: float,
    last_kept: NDArray[np.int32],
    next_kept: NDArray[np.int32],
    compared_with: NDArray[np.int32],
    kept_instead: NDArray[np.int32],
    similarity: NDArray[np.float64],
    parents: NDArray[np.int32],
) -> None:
    """Fill the last three arrays for the texts from `first` up to `last`: compare each with the kept in its buckets.

    `last_kept` is, per bucket, the head of a list of kept texts, and `next_kept`, per text and band, the next in it.
    """
    bands = buckets.shape[1]
    for text in range(first, last):
        best, best_similarity, must_go = -1, 0.0, False
        for band in range(bands if text >= earlier else 0):
            bucket = buckets[text, band]
            other = last_kept[bucket] if bucket >= 0 else -1
            while other >= 0:
                if compared_with[other] != text:
                    compared_with[other] = text
                    found = _jaccard(sets, starts[text], sizes[text], starts[other], sizes[other], threshold)
                    if found >= threshold:
                        must_go |= other < earlier
                        a, b = _root(parents, active[text]), _root(parents, active[other])
                        parents[max(a, b)] = min(a, b)
                        if found > best_similarity or (found == best_similarity and other < best):
                            best, best_similarity = other, found
                other = next_kept[other, band]
        if best >= 0 and (must_go or not held[text]):
            kept_instead[active[text]] = active[best]
            similarity[active[text]] = best_similarity
            continue
        for band in range(bands):
            bucket = buckets[text, band]
            if bucket >= 0:
                next_kept[text, band] = last_kept[bucket]
                last_kept[bucket] = text
