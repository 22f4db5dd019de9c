"""Names from anybody's file are text in Markdown: no link, no markup, no cell of their own."""

import pytest

from curate.core.markdown import cell, sentence, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[pay](http://x.example)", r"\[pay\](http\://x.example)"),
        ("see https://x.example", r"see https\://x.example"),
        ("WWW.x.example", r"WWW\.x.example"),
        ("a@x.example", r"a\@x.example"),
        ("![pic](x)", r"!\[pic\](x)"),
        ("<img src=x>", "&lt;img src=x>"),
        ("*loud* __name__ snake_case", r"\*loud\* \_\_name\_\_ snake_case"),
        ("a|b", r"a\|b"),
        (r"a\|b", r"a\\\|b"),
        (r"C:\data\rows", r"C:\data\rows"),
        ("&lt;", "&amp;lt;"),
        ("two\nlines", "two lines"),
        ("\x1b[31mred\u202e", "\ufffd\\[31mred\ufffd"),
        ("`code`", r"\`code\`"),
        ("# title", r"\# title"),
        ("1. one", r"1\. one"),
        ("12.5", "12.5"),
        ("-", "-"),
        ("near-duplicate 1", "near-duplicate 1"),
    ],
)
def test_a_cell_is_text(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_a_sentence_keeps_its_code_and_nothing_else() -> None:
    assert sentence("set `split: [a]` for [x](y)") == r"set `split: [a]` for \[x\](y)"
    assert sentence("`<b>`` [x](y)") == r"`&lt;b>`` \[x\](y)"


def test_a_table_has_as_many_cells_as_its_head() -> None:
    assert table(["a|b"], [["c|d"]]).splitlines() == [r"| a\|b |", "| --- |", r"| c\|d |"]
