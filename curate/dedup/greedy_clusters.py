"""Which of many texts repeat another: candidates from MinHash bands, each verified by exact Jaccard, one kept of each.

Texts are numbered in the order of preference. Each is compared with the kept ones it shares a band with: where one is
similar enough, has the same numbers in it and an answer that says the same, the text is dropped because of it, else it
is kept. So a dropped text always repeats the text itself that is kept instead. Kept texts that are similar all the same
are told of, and tied.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from curate.core.union_find import UnionFind
from curate.dedup import few_texts
from curate.dedup.minhash import Sketches
from curate.table.array_allocator import ArrayAllocator

I32, U32, U64 = np.int32, np.uint32, np.uint64
_KIND_FACTOR = U64(0x9E3779B97F4A7C15)
_FEW_SHINGLES = 1 << 17  # Python chooses among so many in less time than it takes to load machine code and compile it
_CHOOSE_TEXTS = 1 << 17  # texts that are gone through before memory is let go of


@dataclass(frozen=True, slots=True)
class Clusters:
    """For each of n texts: `kept_instead` (itself where it is kept), `similarity` to that one, and `component`.

    Texts that are similar, or that a dropped one ties together, share a component, named by the smallest number in it.
    `partner` is the most similar of the kept texts before a kept one, -1 where none is similar, and `closeness` says
    how similar it is.
    """

    kept_instead: NDArray[np.int32]
    similarity: NDArray[np.float64]
    component: NDArray[np.int32]
    partner: NDArray[np.int32]
    closeness: NDArray[np.float64]


AnswerShingles = Callable[[NDArray[np.int64]], tuple[NDArray[np.uint32], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What stands beside n texts, as `row_keys.beside` has it; nothing where it is not given.

    Texts repeat one another only where `scenes` and `fixed` are equal and `answers` equal or near: `shingles` gives
    those of some answers, one after the other, and where each one's start. The first `earlier` texts are of another
    dataset: they are not compared with each other, and whatever is fixed or answered, texts that are similar to them
    and have their numbers repeat them.
    """

    scenes: NDArray[np.uint64] | None = None
    fixed: NDArray[np.uint64] | None = None
    answers: NDArray[np.uint64] | None = None
    shingles: AnswerShingles | None = None
    earlier: int = 0


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
    found = Clusters(
        allocator.numbered(total, I32),
        allocator.filled(total, 1, np.float64),
        allocator.numbered(total, I32),
        allocator.filled(total, -1, I32),
        allocator.filled(total, 0, np.float64),
    )
    usable = (np.diff(sketches.starts) > 0)[order]
    few = sketches.shingles.size <= _FEW_SHINGLES
    make = _FewTexts if few else _ManyTexts
    work: _Texts = make(sketches, order, usable, threshold, found, threads, allocator)
    texts = work.texts
    zero = np.zeros(total, U64)
    numbers = sketches.numbers[order]
    in_scene = _kinds(numbers, zero if rules.scenes is None else rules.scenes)
    answers = zero if rules.answers is None else rules.answers
    if (texts < rules.earlier).any():
        work.choose(texts, rules.earlier, in_scene, zero)
        texts = texts[(found.kept_instead[texts] == texts) & (texts >= rules.earlier)]
        found.component[:] = np.arange(total, dtype=I32)  # those that went tie nothing
    kinds = in_scene if rules.fixed is None else _kinds(in_scene, rules.fixed)
    while (asked := work.choose(texts, 0, kinds, answers)).size and rules.shingles is not None:
        # Answers of texts that are similar, and are not equal: what they say is looked at only now.
        work.know_answers(asked, *rules.shingles(asked))
        found.kept_instead[texts], found.similarity[texts] = texts, 1
        found.component[:] = np.arange(total, dtype=I32)
    kept = texts[found.kept_instead[texts] == texts]
    work.tie(kept, numbers)
    return found


def _kinds(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A number for each pair of numbers."""
    mixed = (one ^ (other * _KIND_FACTOR)) * _KIND_FACTOR
    kinds: NDArray[np.uint64] = mixed ^ (mixed >> U64(29))
    return kinds


class _Texts(Protocol):
    """The texts that can be similar to another, by either way of comparing them."""

    texts: NDArray[np.int32]

    def choose(
        self, texts: NDArray[np.int32], earlier: int, kinds: NDArray[np.uint64], answers: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        """Decide on these texts, and return those whose answers' shingles should be known, and are not."""

    def know_answers(self, texts: NDArray[np.int64], shingles: NDArray[np.uint32], starts: NDArray[np.int64]) -> None:
        """Take in the shingles of the answers of these texts."""

    def tie(self, texts: NDArray[np.int32], numbers: NDArray[np.uint64]) -> None:
        """Join those of these texts that are similar, and say to which each is the most."""


class _FewTexts:
    """Texts of which so few are compared that Python is done before machine code is loaded."""

    def __init__(
        self, sketches: Sketches, order: NDArray[np.int32], usable: NDArray[np.bool_], threshold: float,
        found: Clusters, threads: int, allocator: ArrayAllocator,
    ) -> None:  # fmt: skip
        del threads, allocator
        self.texts = np.flatnonzero(usable).astype(I32)
        self._sets = [
            frozenset(sketches.shingles[sketches.starts[at] : sketches.starts[at + 1]].tolist())
            for at in order.tolist()
        ]
        self._keys = sketches.band_keys[:, order]
        self._threshold, self._found = threshold, found
        self._answers = dict[int, frozenset[int]]()
        self._joined = UnionFind[int]()

    def choose(
        self, texts: NDArray[np.int32], earlier: int, kinds: NDArray[np.uint64], answers: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        self._joined = UnionFind[int]()
        out = self._found.kept_instead, self._found.similarity, self._joined
        asked = few_texts.choose(
            self._sets, self._keys, texts.tolist(), earlier, kinds, self._threshold, (answers, self._answers), out
        )
        return np.array(sorted(asked - self._answers.keys()), np.int64)

    def know_answers(self, texts: NDArray[np.int64], shingles: NDArray[np.uint32], starts: NDArray[np.int64]) -> None:
        for number, first, last in zip(texts.tolist(), starts.tolist(), starts[1:].tolist(), strict=False):
            self._answers[number] = frozenset(shingles[first:last].tolist())

    def tie(self, texts: NDArray[np.int32], numbers: NDArray[np.uint64]) -> None:
        out = self._found.partner, self._found.closeness, self._joined
        few_texts.tie(self._sets, self._keys, texts.tolist(), self._threshold, numbers, out)
        self._found.component[:] = [self._joined.smallest(text) for text in range(len(self._sets))]


class _ManyTexts:
    """Texts that machine code compares: those that share a bucket with another, numbered among themselves."""

    def __init__(
        self, sketches: Sketches, order: NDArray[np.int32], usable: NDArray[np.bool_], threshold: float,
        found: Clusters, threads: int, allocator: ArrayAllocator,
    ) -> None:  # fmt: skip
        self._threshold, self._found, self._threads, self._allocator = threshold, found, threads, allocator
        self._active, self._buckets = _buckets(sketches, order, usable, threads, allocator)
        self.texts = self._active.astype(I32)
        self._sizes = np.diff(sketches.starts)[order[self._active]]
        self._sets, self._starts = _sorted_sets(sketches, order[self._active], self._sizes, threads, allocator)
        self._answers = np.empty(0, U32)
        self._places = np.full((self._active.size, 2), -1, np.int64)

    def choose(
        self, texts: NDArray[np.int32], earlier: int, kinds: NDArray[np.uint64], answers: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        from curate.core.numba_kernels import call
        from curate.dedup import cluster_kernels as kernels

        here, found = self._own(texts), self._found
        buckets, count = self._split(here, kinds[self._active])
        asked = np.zeros(self._active.size, np.bool_)
        first = int(np.searchsorted(self._active, earlier))
        lists = self._lists(count)
        for some in self._parts(here):
            call(
                kernels.choose, self._active, some, first, buckets, *lists, self._sets, self._starts, self._sizes,
                self._threshold, answers[self._active], self._answers, self._places, asked, found.kept_instead,
                found.similarity, found.component,
            )  # fmt: skip
        return self._active[asked & (self._places[:, 1] < 0)]

    def know_answers(self, texts: NDArray[np.int64], shingles: NDArray[np.uint32], starts: NDArray[np.int64]) -> None:
        here, sets = self._own(texts.astype(I32)), [self._answers]
        used = self._answers.size
        for number, first, last in zip(here.tolist(), starts.tolist(), starts[1:].tolist(), strict=False):
            sets.append(np.unique(shingles[first:last]))
            self._places[number] = used, sets[-1].size
            used += sets[-1].size
        self._answers = np.concatenate(sets)

    def tie(self, texts: NDArray[np.int32], numbers: NDArray[np.uint64]) -> None:
        from curate.core.numba_kernels import call
        from curate.dedup import cluster_kernels as kernels

        here, found = self._own(texts), self._found
        lists = self._lists(int(self._buckets.max(initial=-1)) + 1)
        for some in self._parts(here):
            call(
                kernels.tie, self._active, some, self._buckets, *lists, self._sets, self._starts, self._sizes,
                self._threshold, numbers[self._active], found.partner, found.closeness, found.component,
            )  # fmt: skip
        call(kernels.flatten, found.component)

    def _own(self, texts: NDArray[np.int32]) -> NDArray[np.int32]:
        """The numbers of these texts among those that share a bucket."""
        return np.searchsorted(self._active, texts).astype(I32)

    def _parts(self, texts: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
        for first in range(0, texts.size, _CHOOSE_TEXTS):
            yield texts[first : first + _CHOOSE_TEXTS]
            self._allocator.settle()

    def _lists(self, buckets: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Lists of texts, one for each bucket, and which text each was compared with last."""
        return (
            np.full(buckets, -1, I32),
            self._allocator.filled(self._buckets.shape, -1, I32),
            np.full(self._active.size, -1, I32),
        )

    def _split(self, here: NDArray[np.int32], kinds: NDArray[np.uint64]) -> tuple[NDArray[np.int32], int]:
        """The buckets of these texts, parted by kind, and how many there are."""
        from curate.core.numba_kernels import call
        from curate.dedup import cluster_kernels as kernels

        if here.size == self._active.size and (kinds == kinds[:1]).all():
            return self._buckets, int(self._buckets.max(initial=-1)) + 1
        out = self._allocator.empty(self._buckets.shape, I32)

        def band(number: int) -> int:
            column = np.empty(len(out), I32)
            count = int(call(kernels.split_buckets, self._buckets[:, number].copy(), here, kinds, column))
            out[:, number] = column
            return count

        counts = _each(band, out.shape[1], self._threads)
        firsts = np.cumsum([0, *counts])
        out += np.where(out >= 0, firsts[:-1].astype(I32), I32(0))
        return out, int(firsts[-1])


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
