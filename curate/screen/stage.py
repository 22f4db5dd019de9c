"""The stage: measure rows by every screen, then report, reject or redact those over the thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from curate.core.rows.row import Row, encode_row
from curate.recipe.screens import Screens
from curate.screen.columns import measured, side_file
from curate.screen.measures import Find, Measure, make_measures
from curate.screen.spans import Span, placeholder
from curate.screen.texts import RowTexts, redacted_row, row_text, text_series
from curate.table.row_ref import Entry, Outcome, Rejection, reject
from curate.table.selection import names, take

if TYPE_CHECKING:
    import polars as pl

STAGE = "screen"

# Rule ids are stable: people filter rejected.jsonl by them. A custom screen's is its name.
RULES = {
    "secrets": "holds keys, tokens or passwords",
    "personal-data": "holds personal data",
    "toxicity": "holds terms of a word list, or scores high with the classifier",
    "language": "is not in an expected language",
    "repetition": "repeats itself",
    "refusals": "the answer refuses",
    "boilerplate": "holds leftovers of a chat model",
    "low-information": "says too little",
}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What one screen saw: rows measured, rows it could not measure, rows over its threshold, findings by kind.

    `redacted` counts rows that were changed; `kinds` counts findings, or rows by language.
    """

    screen: str
    action: str
    on: str
    threshold: float
    rows: int
    unmeasured: int
    over: int
    redacted: int
    kinds: dict[str, int]


@dataclass(frozen=True)
class Screened:
    """The stage's outcome, one column of values a screen beside `id` (null: not measured), and a summary of each."""

    outcome: Outcome
    columns: "pl.DataFrame"
    summaries: list[Summary]


def screen(
    entries: Sequence[Entry], screens: Screens, folder: Path, *, side_folder: Path | None = None, threads: int = 1
) -> Screened:
    """The rows that no rejecting screen holds back, redacted where that was asked for.

    A row is rejected by the first screen, in the order of `RULES`, whose value is over its threshold. A row that a
    screen can't measure is kept and counted. A redacted row's `raw` is its new encoding, so that what was redacted
    is in no later file. Raises: ConfigError for settings that can't be used.
    """
    import polars as pl

    measures = make_measures(screens, folder)
    ids = names(entries)
    tables: dict[str, pl.DataFrame] = {}
    for on in dict.fromkeys(measure.settings.on for measure in measures):
        texts = RowTexts(entries, on)
        here = [measure for measure in measures if measure.settings.on == on]
        found = measured(here, ids, texts, side_folder=side_folder, threads=threads)
        tables.update(zip((measure.name for measure in here), found, strict=True))
    if side_folder is not None:
        # Those of settings that the recipe had before, and of writers that were killed.
        for old in {*side_folder.glob("*.parquet"), *side_folder.glob(".*.tmp")} - {
            side_folder / side_file(measure) for measure in measures
        }:
            old.unlink(missing_ok=True)
    values: list[pl.Series] = []
    over: dict[str, dict[int, str]] = {}
    summaries = []
    for measure in measures:
        columns = tables[measure.name]
        value = measure.value(columns).rename(measure.name)
        rows = (value > measure.settings.threshold).fill_null(value=False).arg_true().to_list()
        details = map(measure.detail, columns[rows].iter_rows(named=True))
        over[measure.name] = dict(zip(rows, details, strict=True))
        summaries.append(_summarise(measure, columns, value, len(rows)))
        values.append(value)
    left, rejections = _rejected(entries, measures, over)
    kept = _redacted(left, measures, over, entries)
    table = pl.DataFrame([text_series(ids).alias("id"), *values])
    return Screened(Outcome(kept, rejections), table, summaries)


def _rejected(
    entries: Sequence[Entry], measures: Sequence[Measure], over: dict[str, dict[int, str]]
) -> tuple[list[int], list[Rejection]]:
    """The positions of the entries kept, and the rejections of the others."""
    reasons: dict[int, str] = {}
    for measure in measures:
        if measure.settings.action == "reject":
            reasons = dict.fromkeys(over[measure.name], measure.name) | reasons
    rejections = [reject(entries[at], STAGE, reasons[at], over[reasons[at]][at]) for at in sorted(reasons)]
    return [at for at in range(len(entries)) if at not in reasons], rejections


def _redacted(
    kept: list[int], measures: Sequence[Measure], over: dict[str, dict[int, str]], entries: Sequence[Entry]
) -> Sequence[Entry]:
    """The entries at these positions, the findings of redacting screens replaced in rows over their threshold."""
    left = set(kept)
    rows: dict[int, Row] = {}
    for measure in measures:
        if measure.settings.action == "redact" and measure.find is not None:
            hit = [place for place in over[measure.name] if place in left]
            before = [rows[place] if place in rows else entries[place].row for place in hit]
            rows.update(zip(hit, redact(before, measure.settings.on, measure.find), strict=True))
    if not rows:
        return take(entries, np.array(kept, np.int64))
    return [
        Entry(rows[place], entry.place, encode_row(rows[place])) if place in rows else entry
        for place, entry in enumerate(entries)
        if place in left
    ]


def redact(rows: Sequence[Row], on: str, find: Find) -> list[Row]:
    """The rows without anything that `find` finds: what is left is searched again until nothing is found.

    It ends: each round replaces some text that is no placeholder, even where a user's pattern matches placeholders.
    """
    clean = list(rows)
    open_rows = list(range(len(clean)))
    made: set[str] = set()
    while open_rows:
        texts = [row_text(clean[index], on) for index in open_rows]
        found = find(text_series(texts))
        still_open = []
        for row, spans in found.items():
            index = open_rows[row]
            left = [span for span in spans if not _is_in(texts[row], span, made)]
            if left:
                clean[index] = redacted_row(clean[index], on, left)
                still_open.append(index)
        made.update(placeholder(span.kind) for spans in found.values() for span in spans)
        open_rows = still_open
    return clean


def _is_in(text: str, span: Span, placeholders: set[str]) -> bool:
    """Is the span a part of one of the placeholders?"""
    for word in placeholders:
        start = text.find(word, max(span.end - len(word), 0), span.start + len(word))
        if 0 <= start <= span.start and span.end <= start + len(word):
            return True
    return False


def _summarise(measure: Measure, columns: "pl.DataFrame", value: "pl.Series", over: int) -> Summary:
    import polars as pl

    kinds: pl.Series | None = None
    if "spans" in columns.columns:
        kinds = columns["spans"].explode().drop_nulls().struct.field("kind")
    elif "language" in columns.columns:
        kinds = columns["language"]
    counts: dict[str, Any] = {} if kinds is None else dict(kinds.value_counts(sort=False).sort(kinds.name).iter_rows())
    settings = measure.settings
    return Summary(
        screen=measure.name,
        action=settings.action,
        on=settings.on,
        threshold=settings.threshold,
        rows=len(value),
        unmeasured=value.null_count(),
        over=over,
        redacted=over if settings.action == "redact" else 0,
        kinds=counts,
    )
