from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import ConfigError
from curate.core.text.refusals import REFUSALS
from curate.screen.phrases import check_patterns, find_phrases
from curate.screen.spans import Span
from curate.screen.stock_phrases import BOILERPLATE
from curate.screen.threats import THREATS_EN
from curate.screen.toxicity import find_terms, read_words

REFUSING = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I can’t assist with that request.",
    "Sorry, I cannot provide instructions for this.",
    "I cannot fulfill this request.",
    "I am unable to provide medical advice.",
    "As an AI language model, I cannot give legal advice.",
    "Unfortunately, I'm not able to write that.",
    "I won't help you do this.",
    "I must respectfully decline.",
    "It is not appropriate to discuss this.",
    "I'm sorry, but that is against my guidelines.",
    "Hello! I apologize, but I can't generate such content.",
]
ANSWERING = [
    "You can't help it: cats cannot be trained like dogs.",
    "Sorry to hear that! Try restarting the router.",
    "He said: I cannot help you with that.",
    "I can help you with that.",
    "I'm sorry for your loss. Here is what you can do.",
    "The model cannot provide more than 8 bits.",
    "Can I assist? I can't wait to start.",
    "It is illegal to park here, says the sign.",
]
LEFTOVERS = {
    "as-an-ai": "Well, as an AI language model, I have no feelings.",
    "i-am-an-ai": "I'm just an AI, so no.",
    "vendor-model": "I am a large language model trained by OpenAI.",
    "knowledge-cutoff": "As of my last update in 2023, it was so.",
    "opening": "Sure! Here is a poem for you:",
    "closing": "2 + 2 = 4. I hope this helps!",
    "interface": "Text\nCopy code\nprint(1)",
    "blank": "Dear [Your Name], thanks.",
}
CLEAN = [
    "Sure, the shop is open until six.",
    "Of course not.",
    "The AI model was trained on books.",
    "Google made an assistant. As an artist, I am happy.",
    "See [1] and [link](x).",
    "Here is a poem.",
]


def kinds(text: str, patterns: dict[str, str]) -> set[str]:
    return {span.kind for span in find_phrases(pl.Series([text]), patterns).get(0, [])}


@pytest.mark.parametrize("text", REFUSING)
def test_refusals_are_found(text: str) -> None:
    assert kinds(text, REFUSALS)


@pytest.mark.parametrize("text", ANSWERING)
def test_answers_that_sound_like_refusals_are_not(text: str) -> None:
    assert not kinds(text, REFUSALS)


@pytest.mark.parametrize("kind", BOILERPLATE)
def test_leftovers_are_found(kind: str) -> None:
    assert kind in kinds(LEFTOVERS[kind], BOILERPLATE)


@pytest.mark.parametrize("text", CLEAN)
def test_plain_answers_have_no_leftovers(text: str) -> None:
    assert not kinds(text, BOILERPLATE)


def test_every_match_of_every_pattern_with_offsets_in_characters() -> None:
    texts = pl.Series(["é漢ab ab", "none", "a\ue000b a"])
    found = find_phrases(texts, {"ab": "ab", "b": "b", "empty": "c*"})
    assert found == {
        0: [Span(2, 4, "ab"), Span(3, 4, "b"), Span(5, 7, "ab"), Span(6, 7, "b")],
        2: [Span(2, 3, "b")],
    }
    assert find_phrases(texts, {}) == {}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(1, 3))
def test_offsets_cover_what_matched(text: str, length: int) -> None:
    found = find_phrases(pl.Series([text]), {"word": rf"[a-z0-9]{{{length}}}"}).get(0, [])
    for span in found:
        assert span.end - span.start == length
        assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789" for c in text[span.start : span.end])


def test_patterns_that_can_not_be_used_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        check_patterns({"good": "a", "open": "(", "ahead": "a(?=b)"}, "screens.x.patterns")
    assert "open" in caught.value.what
    assert "look-around" in caught.value.what
    assert "good" not in caught.value.what


def test_a_pattern_that_hangs_other_engines_ends() -> None:
    assert find_phrases(pl.Series(["a" * 200_000 + "!"]), {"evil": r"^(a+)+$"}) == {}


def test_terms_are_whole_words_in_any_case_and_spacing() -> None:
    texts = pl.Series(["You  IDIOT!", "idiotic", "an\nidiot", "nothing", "Don’t 🖕🖕 me", "İdiot"])
    found = find_terms(texts, ["idiot", "you idiot", "don't", "🖕"])
    assert found == {
        0: [Span(0, 10, "term")],
        2: [Span(3, 8, "term")],
        4: [Span(0, 5, "term"), Span(6, 7, "term"), Span(7, 8, "term")],
    }
    assert find_terms(texts, []) == {}


def test_the_list_of_threats_finds_each_of_its_own_terms() -> None:
    assert set(find_terms(pl.Series(THREATS_EN), THREATS_EN)) == set(range(len(THREATS_EN)))
    assert find_terms(pl.Series(["How do I kill a process? Drop the table.", "Go diet"]), THREATS_EN) == {}


def test_word_lists_must_say_how_they_may_be_used(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# Licence: CC0-1.0\n\nbad word\n  worse \n# not a term\n", encoding="utf-8-sig")
    assert read_words(path) == ["bad word", "worse"]
    path.write_text("bad word\n")
    with pytest.raises(ConfigError, match="does not say how it may be used"):
        read_words(path)
    path.write_text("# license: mine\n")
    with pytest.raises(ConfigError, match="no terms"):
        read_words(path)
    path.write_bytes(b"# license: mine\nf\xfc\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_words(path)
