"""Texts become vectors; names that don't lead to a model are said."""

from pathlib import Path

import numpy as np
import pytest

from curate.core.errors import ConfigError
from curate.core.text.embedding import Embedder, find_embedder


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return find_embedder("embedded:minilm", Path())


def test_vectors_have_length_one_and_meet_in_meaning(minilm: Embedder) -> None:
    texts = ["How do I get my money back?", "I want a refund.", "The cat sleeps on the sofa.", "", "\ud800 odd"]
    heard: list[int] = []
    vectors = minilm.encode([*texts, texts[0]], heard.append)
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert vectors[0].tolist() == vectors[5].tolist()
    assert sum(heard) == 6
    assert minilm.window == 256


def test_no_texts_give_no_vectors(minilm: Embedder) -> None:
    assert minilm.encode([]).shape == (0, 384)


def test_the_digest_is_that_of_the_files(minilm: Embedder, tmp_path: Path) -> None:
    assert minilm.digest == find_embedder("embedded:minilm", tmp_path).digest
    (tmp_path / "config.json").write_text("{}")
    assert find_embedder(str(tmp_path), Path()).digest != minilm.digest


@pytest.mark.parametrize("name", ["embedded:other", "./nowhere", "a/b/c"])
def test_an_unknown_embedder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        find_embedder(name, tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"modules\.json"):
        find_embedder(".", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="can't be loaded"):
        find_embedder(".", tmp_path).encode(["x"])
