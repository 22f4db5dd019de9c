"""Untrusted text as lines that fit a width: nothing in it acts on the terminal, and everything in it can be seen."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import msgspec
from rich.cells import cell_len, chop_cells

from curate.core.visible import visible

Span = tuple[str, str]
"""A text and the name of its style; the style never is all that tells texts apart."""
Line = tuple[Span, ...]

SHOWN = 40_000  # characters of one text that are laid out; the raw view has far more
_TAB = "    "
_WORDS = re.compile(r"\s+|\S+")
_WITH_SPACE = re.compile(r"\S+\s*|\s+")
# A key, another string, a number, a word of JSON, or a sign.
_JSON = re.compile(r'("(?:[^"\\\n]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)')
_DIFF_WORDS = 4_000  # of each side: the search for what two texts share takes the square of it


def shown(text: str, limit: int | None = SHOWN) -> str:
    """The text with signs for what can't be seen, tabs as spaces."""
    return visible(text, limit).replace("\t", _TAB)


def one_line(text: str, width: int) -> str:
    """The text's start in at most `width` cells, with signs for what can't be seen; it ends in … where it is cut."""
    flat = " ".join(shown(text[: 4 * width + 64], None).split())
    if cell_len(flat) <= width and len(text) <= 4 * width + 64:
        return flat
    return _fit(flat, max(width - 1, 0)) + "…"


def _fit(text: str, width: int) -> str:
    while cell_len(text) > width:
        text = text[: min(len(text) - 1, width)]
    return text


def wrap(spans: Sequence[Span], width: int) -> Iterator[Line]:
    """The spans in lines of at most `width` cells, broken between words; line feeds end lines."""
    width = max(width, 1)
    line: list[Span] = []
    used = 0
    for text, style in spans:
        for number, part in enumerate(text.split("\n")):
            if number:
                yield tuple(line)
                line, used = [], 0
            if not used and len(part) <= width and cell_len(part) <= width:
                if part:
                    line.append((part, style))
                    used = cell_len(part)
                continue
            for word in _WORDS.findall(part):
                size = cell_len(word)
                if used + size <= width:
                    line.append((word, style))
                    used += size
                    continue
                if used:
                    yield tuple(line)
                    line, used = [], 0
                    if word.isspace():
                        continue
                pieces = chop_cells(word, width) if size > width else [word]
                for piece in pieces[:-1]:
                    yield ((piece, style),)
                line, used = [(pieces[-1], style)], cell_len(pieces[-1])
    yield tuple(line)


def json_spans(text: str) -> list[Span]:
    """JSON text with its parts named: keys, strings, numbers, words."""
    spans: list[Span] = []
    end = 0
    for match in _JSON.finditer(text):
        if match.start() > end:
            spans.append((text[end : match.start()], "sign"))
        string, colon, number, _ = match.groups()
        style = ("key" if colon else "string") if string else "number" if number else "word"
        spans.append((string or match.group(), style))
        if colon:
            spans.append((colon, "sign"))
        end = match.end()
    return [*spans, (text[end:], "sign")] if end < len(text) else spans


def laid_out(text: str) -> str | None:
    """JSON objects and lists with a line for each value; None for text that is neither."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        msgspec.json.decode(text)
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def word_diff(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """Both texts with what differs marked: words between [- and -] are gone, those between {+ and +} are new."""
    old, new = _WITH_SPACE.findall(before)[:_DIFF_WORDS], _WITH_SPACE.findall(after)[:_DIFF_WORDS]
    left: list[Span] = []
    right: list[Span] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        if tag == "equal":
            left.append((gone, "text"))
            right.append((come, "text"))
            continue
        left += _marked(gone, "[-", "-]", "gone")
        right += _marked(come, "{+", "+}", "new")
    return left, right


def _marked(text: str, before: str, after: str, style: str) -> list[Span]:
    """The text between its marks; space at its end stands behind them, where lines can be broken."""
    if not text:
        return []
    words = text.rstrip() or text
    return [(f"{before}{words}{after}", style), (text[len(words) :], "space")]
