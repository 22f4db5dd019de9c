from hypothesis import given
from hypothesis import strategies as st

from evalkit.documents.passages import cut
from evalkit.documents.reading import Section

SENTENCES = "One two three four. Five six seven eight! Nine ten eleven twelve? Thirteen fourteen fifteen sixteen."


def texts(text: str, words: int, overlap: int = 0) -> list[str]:
    return [passage.text for passage in cut(Section("f", "H", text), words, overlap)]


def test_a_short_section_is_one_passage_with_its_place() -> None:
    [passage] = cut(Section("a.md", "Lamp > Care", "Dry it.\n\nThen oil it."), 20, 5)
    assert (passage.text, passage.source) == ("Dry it.\n\nThen oil it.", "a.md, Lamp > Care")
    assert passage.searchable == "Lamp > Care\nDry it.\n\nThen oil it."


def test_passages_end_at_sentences_and_overlap_by_whole_ones() -> None:
    assert texts(SENTENCES, 8) == [
        "One two three four. Five six seven eight!",
        "Nine ten eleven twelve? Thirteen fourteen fifteen sixteen.",
    ]
    assert texts(SENTENCES, 8, overlap=4) == [
        "One two three four. Five six seven eight!",
        "Five six seven eight! Nine ten eleven twelve?",
        "Nine ten eleven twelve? Thirteen fourteen fifteen sixteen.",
    ]


def test_lines_and_paragraphs_stay_as_they_are() -> None:
    text = 'Parts:\n- lamp\n- plug\n\nSaid she: "Go." And went.'
    assert texts(text, 50) == [text]


def test_a_sentence_beyond_the_limit_and_a_script_without_spaces_are_cut() -> None:
    assert texts("w " * 50, 20) == [" ".join("w" * 20), " ".join("w" * 20), " ".join("w" * 10)]
    assert all(len(text) <= 20 * 12 for text in texts("灯" * 1000, 20))


@given(st.text(alphabet="ab .\n!灯", max_size=400), st.integers(4, 30), st.integers(0, 15))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, words: int, overlap: int) -> None:
    passages = texts(text, words, min(overlap, words // 2))
    assert all(len(passage.split()) <= words for passage in passages)
    kept = "".join("".join(passage.split()) for passage in texts(text, words))
    assert kept == "".join(text.split())
