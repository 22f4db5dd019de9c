"""Words, their places, and hashes of runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.text.leaks.hashed_words import Template, count_runs, run_hashes, split_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Janet\u2019s Café, don't pay 1,000!", ["Janet\u2019s", "Café", "don't", "pay", "1", "000"]),
        ("日本語 test", ["日", "本", "語", "test"]),
        ("a𠀀b 🙂", ["a", "𠀀", "b"]),
        ("snake_case(x)", ["snake", "case", "x"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"[:-1]]),
        ("", []),
        ("\ud800 x", ["x"]),
    ],
)
def test_words_have_places(text: str, expected: list[str]) -> None:
    words = split_words([text])
    assert [text[a:b] for a, b in zip(words.begins, words.ends, strict=True)] == expected


def test_folded_words_are_equal() -> None:
    a, b = split_words(["Ｊanet\u2019s CAFÉ"]), split_words(["janets cafe"])
    assert a.hashes.tolist() == b.hashes.tolist()


@given(st.lists(st.text(max_size=30), max_size=6))
def test_a_text_has_the_same_words_alone_and_among_others(texts: list[str]) -> None:
    together = split_words(texts)
    for number, text in enumerate(texts):
        alone = split_words([text])
        assert together.hashes[together.of(number)].tolist() == alone.hashes.tolist()
        assert together.begins[together.of(number)].tolist() == alone.begins.tolist()


def test_a_run_has_one_hash_wherever_it_stands() -> None:
    hashes = run_hashes(split_words(["x y one two three z one two three"]).hashes, 3)
    assert hashes[2] == hashes[6]
    assert len(set(hashes.tolist())) == 6
    assert run_hashes(split_words(["too short"]).hashes, 3).size == 0


def test_runs_are_counted_once_a_text() -> None:
    counts = count_runs(
        [split_words(["go on go on go on go on", "go on go on"]), split_words(["x go on go on"])], 4, 1 << 12
    )
    assert sorted(counts[counts > 0].tolist()) == [1, 1, 3]


def test_every_word_of_a_common_run_is_masked() -> None:
    texts = ["please answer this question now: why", "please answer this question now: how so", "what is this question"]
    words = split_words(texts)
    template = Template(4, count_runs([words], 4, 1 << 12) > 1)
    masked = template.mask(words)
    assert [masked[words.of(n)].tolist() for n in range(3)] == [
        [True] * 5 + [False],
        [True] * 5 + [False] * 2,
        [False] * 4,
    ]
    assert masked.dtype == np.bool_
