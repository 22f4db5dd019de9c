"""Sketches: shingles are word runs, minima are datasketch's, and threads change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.minhash import minima, permutations, sketch

words = st.sampled_from(["red", "green", "Blue", "straße", "ÉTÉ", "日本", "x", "a.b"])
spaces = st.sampled_from([" ", "  ", "\n", "\t \n", "\u00a0", "\u3000", "\u2003", "\u0085", "\u1680", "\u205f"])


def runs(text: str, ngram: int) -> list[tuple[str, ...]]:
    split = text.lower().split()
    return [tuple(split[at : at + ngram]) for at in range(len(split) - ngram + 1)]


def hashes(texts: list[str], ngram: int = 3, threads: int = 1) -> list[list[int]]:
    made = sketch(texts, ngram=ngram, bands=2, rows=2, seed=1, threads=threads)
    return [made.shingles[a:b].tolist() for a, b in zip(made.starts, made.starts[1:], strict=False)]


@given(st.lists(st.tuples(spaces, st.lists(st.tuples(words, spaces), max_size=9)), max_size=6), st.integers(1, 4))
@settings(deadline=None)  # the first example compiles
def test_shingles_are_equal_exactly_where_word_runs_are(
    parts: list[tuple[str, list[tuple[str, str]]]], ngram: int
) -> None:
    texts = [before + "".join(word + space for word, space in rest) for before, rest in parts]
    found = [shingle for text in hashes(texts, ngram) for shingle in text]
    expected = [run for text in texts for run in runs(text, ngram)]
    assert len(found) == len(expected)
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))


@given(st.lists(st.text(max_size=40), max_size=5))
@settings(deadline=None)  # the first example compiles
def test_any_text_has_as_many_shingles_as_word_runs(texts: list[str]) -> None:
    # Python's split leaves NUL and other control characters inside words; here they separate words too.
    plain = ["".join(" " if c < " " or c in "\x1c\x1d\x1e\x1f" else c for c in text) for text in texts]
    assert [len(shingles) for shingles in hashes(plain)] == [len(runs(text, 3)) for text in plain]


def test_minima_are_datasketchs() -> None:
    datasketch = pytest.importorskip("datasketch")
    for size in (1, 7, 300):
        values = np.random.default_rng(size).integers(0, 2**32, size, dtype=np.uint32)
        oracle = datasketch.MinHash(num_perm=128, seed=42, scheme="affine32", hashfunc=lambda value: value)
        oracle.update_batch(values.tolist())
        assert minima(values, 128, 42).tolist() == oracle.hashvalues.tolist()


def test_band_keys_meet_where_datasketchs_bands_do() -> None:
    datasketch = pytest.importorskip("datasketch")
    draw = np.random.default_rng(3)
    vocabulary = [f"w{n}" for n in range(60)]
    texts = [" ".join(draw.choice(vocabulary, 30)) for _ in range(30)]
    texts += [" ".join([*text.split()[:-4], "other", "end"]) for text in texts]
    made = sketch(texts, ngram=2, bands=16, rows=2, seed=5)
    ours = {(a, b) for a in range(60) for b in range(a) if (made.band_keys[:, a] == made.band_keys[:, b]).any()}
    sketches = []
    for a, b in zip(made.starts, made.starts[1:], strict=False):
        sketches.append(datasketch.MinHash(num_perm=32, seed=5, scheme="affine32", hashfunc=lambda value: value))
        sketches[-1].update_batch(made.shingles[a:b].tolist())
    index = datasketch.MinHashLSH(num_perm=32, params=(16, 2))
    theirs = set()
    for number, oracle in enumerate(sketches):
        theirs |= {(number, other) for other in index.query(oracle)}
        index.insert(number, oracle)
    assert ours == theirs
    assert len(ours) >= 30


def test_permutations_are_bijections() -> None:
    a, _ = permutations(64, 9)
    assert (a % 2 == 1).all()


def test_threads_and_neighbours_change_nothing() -> None:
    draw = np.random.default_rng(2)
    texts = [" ".join(draw.choice(["a", "b", "é", "D"], draw.integers(0, 12))) for _ in range(5000)]
    one = sketch(texts, ngram=3, bands=4, rows=2, seed=1, threads=1)
    three = sketch(texts, ngram=3, bands=4, rows=2, seed=1, threads=3)
    assert (one.shingles == three.shingles).all()
    assert (one.band_keys == three.band_keys).all()
    alone = sketch(texts[4000:4001], ngram=3, bands=4, rows=2, seed=1)
    assert (alone.band_keys[:, 0] == one.band_keys[:, 4000]).all()


def test_no_texts_at_all() -> None:
    empty = sketch([], ngram=3, bands=4, rows=2, seed=1)
    assert empty.shingles.size == 0
    assert empty.starts.tolist() == [0]
