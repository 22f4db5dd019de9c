"""Untrusted text in lines: it fits, nothing acts, nothing is lost."""

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from curate.core.review.safe_text import json_spans, laid_out, one_line, shown, word_diff, wrap
from curate.core.visible import visible


@given(st.text(max_size=300), st.integers(4, 60))
@example("a" * 50, 4)
@example("\u4f60\u597d" * 20, 5)
@example("x\n\n y", 4)
def test_lines_fit_and_say_everything(text: str, width: int) -> None:
    lines = list(wrap([(shown(text), "text")], width))
    assert all(sum(cell_len(part) for part, _ in line) <= width for line in lines)
    said = "".join(part for line in lines for part, _ in line)
    assert "".join(said.split()) == "".join(visible(text).split())


@given(st.text(max_size=200), st.integers(2, 40))
def test_a_line_of_a_list_fits(text: str, width: int) -> None:
    line = one_line(text, width)
    assert cell_len(line) <= width
    assert "\n" not in line


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_nothing_that_is_shown_acts_on_a_terminal(text: str) -> None:
    acting = {*map(chr, range(32)), "\x7f", "\x9b", "\u202e", "\u200b", "\ufeff"} - {"\n"}
    assert not acting & set(shown(text))


def test_json_is_laid_out_and_its_parts_named() -> None:
    pretty = laid_out('{"a": [1, -2.5e3, "x"], "b": null}')
    assert pretty is not None
    spans = json_spans(pretty)
    assert "".join(text for text, _ in spans) == pretty
    assert ('"a"', "key") in spans
    assert ('"x"', "string") in spans
    assert ("-2.5e3", "number") in spans
    assert ("null", "word") in spans
    assert laid_out("{not json") is None
    assert laid_out("17") is None


@given(st.lists(st.sampled_from("abcd "), max_size=30), st.lists(st.sampled_from("abcd "), max_size=30))
def test_a_word_diff_has_both_texts(before: list[str], after: list[str]) -> None:
    old, new = " ".join(before), " ".join(after)
    left, right = word_diff(old, new)

    def plain(spans: list[tuple[str, str]]) -> str:
        return "".join(text[2:-2] if style in ("gone", "new") else text for text, style in spans)

    assert (plain(left), plain(right)) == (old, new)
    assert [text for text, style in left if style == "text"] == [text for text, style in right if style == "text"]


def test_what_differs_is_marked_without_colour() -> None:
    left, right = word_diff("send it today please", "send it tomorrow please")
    assert "".join(text for text, _ in left) == "send it [-today-] please"
    assert "".join(text for text, _ in right) == "send it {+tomorrow+} please"
