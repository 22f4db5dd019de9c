"""Buckets of texts, sorted sets and the choice among similar ones as machine code, for so many that compiling pays."""

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U32, compiled
from curate.dedup.few_texts import ENOUGH, MANY
from curate.dedup.minhash_kernels import mixed

I32 = np.int32
_ENOUGH, _MANY = ENOUGH, MANY


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
def _join(parents: NDArray[np.int32], one: int, other: int) -> None:
    """Let the trees of both be one, whose root is the smaller number."""
    a, b = _root(parents, one), _root(parents, other)
    parents[max(a, b)] = min(a, b)


@compiled
def _list(text: int, buckets: NDArray[np.int32], last_kept: NDArray[np.int32], next_kept: NDArray[np.int32]) -> None:
    """Put a text at the head of the list of each of its buckets."""
    for band in range(buckets.shape[1]):
        bucket = buckets[text, band]
        if bucket >= 0:
            next_kept[text, band] = last_kept[bucket]
            last_kept[bucket] = text


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
def split_buckets(
    buckets: NDArray[np.int32], texts: NDArray[np.int32], kinds: NDArray[np.uint64], out: NDArray[np.int32]
) -> int:
    """Number the pairs of a bucket and a kind that two or more of the texts have in one band; -1 for all others.

    Shapes: buckets and out (a,), kinds (a,); `texts` are those that are looked at. Returns how many numbers there are.
    """
    size = 16
    while size < 2 * texts.size:
        size *= 2
    first = np.full(size, -1, I32)
    count = 0
    for at in range(out.size):
        out[at] = -1
    for at in range(texts.size):
        text = texts[at]
        bucket = buckets[text]
        if bucket < 0:
            continue
        slot = np.int64(mixed(U32(bucket) ^ U32(kinds[text]))) & (size - 1)
        while first[slot] >= 0 and (buckets[first[slot]] != bucket or kinds[first[slot]] != kinds[text]):
            slot = (slot + 1) & (size - 1)
        other = first[slot]
        if other < 0:
            first[slot] = text
            continue
        if out[other] < 0:
            out[other] = count
            count += 1
        out[text] = out[other]
    return count


@compiled
def choose(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    active: NDArray[np.int64],
    texts: NDArray[np.int32],
    earlier: int,
    buckets: NDArray[np.int32],
    last_kept: NDArray[np.int32],
    next_kept: NDArray[np.int32],
    compared_with: NDArray[np.int32],
    sets: NDArray[np.uint32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    threshold: float,
    answers: NDArray[np.uint64],
    answer_sets: NDArray[np.uint32],
    answer_places: NDArray[np.int64],
    asked: NDArray[np.bool_],
    kept_instead: NDArray[np.int32],
    similarity: NDArray[np.float64],
    parents: NDArray[np.int32],
) -> None:
    """Fill the last three arrays for these texts: compare each with the kept ones in its buckets.

    `last_kept` is, per bucket, the head of a list of kept texts, and `next_kept`, per text and band, the next in it.
    The first `earlier` texts are kept, and only they where there are any. Texts repeat one another whose `answers` are
    equal or near: `answer_places` (a, 2) says where in `answer_sets` the sorted shingles of one are and how many, -1
    where that is not known; then both texts become true in `asked`, and do not repeat one another.
    """
    bands = buckets.shape[1]
    for number in range(texts.size):
        text = texts[number]
        best, best_similarity, others = -1, 0.0, 0
        for band in range(bands if text >= earlier else 0):
            bucket = buckets[text, band]
            other = last_kept[bucket] if bucket >= 0 else -1
            while other >= 0:
                if compared_with[other] != text:
                    compared_with[other] = text
                    found = _jaccard(sets, starts[text], sizes[text], starts[other], sizes[other], threshold)
                    if found >= threshold:
                        same = answers[text] == answers[other]
                        if not same:
                            mine, theirs = answer_places[text, 1], answer_places[other, 1]
                            if mine < 0 or theirs < 0:
                                asked[text], asked[other] = True, True
                            elif mine and theirs:
                                a, b = answer_places[text, 0], answer_places[other, 0]
                                same = _jaccard(answer_sets, a, mine, b, theirs, threshold) >= threshold
                        if same:
                            _join(parents, active[text], active[other])
                            if found > best_similarity or (found == best_similarity and other < best):
                                best, best_similarity = other, found
                        else:
                            others += 1
                other = next_kept[other, band]
        if best >= 0:
            kept_instead[active[text]] = active[best]
            similarity[active[text]] = best_similarity
            continue
        if others < _ENOUGH and (not earlier or text < earlier):
            _list(text, buckets, last_kept, next_kept)


@compiled
def tie(  # noqa: PLR0913, PLR0917 - machine code takes flat arguments
    active: NDArray[np.int64],
    texts: NDArray[np.int32],
    buckets: NDArray[np.int32],
    last_kept: NDArray[np.int32],
    next_kept: NDArray[np.int32],
    compared_with: NDArray[np.int32],
    sets: NDArray[np.uint32],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    threshold: float,
    numbers: NDArray[np.uint64],
    partner: NDArray[np.int32],
    closeness: NDArray[np.float64],
    parents: NDArray[np.int32],
) -> None:
    """Join the texts, all kept, that are similar; write the most similar earlier one of each, and how similar it is.

    One with the same numbers goes before the others. A text that is similar to some dozen is not looked at for later
    ones: those are similar to some of these.
    """
    bands = buckets.shape[1]
    for number in range(texts.size):
        text = texts[number]
        best, best_similarity, best_same, count = -1, 0.0, False, 0
        for band in range(bands):
            bucket = buckets[text, band]
            other = last_kept[bucket] if bucket >= 0 else -1
            while other >= 0:
                if compared_with[other] != text:
                    compared_with[other] = text
                    found = _jaccard(sets, starts[text], sizes[text], starts[other], sizes[other], threshold)
                    if found >= threshold:
                        count += 1
                        _join(parents, active[text], active[other])
                        same = numbers[text] == numbers[other]
                        if (
                            best < 0
                            or (same and not best_same)
                            or (
                                same == best_same
                                and (found > best_similarity or (found == best_similarity and other < best))
                            )
                        ):
                            best, best_similarity, best_same = other, found, same
                other = next_kept[other, band]
        if best >= 0:
            partner[active[text]] = active[best]
            closeness[active[text]] = best_similarity
        if count < _MANY:
            _list(text, buckets, last_kept, next_kept)
