"""Buckets of texts, sorted sets and the choice among similar ones as machine code, for so many that compiling pays."""

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U32, compiled

I32 = np.int32


@compiled
def label_equal(
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
def number_through(
    labels: NDArray[np.int32], active: NDArray[np.int32], firsts: NDArray[np.int32], buckets: NDArray[np.int32]
) -> None:
    """Write the labels of the active texts, those of each band from its number in `firsts` on, to `buckets`."""
    for index in range(active.size):
        for band in range(labels.shape[0]):
            label = labels[band, active[index]]
            buckets[index, band] = label + firsts[band] if label >= 0 else -1


@compiled
def sort_sets(
    shingles: NDArray[np.uint32],
    starts: NDArray[np.int64],
    active: NDArray[np.int32],
    targets: NDArray[np.int64],
    sets: NDArray[np.uint32],
    sizes: NDArray[np.int64],
) -> None:
    """Write each active text's shingles, sorted and each once, from `targets` on to `sets`; their number to `sizes`."""
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
def flatten(parents: NDArray[np.int32]) -> None:
    """Let every text have the root of its tree as its parent."""
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
def choose(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
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
