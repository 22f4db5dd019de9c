"""Terms of word lists in texts. A word list can't read: it finds quotations too, and misses what is worded anew."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from curate.core.errors import ConfigError, os_errors
from curate.screen.spans import Found, Span, without_overlaps

if TYPE_CHECKING:
    import polars as pl

_LICENCE = re.compile(r"#\s*licen[cs]e\s*:\s*(\S.*)", re.IGNORECASE)


def read_words(path: Path) -> list[str]:
    """The terms of a word-list file, one a line; lines that start with # are comments.

    Raises: ConfigError where no line `# licence: ...` says how the list may be used, or the list is empty.
    """
    with os_errors(path):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ConfigError(f"not UTF-8 text: {error.reason} at byte {error.start}", where=path) from error
    if not any(_LICENCE.match(line) for line in lines):
        fix = "add a line such as `# licence: CC-BY-4.0, by ...`"
        raise ConfigError("the word list does not say how it may be used", where=path, fix=fix)
    terms = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not terms:
        raise ConfigError("the word list has no terms", where=path, fix="write one term a line")
    return terms


def find_terms(texts: "pl.Series", terms: Iterable[str]) -> Found:
    """Where the terms stand as whole words, in any case and with any white space between their words."""
    wanted = sorted({" ".join(term.lower().replace("’", "'").split()) for term in terms})
    if not wanted:
        return {}
    # Aho-Corasick over the column; only rows with the letters of a term are read word by word. White space that is no
    # single space is rare, so to replace that alone is much faster than to replace all.
    plain = texts.str.to_lowercase().str.replace_all("’", "'", literal=True).str.replace_all(r"\s\s+|[^\S ]", " ")
    found: Found = {}
    by_first: dict[str, list[list[str]]] = {}
    for term in wanted:
        words = [word for word, _, _ in _words(term)]
        if words:
            by_first.setdefault(words[0], []).append(words)
    signs = [term for term in wanted if not _words(term)]
    rows = plain.str.contains_any(wanted).arg_true()
    for row, text in zip(rows, texts.gather(rows), strict=True):
        terms_here = [*_terms_in(text, by_first), *(span for sign in signs for span in _signs_in(text, sign))]
        if terms_here:
            found[row] = without_overlaps(len(text), sorted(terms_here, key=lambda span: (span.start, -span.end)))
    return found


def _terms_in(text: str, by_first: Mapping[str, list[list[str]]]) -> Iterator[Span]:
    """Compares words, not patterns: the number of terms does not matter, and nothing can backtrack."""
    words = _words(text)
    for index, (word, start, _) in enumerate(words):
        for wanted in by_first.get(word, ()):
            here = words[index : index + len(wanted)]
            if [found for found, _, _ in here] == wanted:
                yield Span(start, here[-1][2], "term")


def _signs_in(text: str, sign: str) -> Iterator[Span]:
    """Where a term without letters or digits stands, such as an emoji."""
    start = text.find(sign)
    while start >= 0:
        yield Span(start, start + len(sign), "term")
        start = text.find(sign, start + len(sign))


def _words(text: str) -> list[tuple[str, int, int]]:
    """Each word in lower case with its place."""
    found = re.finditer(r"\w+(?:['’]\w+)*", text)
    return [(match[0].lower().replace("’", "'"), match.start(), match.end()) for match in found]
