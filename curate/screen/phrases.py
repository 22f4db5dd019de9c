"""Patterns in Rust's regex engine over a column: linear time whatever the pattern, so users may bring their own."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from curate.core.errors import ConfigError
from curate.screen.spans import Found, Span

if TYPE_CHECKING:
    import polars as pl

# Private-use characters around each match; a text that holds them already reads as if they were U+FFFD.
_OPEN, _CLOSE = "\ue000", "\ue001"


def check_patterns(patterns: Mapping[str, str], where: str) -> None:
    """Nothing, when every pattern compiles. Raises: ConfigError that lists those that don't, with the reasons."""
    import polars as pl

    probe, faults = pl.Series(["probe"]), []
    for name, pattern in patterns.items():
        try:
            probe.str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            reason = next(
                (line for line in str(error).splitlines() if line.startswith("error:")), "it does not compile"
            )
            faults.append(f"{name}: {pattern!r}: {reason.removeprefix('error: ')}")
    if faults:
        fix = "write patterns in Rust's regex syntax: no look-around, no back-references"
        raise ConfigError("\n  ".join(["patterns that can't be used", *faults]), where=where, fix=fix)


def find_phrases(texts: "pl.Series", patterns: Mapping[str, str]) -> Found:
    """Every match of every pattern in the texts; matches of different patterns can overlap."""
    if not patterns:
        return {}
    any_of = "|".join(f"(?:{pattern})" for pattern in patterns.values())
    rows = texts.str.contains(any_of).arg_true()
    hits = texts.gather(rows).str.replace_all(f"[{_OPEN}{_CLOSE}]", "\ufffd")
    found: Found = {}
    for name, pattern in patterns.items():
        marked = hits.str.replace_all(pattern, f"{_OPEN}${{0}}{_CLOSE}")
        for row, text in zip(rows, marked, strict=True):
            spans = list(_marked(text, name))
            if spans:
                found.setdefault(row, []).extend(spans)
    return {row: sorted(spans) for row, spans in found.items()}


def _marked(text: str, kind: str) -> Iterator[Span]:
    """The spans between markers, counted without the markers."""
    at = text.find(_OPEN)
    markers = 0
    while at >= 0:
        end = text.find(_CLOSE, at)
        if end > at + 1:
            yield Span(at - markers, end - 1 - markers, kind)
        markers += 2
        at = text.find(_OPEN, end)
