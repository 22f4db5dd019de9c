"""Sketches: shingles are word runs, minima are datasketch's, and threads change nothing."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.dedup.minhash import Banding, Unit, band_keys, permutations, signatures, sketch
from curate.dedup.word_marks import CLOSING, OPENING

pytestmark = pytest.mark.usefixtures("each_way_to_compare")
words = st.sampled_from(
    [
        "red",
        "Blue",
        "straße",
        "ÉTÉ",
        "日本",
        "ไทย",
        "mixed漢字text",
        "x",
        "a.b",
        "eightletters",
        "(eightmarks)...",
        "...",
        "[]",
        "“ÉTÉ”!",
        "12345678",
        "𠀋",
        "🙂",
        "ÅNGSTRÖM9",
    ]
)
units = st.sampled_from(["auto", "word", "character"])
spaces = st.sampled_from([" ", "  ", "\n", "\t \n", "\u00a0", "\u3000", "\u2003", "\u0085", "\u1680", "\u205f"])


# Scripts that write without spaces: each of their characters is a word.
ALONE = re.compile(
    "([\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U00033fff])"
)


def wide(marks: tuple[int, ...]) -> str:
    return "".join(mark.to_bytes((mark.bit_length() + 7) // 8, "big").decode() for mark in marks)


OPENS, CLOSES = "\"'`([{" + wide(OPENING), "\"'`.,;:!?)]}" + wide(CLOSING)


def split_words(text: str, unit: Unit = "auto") -> list[str]:
    """What the words of a text are, written plainly. Control characters separate words here."""
    text = "".join(" " if c < " " else c for c in text.lower())
    if unit == "character":
        return list("".join(text.split()))
    words = (ALONE.sub(r" \1 ", text) if unit == "auto" else text).split()
    return [bare for word in words if (bare := bare_word(word))]


def bare_word(word: str) -> str:
    """A word without the marks at its ends; one of marks with brackets among them stays."""
    bare = word.lstrip(OPENS).rstrip(CLOSES)
    return word if not bare and set(word) & set("()[]{}") else bare


def runs(text: str, ngram: int, unit: Unit = "auto") -> list[tuple[str, ...]]:
    split = split_words(text, unit)
    return [tuple(split[at : at + ngram]) for at in range(len(split) - ngram + 1)]


def hashes(
    texts: list[str], ngram: int = 3, unit: Unit = "auto", ignored_share: float | None = None
) -> list[list[int]]:
    made = sketch(texts, Banding(ngram, 2, 2, 1, unit, fewest=0), ignored_share=ignored_share)
    return [made.shingles[a:b].tolist() for a, b in zip(made.starts, made.starts[1:], strict=False)]


@given(
    st.lists(st.tuples(spaces, st.lists(st.tuples(words, spaces), max_size=9)), max_size=6), st.integers(1, 4), units
)
def test_shingles_are_equal_exactly_where_word_runs_are(
    parts: list[tuple[str, list[tuple[str, str]]]], ngram: int, unit: Unit
) -> None:
    texts = [before + "".join(word + space for word, space in rest) for before, rest in parts]
    found = [shingle for text in hashes(texts, ngram, unit) for shingle in text]
    expected = [run for text in texts for run in runs(text, ngram, unit)]
    assert len(found) == len(expected)
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))


@given(st.lists(st.text(max_size=40), max_size=5), units)
def test_any_text_has_as_many_shingles_as_word_runs(texts: list[str], unit: Unit) -> None:
    assert [len(shingles) for shingles in hashes(texts, unit=unit)] == [len(runs(text, 3, unit)) for text in texts]


@given(st.lists(st.text(st.characters(max_codepoint=0x7F), max_size=40), max_size=5))
def test_texts_of_ascii_alone_and_beside_others_are_the_same(texts: list[str]) -> None:
    assert hashes(texts) == hashes([*texts, "é"])[:-1]


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), max_size=8).map(" ".join), min_size=1, max_size=8),
    st.floats(0.01, 0.99),
)
def test_frequent_shingles_are_ignored(texts: list[str], share: float) -> None:
    most = max(1, int(share * len(texts)))
    in_texts = Counter(run for text in texts for run in set(runs(text, 2)))
    expected = [[run for run in runs(text, 2) if in_texts[run] <= most] for text in texts]
    found = hashes(texts, 2, ignored_share=share)
    assert [len(shingles) for shingles in found] == [len(left) for left in expected]
    pairs = {pair for ours, left in zip(found, expected, strict=True) for pair in zip(ours, left, strict=True)}
    assert len(pairs) == len({run for left in expected for run in left})


def test_band_keys_do_not_depend_on_how_they_were_reached() -> None:
    texts = [f"{n} {n % 7} some words {n % 3} that vary {n % 11} a little" for n in range(50)]
    at_once = sketch(texts, Banding())
    assert (band_keys(at_once.shingles, at_once.starts, Banding()) == at_once.band_keys).all()
    assert (sketch(texts, Banding(), ignored_share=0.999).band_keys == at_once.band_keys).all()


def test_minima_are_datasketchs() -> None:
    datasketch = pytest.importorskip("datasketch")
    for size in (1, 7, 300):
        values = np.random.default_rng(size).integers(0, 2**32, size, dtype=np.uint32)
        oracle = datasketch.MinHash(num_perm=128, seed=42, scheme="affine32", hashfunc=lambda value: value)
        oracle.update_batch(values.tolist())
        ours = signatures(values, np.array([0, size]), 128, 42)
        assert ours[0].tolist() == oracle.hashvalues.tolist()


def test_band_keys_meet_where_datasketchs_bands_do() -> None:
    datasketch = pytest.importorskip("datasketch")
    draw = np.random.default_rng(3)
    vocabulary = [f"w{n}" for n in range(60)]
    texts = [" ".join(draw.choice(vocabulary, 30)) for _ in range(30)]
    texts += [" ".join([*text.split()[:-4], "other", "end"]) for text in texts]
    made = sketch(texts, Banding(2, 16, 2, 5))
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
    one = sketch(texts, Banding(3, 4, 2, 1), threads=1)
    three = sketch(texts, Banding(3, 4, 2, 1), threads=3)
    assert (one.shingles == three.shingles).all()
    assert (one.band_keys == three.band_keys).all()
    alone = sketch(texts[4000:4001], Banding(3, 4, 2, 1))
    assert (alone.band_keys[:, 0] == one.band_keys[:, 4000]).all()


def test_no_texts_at_all() -> None:
    empty = sketch([], Banding(3, 4, 2, 1))
    assert empty.shingles.size == 0
    assert empty.starts.tolist() == [0]


def test_short_texts_have_two_shingles_of_all_their_words() -> None:
    texts = ["one two", "ONE  two.", "two one", "...", "one two three four"]
    made = sketch(texts, Banding(3))
    assert np.diff(made.starts).tolist() == [2, 2, 2, 0, 2]
    first, same, other = (made.shingles[at : at + 2].tolist() for at in (0, 2, 4))
    assert first == same
    assert not set(first) & set(other)


def test_scenes_share_no_shingle_and_one_scene_shares_all() -> None:
    text = "one two three four five"
    made = sketch([text] * 4, Banding(3), scenes=np.array([0, 7, 9, 7], np.uint64))
    sets = made.shingles.reshape(4, 3)
    assert (sets[1] == sets[3]).all()
    assert len(set(sets[:3].ravel().tolist())) == 9


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("3 apples and 4 pears", "4 pears and 3 apples", True),
        ("no numbers", "none at all", True),
        ("version w15", "version w16", True),
        ("5", "-5", False),
        ("1.5", "15", False),
        ("5-3", "5 3", True),
        ("٥ and ５", "5 and 5", True),
        ("10", "10 10", False),
    ],
)
def test_numbers_count_as_often_as_they_stand(one: str, other: str, same: bool) -> None:
    first, second = sketch([one, other], Banding()).numbers.tolist()
    assert (first == second) == same
