"""The index finds every pair that a comparison of all pairs finds, with the same similarity."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.text.leaks.char_jaccard import index_items
from curate.core.text.leaks.hashed_words import split_words

TEXTS = st.lists(st.text(alphabet="abc de", max_size=40), max_size=12)


def grams(text: str, n: int) -> set[str]:
    normal = " ".join(text.split())
    return {normal[at : at + n] for at in range(len(normal) - n + 1)}


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS.filter(bool), st.sampled_from([2, 3, 5]), st.sampled_from([0.2, 0.5, 0.6, 0.75, 1.0]))
def test_prefix_filtering_misses_nothing(texts: list[str], items: list[str], ngram: int, threshold: float) -> None:
    words, item_words = split_words(texts), split_words(items)
    index = index_items(item_words, np.zeros(item_words.hashes.size, np.bool_), ngram, threshold)
    found = index.find(words, np.zeros(words.hashes.size, np.bool_))
    expected = {}
    for t, text in enumerate(texts):
        for i, item in enumerate(items):
            a, b = grams(text, ngram), grams(item, ngram)
            if a and b and len(a & b) / len(a | b) >= threshold:
                expected[t, i] = len(a & b) / len(a | b)
    assert {(int(t), int(i)): float(s) for t, i, s in zip(*found, strict=True)} == expected


def test_masked_words_are_left_out() -> None:
    words = split_words(["please answer: deep blue sea", "deep blue sea"])
    masked = np.zeros(words.hashes.size, np.bool_)
    masked[:2] = True
    items = split_words(["deep blue sea"])
    index = index_items(items, np.zeros(3, np.bool_), 5, 0.9)
    _, _, similarity = index.find(words, masked)
    assert similarity.tolist() == [1.0, 1.0]


def test_words_that_no_space_parts_are_compared() -> None:
    words = split_words(["今天早上小明在图书馆借了三本书", "今天早上小红在图书馆借了两本书"])
    own = np.zeros(words.hashes.size, np.bool_)
    texts, items, similarity = index_items(words, own, 3, 0.5).find(words, own)
    assert sorted(zip(texts.tolist(), items.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert similarity.max() == 1.0
