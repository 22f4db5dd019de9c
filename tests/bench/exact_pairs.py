"""All pairs of texts whose Jaccard similarity reaches a threshold, exactly: what duplicate finders are held to.

Shingles are numbered without hashing, so no two share a number. Of two sets with similarity t or more, at least one of
the first |A| - ceil(t |A|) + 1 elements of each, in one order for all, is common to both (prefix filter: Chaudhuri,
Ganti, Kaushik 2006); with rare shingles first, few pairs are left to compare.
"""

from collections.abc import Sequence
from fractions import Fraction

import numba
import numpy as np
from numpy.typing import NDArray

I64 = np.int64


def similar_pairs(texts: Sequence[str], threshold: str, ngram: int = 3) -> NDArray[np.int64]:
    """The pairs (i < j), one a row, whose sets of word runs are similar (Jaccard) to `threshold` ("0.7") or more."""
    share = Fraction(threshold)  # a decimal as text: 0.7 as a float is less than seven tenths
    sets, starts = _ranked_sets(texts, ngram)
    sizes = np.diff(starts)
    # Short sets first: then each set looks only at ones that are not longer.
    order = np.argsort(sizes, kind="stable")
    pairs = _join(sets, starts, order, share.numerator, share.denominator)
    found = np.sort(pairs, axis=1)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def _words(text: str) -> list[str]:
    """The words without the marks at their ends."""
    bare = [word.lstrip("\"'`([{").rstrip("\"'`)]}.,;:!?") for word in text.lower().split()]
    return [word for word in bare if word]


def _ranked_sets(texts: Sequence[str], ngram: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each text's shingles as ranks, rare ones first, ascending and without repeats, one text after the other."""
    numbers: dict[str, int] = {}
    words = [[numbers.setdefault(word, len(numbers)) for word in _words(text)] for text in texts]
    sizes = np.array([max(0, len(text) - ngram + 1) for text in words], I64)
    flat = np.array([number for text in words for number in text], I64)
    first = np.cumsum([0, *(len(text) for text in words)])[:-1]
    owner = np.repeat(np.arange(len(texts)), sizes)
    at = np.arange(owner.size) - np.repeat(np.cumsum(sizes) - sizes, sizes) + first[owner]
    codes = np.zeros(owner.size, I64)
    if len(numbers) ** ngram >= 2**63:
        raise ValueError(f"{len(numbers)} words are too many to number runs of {ngram}")
    for offset in range(ngram):
        codes = codes * len(numbers) + flat[at + offset]
    _, shingle, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rank = np.empty(counts.size, I64)
    rank[np.argsort(counts, kind="stable")] = np.arange(counts.size)
    ranked = rank[shingle]
    by_text = np.lexsort((ranked, owner))
    owner, ranked = owner[by_text], ranked[by_text]
    fresh = np.ones(owner.size, np.bool_)
    fresh[1:] = (owner[1:] != owner[:-1]) | (ranked[1:] != ranked[:-1])
    starts = np.zeros(len(texts) + 1, I64)
    np.cumsum(np.bincount(owner[fresh], minlength=len(texts)), out=starts[1:])
    return ranked[fresh], starts


@numba.njit(cache=True)
def _join(sets, starts, order, top, bottom):  # type: ignore[no-untyped-def]  # compiled: types come from the call
    """Pairs with |A and B| * bottom >= top * |A or B|."""
    most = -1
    for index in range(sets.size):
        most = max(most, sets[index])
    head = np.full(most + 1, -1, np.int64)  # per shingle, the last posting
    posting_text = np.empty(sets.size, np.int64)
    posting_next = np.empty(sets.size, np.int64)
    postings = 0
    seen_by = np.full(order.size, -1, np.int64)
    out = np.empty((1024, 2), np.int64)
    count = 0
    for text in order:
        begin, end = starts[text], starts[text + 1]
        size = end - begin
        prefix = size - (top * size + bottom - 1) // bottom + 1
        for at in range(begin, begin + min(prefix, size)):
            posting = head[sets[at]]
            while posting >= 0:
                other = posting_text[posting]
                posting = posting_next[posting]
                if seen_by[other] == text:
                    continue
                seen_by[other] = text
                i, j, both = begin, starts[other], 0
                while i < end and j < starts[other + 1]:
                    both += sets[i] == sets[j]
                    step = sets[i] <= sets[j]
                    j += sets[j] <= sets[i]
                    i += step
                union = size + starts[other + 1] - starts[other] - both
                if both * bottom >= top * union:
                    if count == out.shape[0]:
                        grown = np.empty((2 * count, 2), np.int64)
                        grown[:count] = out
                        out = grown
                    out[count, 0], out[count, 1] = text, other
                    count += 1
            posting_text[postings] = text
            posting_next[postings] = head[sets[at]]
            head[sets[at]] = postings
            postings += 1
    return out[:count]
