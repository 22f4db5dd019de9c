"""The benchmark's own parts: exact pairs against brute force, the judge against hand-made cases, a steady corpus."""

import hashlib
import itertools
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.corpus import chat_texts
from tests.bench.dedup import Truth, components, judge
from tests.bench.exact_pairs import similar_pairs


def shingle_set(text: str, ngram: int) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1)}


@given(
    st.lists(st.lists(st.sampled_from("abcD"), max_size=12).map(" ".join), max_size=25),
    st.sampled_from(["0.3", "0.5", "0.7", "0.75", "1"]),
    st.integers(1, 3),
)
def test_exact_pairs_are_those_of_brute_force(texts: list[str], threshold: str, ngram: int) -> None:
    sets = [shingle_set(text, ngram) for text in texts]
    expected = [
        [i, j]
        for i, j in itertools.combinations(range(len(texts)), 2)
        if sets[i] and sets[j] and Fraction(len(sets[i] & sets[j]), len(sets[i] | sets[j])) >= Fraction(threshold)
    ]
    assert similar_pairs(texts, threshold, ngram).tolist() == expected


def test_the_corpus_is_always_the_same_and_holds_near_copies() -> None:
    corpus = chat_texts(500)
    assert corpus.texts == chat_texts(500).texts
    assert len(corpus.texts) == 500
    assert int((corpus.copied_from != np.arange(500)).sum()) == 100
    pairs = {tuple(pair) for pair in similar_pairs(corpus.texts, "0.7").tolist()}
    planted = {(min(a, b), max(a, b)) for a, b in enumerate(corpus.copied_from.tolist()) if a != b}
    assert 60 <= len(pairs & planted) <= 98  # edits leave most, not all, above the threshold
    digest = hashlib.sha256("\0".join(corpus.texts).encode()).hexdigest()
    assert digest == hashlib.sha256("\0".join(chat_texts(500, seed=7).texts).encode()).hexdigest()
    assert chat_texts(500, seed=8).texts != corpus.texts


def make_truth(pairs: list[tuple[int, int]], count: int) -> Truth:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return Truth(array, components(array, count))


def test_the_judge_counts_a_chain_as_one_component() -> None:
    truth = make_truth([(0, 1), (1, 2)], 5)
    assert truth.due == 2
    assert judge([1], truth) == {"removed": 1, "recall": 1.0, "precision": 1.0, "direct_precision": 1.0}
    # Both ends and the middle gone: one of three should have stayed, and none is beside a kept row.
    assert judge([0, 1, 2], truth) == {"removed": 3, "recall": 1.0, "precision": 0.66667, "direct_precision": 0.0}
    # One end left: the other end is due, but not similar to what is kept.
    assert judge([1, 2], truth) == {"removed": 2, "recall": 1.0, "precision": 1.0, "direct_precision": 0.5}
    assert judge([3], truth) == {"removed": 1, "recall": 0.0, "precision": 0.0, "direct_precision": 0.0}


@pytest.mark.parametrize("seed", range(5))
def test_greedy_removal_of_all_pairs_is_perfect(seed: int) -> None:
    draw = random.Random(seed)
    pairs = sorted({tuple(sorted(draw.sample(range(40), 2))) for _ in range(30)})
    truth = make_truth(pairs, 40)
    kept: set[int] = set()
    for row in range(40):
        if not any(a in kept or b in kept for a, b in pairs if row in (a, b)):
            kept.add(row)
    verdict = judge([row for row in range(40) if row not in kept], truth)
    assert verdict["recall"] == verdict["precision"] == verdict["direct_precision"] == 1.0
