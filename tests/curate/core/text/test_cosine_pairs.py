"""Pairs by cosine: tile by tile as by the whole matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import DataError
from curate.core.text import cosine_pairs as semantic
from curate.core.text.cosine_pairs import Pairs, choose_kept, similar_across, similar_pairs


def unit(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 9), st.sampled_from([-0.5, 0.3, 0.9]))
def test_tiles_give_what_the_whole_matrix_gives(count: int, others: int, tile: int, threshold: float) -> None:
    left, right = unit(count, 1), unit(others, 2)
    whole = np.round((left @ right.T).astype(np.float64), 4)
    across = similar_across(left, right, threshold, tile=tile)
    expected = np.argwhere(whole >= threshold)
    assert np.stack([across.left, across.right], axis=1).tolist() == expected.tolist()
    within = similar_pairs(left, threshold, tile=tile)
    own = np.argwhere(np.triu(np.round((left @ left.T).astype(np.float64), 4) >= threshold, 1))
    assert np.stack([within.left, within.right], axis=1).tolist() == own.tolist()


def test_a_chain_drops_only_what_is_similar_to_what_is_kept() -> None:
    chain = Pairs(np.array([0, 1, 1]), np.array([1, 2, 3]), np.array([0.9, 0.95, 0.8]))
    kept_instead, similarity = choose_kept(chain, 4)
    assert kept_instead.tolist() == [0, 0, 2, 3]
    assert similarity.tolist() == [1.0, 0.9, 1.0, 1.0]


def test_the_most_similar_kept_text_is_named() -> None:
    pairs = Pairs(np.array([0, 1]), np.array([2, 2]), np.array([0.8, 0.9]))
    assert choose_kept(pairs, 3)[0].tolist() == [0, 1, 1]


def test_too_many_pairs_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "_MAX_PAIRS", 5)
    with pytest.raises(DataError, match="more than 5 pairs"):
        similar_pairs(np.ones((9, 1), np.float32), 0.9, tile=2)
