"""Few texts by Python: sketches and clusters are those of machine code."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curate.dedup import few_texts, greedy_clusters
from curate.dedup.greedy_clusters import Clusters, Rules, find_clusters
from curate.dedup.minhash import Banding, Sketches, Unit, sketch

Way = Literal["few", "many"]
# Words around eight letters, where machine code goes from one piece to the next; scripts without spaces; every space.
PIECES = st.sampled_from(
    [
        *("a", "Zz", "[@`{", "~\x7f", "seven77", "EIGHTlet", "ninewords", "sixteen letters!", "x" * 40),
        *("straße", "ÉTÉ", "İ", "ΑΣ", "\xff", "߿", "ࠀ", "\ufffd", "\U0010ffff", "😀", "\x80"),
        *("ก", "\u0dff", "\u0e00", "\u0fff", "\u1000", "\u109f", "\u10a0", "\u177f", "\u1780", "\u17ff", "\u1800"),
        *("\u303f", "\u3040", "ァ", "\u30ff", "\u3100", "\u33ff", "\u3400", "漢字", "\u9fff", "\ua000"),
        *("\uf8ff", "\uf900", "\ufaff", "\ufb00", "\U0001ffff", "\U00020000", "\U00033fff", "\U00034000"),
        *("\ud800", "\udbff", "\udc00", "\udfff", "a\ud800b"),
    ]
)
SPACES = st.sampled_from(
    [*" \n\t\0\x1f\x85\xa0\u1680\u2000\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\u180e", "", "  "]
)
ANY = st.text(st.characters(exclude_categories=()), max_size=30)
ASCII = st.text(st.characters(max_codepoint=0x7F), max_size=60)
MIXED = st.lists(PIECES | SPACES, max_size=24).map("".join)


def in_both_ways(texts: list[str], banding: Banding, ignored_share: float | None = None) -> list[Sketches]:
    """By Python, then by machine code."""
    made = []
    for limit in (1 << 50, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(few_texts, "_FEW_BYTES", limit)
            made.append(sketch(texts, banding, ignored_share=ignored_share))
    return made


@given(
    st.lists(ASCII, max_size=5) | st.lists(MIXED | ASCII | ANY, max_size=5),
    st.integers(1, 5),
    st.sampled_from(["auto", "word", "character"]),
    st.sampled_from([(4, 1), (3, 2), (1, 7), (0, 1)]),
    st.sampled_from([0, 1, 2**32 - 1]),
)
@example(["".join(map(chr, range(0x80)))], 1, "word", (2, 2), 0)
@example(["".join(map(chr, range(0x80, 0x3100)))], 1, "auto", (2, 2), 0)
@example([f"{chr(code)}a{chr(code)}" for code in range(0x1600, 0x3100)], 1, "word", (1, 1), 0)
def test_sketches_are_those_of_machine_code(
    texts: list[str], ngram: int, unit: Unit, bands: tuple[int, int], seed: int
) -> None:
    one, other = in_both_ways(texts, Banding(ngram, *bands, seed, unit))
    assert one.starts.tolist() == other.starts.tolist()
    assert one.shingles.tolist() == other.shingles.tolist()
    assert one.band_keys.tolist() == other.band_keys.tolist()
    assert one.numbers.tolist() == other.numbers.tolist()


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=8).map(" ".join), min_size=1, max_size=8))
def test_frequent_shingles_are_ignored_alike(texts: list[str]) -> None:
    one, other = in_both_ways(texts, Banding(2, 2, 2), ignored_share=0.4)
    assert one.shingles.tolist() == other.shingles.tolist()
    assert one.band_keys.tolist() == other.band_keys.tolist()


def clusters(
    made: Sketches, threshold: float, rules: Rules, order: NDArray[np.int32] | None, threads: int, way: Way
) -> Clusters:
    copied = replace(made, band_keys=made.band_keys.copy())  # they are used up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy_clusters, "_FEW_SHINGLES", 1 << 50 if way == "few" else -1)
        return find_clusters(copied, threshold, rules, order=order, threads=threads)


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join), max_size=20),
    st.sampled_from([0.01, 0.3, 0.5, 0.7, 2 / 3, 1.0]),
    st.sampled_from([(32, 1), (3, 2), (1, 1), (8, 4)]),
    st.data(),
)
def test_clusters_are_those_of_machine_code(
    texts: list[str], threshold: float, bands: tuple[int, int], data: st.DataObject
) -> None:
    def drawn(most: int) -> NDArray[np.uint64]:
        some = st.lists(st.integers(0, most), min_size=len(texts), max_size=len(texts))
        return np.array(data.draw(some), np.uint64)

    said = sketch(["a b c d", "a b c e", "e f g", "e f"], Banding(1, 0))
    scenes, answers = drawn(1), drawn(3)

    def shingles(asked: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        sets = [said.shingles[said.starts[at] : said.starts[at + 1]] for at in answers[asked].astype(int).tolist()]
        return np.concatenate(sets), np.cumsum([0, *map(len, sets)])

    made = sketch(
        texts, Banding(data.draw(st.integers(1, 3)), *bands, fewest=data.draw(st.integers(0, 4))), scenes=scenes
    )
    rules = Rules(scenes, drawn(1), answers, shingles, data.draw(st.integers(0, len(texts))))
    made = replace(made, numbers=drawn(1))
    numbers = data.draw(st.none() | st.permutations(range(len(texts))))
    order = None if numbers is None else np.array(numbers, np.int32)
    one, other = (clusters(made, threshold, rules, order, data.draw(st.sampled_from([1, 2])), way)
                  for way in ("few", "many"))  # fmt: skip
    assert one.kept_instead.tolist() == other.kept_instead.tolist()
    assert one.similarity.tolist() == other.similarity.tolist()
    assert one.component.tolist() == other.component.tolist()
    assert one.partner.tolist() == other.partner.tolist()
    assert one.closeness.tolist() == other.closeness.tolist()


@pytest.mark.parametrize("way", ["few", "many"])
def test_of_texts_that_are_as_similar_the_preferred_one_stays_instead(way: Way) -> None:
    texts = [f"{n} alone" for n in range(10)]
    texts[1], texts[8], texts[9] = "a b c d e f", "a b c d g h", "a b c d"
    made = clusters(sketch(texts, Banding(1, 32, 1)), 0.6, Rules(), None, 1, way)
    assert made.kept_instead.tolist() == [*range(9), 1]
    assert made.component.tolist() == [0, 1, *range(2, 8), 1, 1]


def test_some_of_all_texts_may_be_compared() -> None:
    """As rows that reading sketched: those that are left, in the order of preference."""
    texts = [" ".join(f"w{(n * k) % 7}" for k in range(8)) for n in range(60)]
    made, order = sketch(texts, Banding()), np.array([*range(59, 0, -2), 0, 4], np.int32)
    one, other = (clusters(made, 0.5, Rules(), order, 1, way) for way in ("few", "many"))
    assert one.kept_instead.tolist() == other.kept_instead.tolist()
    assert one.kept_instead.size == order.size
    assert (one.kept_instead != np.arange(order.size)).sum() > 3
    apart = sketch([texts[at] for at in order], Banding())
    assert one.kept_instead.tolist() == clusters(apart, 0.5, Rules(), None, 1, "few").kept_instead.tolist()


def test_texts_are_few_until_all_that_were_asked_of_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_texts, "_seen", 0)
    monkeypatch.setattr(few_texts, "_FEW_BYTES", 100)
    assert [few_texts.are_few(size) for size in (60, 40, 1, 0)] == [True, True, False, False]
