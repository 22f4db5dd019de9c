"""Spans: where in a text something was found, and of what kind. Units: characters (code points), end exclusive."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl


class Span(NamedTuple):
    """text[start:end] is a finding of this kind."""

    start: int
    end: int
    kind: str


# The spans of those texts of a column that have any, by row, in text order.
Found = dict[int, list[Span]]


def placeholder(kind: str) -> str:
    """What stands in for a redacted finding: `[DATE-OF-BIRTH]`. No screen finds anything in it."""
    return f"[{kind.upper()}]"


def without_overlaps(length: int, found: Iterable[Span]) -> list[Span]:
    """The spans in text order; of two that overlap, the one that came first in `found` stays."""
    taken = bytearray(length)
    kept = []
    for span in found:
        if span.start < span.end and taken.find(1, span.start, span.end) < 0:
            taken[span.start : span.end] = b"\x01" * (span.end - span.start)
            kept.append(span)
    return sorted(kept)


def cut(text: str, spans: Sequence[Span], start: int = 0) -> str:
    """`text`, which starts at `start` in what the ordered spans count in, with each span's part replaced."""
    end = start + len(text)
    pieces, at = [], 0
    for index in range(bisect_right(spans, start, key=lambda span: span.end), len(spans)):
        span = spans[index]
        if span.start >= end:
            break
        pieces += [text[at : max(span.start - start, 0)], placeholder(span.kind)]
        at = min(span.end, end) - start
    return "".join([*pieces, text[at:]]) if pieces else text


def span_column(found: Found, count: int) -> "pl.Series":
    """The spans of `count` rows as a polars column of lists."""
    import polars as pl

    # Built from flat columns: a Python list for each row would cost more than finding the spans.
    flat = [(row, *span) for row, spans in sorted(found.items()) for span in spans]
    shape = {"row": pl.Int64, "start": pl.Int64, "end": pl.Int64, "kind": pl.String}
    several = pl.DataFrame(flat, shape, orient="row").group_by("row", maintain_order=True)
    lists = several.agg(pl.struct("start", "end", "kind").alias("spans"))
    rows = pl.DataFrame({"row": pl.Series(range(count), dtype=pl.Int64)})
    empty = pl.lit([], dtype=lists.schema["spans"])
    return (
        rows.join(lists, on="row", how="left", maintain_order="left")["spans"]
        .to_frame()
        .select(pl.col("spans").fill_null(empty))["spans"]
    )


def describe(spans: Sequence[Span]) -> str:
    """How many of which kind, and where the first stands; never what was found."""
    kinds = sorted({span.kind for span in spans})
    counts = ", ".join(f"{sum(span.kind == kind for span in spans)} {kind}" for kind in kinds)
    return f"{counts}; the first at character {spans[0].start}"
