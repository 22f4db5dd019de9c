"""report.html: one file, no network, no script, safe to open whatever the rows hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curate.core.manifest import Manifest, Side, StageCount
from curate.core.rows.row import Row
from curate.core.rows.row_text import message_text
from curate.dedup.cluster_table import expected_recall, recall_curve, repeated
from curate.recipe.recipe import Dedup, recipe_of
from curate.report.facts import fit_sentences
from curate.report.lengths import length_charts
from curate.report.sizes import advice, count_doublings, lengths
from curate.table.id_numbers import IdNumbers
from curate.table.rejections import Rejections
from curate.table.row_table import TextNumbers
from curate.table.selection import RowSelection

FOLDER = Path(__file__).parent
_PAIRS_PER_BIN = 2
_SHOWN_PAIRS = 16
_SHOWN_CHARACTERS = 600
_SHOWN_CLASSES = 24
_NEAR = ("near", "semantic")
_CURVE_STEPS = 50  # a smooth line at the width of a page


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a bar chart: its name, its number, its length in percent of the chart, and a note beside it."""

    name: str
    count: int
    width: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """The chance that a pair is compared over its similarity: points for a line, in percent from the lower left."""

    line: str
    table: list[tuple[float, float]]
    threshold: float
    recall: float
    bands: int
    rows: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A row that was left out and the row that is kept instead."""

    similarity: float
    dropped_id: str
    dropped: str
    kept_id: str
    kept: str


def render_report(manifest: Manifest, sides: Mapping[Side, RowSelection], rejections: Rejections) -> str:
    """The report of the dataset that the manifest describes, as one HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=visible, count=lambda number: f"{number:,}")
    first, *others = sides.values()
    rows = first.followed_by(*others)
    sizes = rows.column("lengths")[:, 1]
    originals = len(rows) - sum((manifest.added or {}).values())
    near = next((stage for stage in manifest.stages if stage.name == "near"), None)
    by_source, by_rule = length_charts(manifest, sides, rejections)
    listed = set(manifest.fit.listed)
    similarities = list((near.similarities or {}).items()) if near is not None else []
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        css=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        read=sum(source.read for source in manifest.sources),
        kept=originals,
        rejected=len(rejections),
        sides={side: len(some) for side, some in sides.items()},
        sources=manifest.sources,
        rules=_rules(manifest.stages),
        classes=_bars(rows.labels().most_common(_SHOWN_CLASSES), len(rows)),
        lengths=_length_bars(sizes),
        length=lengths(sizes),
        similarities=_bars(similarities) if any(count for _, count in similarities) else [],
        pairs=list(_pairs(rows, rejections)),
        advice=advice(originals),
        lengths_by_source=by_source,
        lengths_by_rule=by_rule,
        curve=_curve(recipe_of(manifest).dedup),
        fit=fit_sentences(manifest.fit),
        facts_shown=[(row.id, _text(row)) for row in rows.take(rows.find(listed)).rows],
    )


def visible(value: object) -> str:
    """Text in which nothing hides: control characters and marks that change direction become a visible sign."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def _rules(stages: Sequence[StageCount]) -> list[tuple[str, Bar]]:
    """(stage, bar) for every reason that took rows out."""
    found = [(stage.name, reason, count) for stage in stages for reason, count in stage.reasons.items()]
    most = max((count for _, _, count in found), default=1)
    return [(stage, Bar(reason, count, round(100 * count / most, 2))) for stage, reason, count in found]


def _bars(counts: Sequence[tuple[str, int]], whole: int | None = None) -> list[Bar]:
    most = max((count for _, count in counts), default=0) or 1
    note = [f"{count / whole:.1%}" if whole else "" for _, count in counts]
    return [
        Bar(name, count, round(100 * count / most, 2), text) for (name, count), text in zip(counts, note, strict=True)
    ]


def _curve(settings: Dedup | None) -> Curve | None:
    if settings is None:
        return None
    points = [f"{100 * s:g},{100 - 100 * chance:g}" for s, chance in recall_curve(settings, _CURVE_STEPS)]
    table = recall_curve(settings)
    return Curve(" ".join(points), table, settings.threshold, expected_recall(settings), settings.bands, settings.rows)


def _length_bars(sizes: NDArray[np.int64]) -> list[Bar]:
    """A histogram over doublings: row lengths spread over orders of magnitude."""
    counts = count_doublings(np.maximum(sizes, 1))
    if not counts:
        return []
    powers = range(min(counts), max(counts) + 1)
    return _bars([(f"{1 << (power - 1):,} to {(1 << power) - 1:,}", counts[power]) for power in powers])


def _pairs(rows: RowSelection, rejections: Rejections) -> Iterator[Pair]:
    """Near duplicates with what they repeat, some for each tenth of similarity, the least similar first."""
    ids = IdNumbers(rows.table)
    near = repeated(rejections, _NEAR, ids, TextNumbers(), TextNumbers())
    of_rows = ids.of(rows)
    near = near.taken(ids.isin(near.instead, of_rows) & (near.id >= 0))
    tenths = np.floor(near.similarity * 10)
    shown: list[int] = []
    for tenth in np.unique(tenths).tolist():
        some = np.flatnonzero(tenths == tenth)
        last = np.sort(near.similarity[some])[:_PAIRS_PER_BIN][-1]
        some = some[near.similarity[some] <= last]
        named = ids.ids(near.id[some])
        order = sorted(range(some.size), key=lambda at: (near.similarity[some[at]], named[at]))
        shown += some[order[:_PAIRS_PER_BIN]].tolist()
    for at in shown[:_SHOWN_PAIRS]:
        item = rejections[int(near.at[at])]
        kept = rows[int(np.flatnonzero(of_rows == near.instead[at])[-1])]
        yield Pair(float(near.similarity[at]), item.id or "", _text_of(item.raw), kept.id, _text(kept.row))


def _text_of(raw: str) -> str:
    """The conversation in the raw text of a rejected row; where it is in another shape, the raw text itself."""
    try:
        row = msgspec.json.decode(raw, type=_Messages)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _cut(raw)
    return _text(row.row)


class _Messages(msgspec.Struct):
    messages: list[Any]

    @property
    def row(self) -> Row:
        return msgspec.convert({"id": "", "messages": self.messages}, Row)


def _text(row: Row) -> str:
    return _cut("\n".join(f"{message.role}: {message_text(message)}" for message in row.messages))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ..."
