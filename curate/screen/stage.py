"""The stage: measure rows by every screen, then report, reject or redact those over the thresholds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.core.markdown import table
from curate.core.paths import find_path
from curate.core.rows.row import Row
from curate.core.sources.records import Input
from curate.recipe.recipe import Recipe
from curate.recipe.screens import Screens, wants_screens
from curate.screen.spans import Span, placeholder
from curate.screen.texts import Reads, RowTexts, redacted_row, row_text, text_series
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult, Table

if TYPE_CHECKING:
    import polars as pl

    from curate.screen.measures import Find, Measure

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


class Screening(Stage):
    """Rows stay that no rejecting screen holds back, redacted where that was asked for.

    A row is rejected by the first screen, in the order of `RULES`, whose value is over its threshold. A row that a
    screen can't measure is kept and counted. A redacted row's `raw` is its new encoding, so that what was redacted
    is in no later file.
    """

    name = "screen"

    def is_wanted(self, recipe: Recipe, folder: Path) -> bool:  # noqa: ARG002 - a stage's
        """Does the recipe name any screen?"""
        return wants_screens(recipe.screens)

    def inputs(self, context: Context) -> Iterator[tuple[str, str, Input]]:
        """Word lists, and the files of functions."""
        screens, folder = context.recipe.screens, context.folder
        functions = [(custom.name, custom.function) for custom in screens.custom]
        if screens.toxicity is not None:
            for path in screens.toxicity.words:
                yield "toxicity", "words", Input(path, find_path(path, folder))
            if screens.toxicity.classifier is not None:
                functions.append(("toxicity", screens.toxicity.classifier))
        for name, function in functions:
            file = function.rpartition(":")[0]
            yield name, "function", Input(file, find_path(file, folder))

    def run(self, rows: RowSelection, context: Context, measured: Measured) -> StageResult:  # noqa: ARG002 - a stage's
        """The rows that are left, and what was measured of them. Raises: ConfigError for settings of no use."""
        side_folder = None if context.cache is None else context.cache.screens
        return screen(rows, context.recipe.screens, context.folder, side_folder=side_folder, threads=context.threads)

    def card(self, report: Sequence[Mapping[str, Any]]) -> str:
        """A line for each screen."""
        head = ["screen", "looks at", "threshold", "action", "rows over it", "not measured", "found"]
        lines = [
            [
                one["screen"], one["on"], f"{one['threshold']:g}", one["action"], one["over"], one["unmeasured"],
                _kinds(one) or "-",
            ]
            for one in report
        ]  # fmt: skip
        return "## Screens\n\n" + table(head, lines)

    def tables(self, report: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
        """A line for each screen."""
        lines = [[*(one[key] for key in ("screen", "action", "over", "unmeasured")), _kinds(one)] for one in report]
        yield ["screen", "action", "rows over", "not measured", "found"], lines


def _kinds(summary: Mapping[str, Any]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in summary["kinds"].items())


def screen(
    rows: RowSelection, screens: Screens, folder: Path, *, side_folder: Path | None = None, threads: int = 1
) -> StageResult:
    """What the screens leave of the rows; measured values are kept in `side_folder`, where there is one."""
    import polars as pl

    # Imported here: some screens bring machine code, and a build without screens needs none.
    from curate.screen.columns import measured as measured_by
    from curate.screen.columns import side_file
    from curate.screen.measures import make_measures

    measures = make_measures(screens, folder)
    ids = rows.ids()
    tables: dict[str, pl.DataFrame] = {}
    for on, reads in dict.fromkeys((measure.settings.on, measure.reads) for measure in measures):
        texts = RowTexts(rows, on, reads)
        here = [measure for measure in measures if (measure.settings.on, measure.reads) == (on, reads)]
        found = measured_by(here, ids, texts, side_folder=side_folder, threads=threads)
        tables.update(zip((measure.name for measure in here), found, strict=True))
    if side_folder is not None:
        # Those of settings that the recipe had before, and of writers that were killed.
        for old in {*side_folder.glob("*.parquet"), *side_folder.glob(".*.tmp")} - {
            side_folder / side_file(measure) for measure in measures
        }:
            old.unlink(missing_ok=True)
    values: dict[str, dict[str, Any]] = {}
    over: dict[str, dict[int, str]] = {}
    summaries = []
    for measure in measures:
        columns = tables[measure.name]
        value = measure.value(columns).rename(measure.name)
        hit = (value > measure.settings.threshold).fill_null(value=False).arg_true().to_list()
        details = map(measure.detail, columns[hit].iter_rows(named=True))
        over[measure.name] = dict(zip(hit, details, strict=True))
        summaries.append(_summarise(measure, columns, value, len(hit)))
        values[measure.name] = dict(zip(ids, value.to_list(), strict=True))
    reasons = _reasons(measures, over)
    gone = sorted(reasons)
    why = [(reasons[at], over[reasons[at]][at]) for at in gone]
    rejections = Rejections.of_rows(Screening.name, rows.take(gone), why)
    kept = _redacted(rows, measures, over, set(gone)).without(gone)
    return StageResult(kept, rejections, report=msgspec.to_builtins(summaries), measured=values)


def _reasons(measures: "Sequence[Measure]", over: dict[str, dict[int, str]]) -> dict[int, str]:
    """Position -> the screen that rejects the row there."""
    reasons: dict[int, str] = {}
    for measure in measures:
        if measure.settings.action == "reject":
            reasons = dict.fromkeys(over[measure.name], measure.name) | reasons
    return reasons


def _redacted(
    rows: RowSelection, measures: "Sequence[Measure]", over: dict[str, dict[int, str]], gone: set[int]
) -> RowSelection:
    """The rows, the findings of redacting screens replaced in those over their threshold that are not `gone`."""
    changed: dict[int, Row] = {}
    for measure in measures:
        if measure.settings.action == "redact" and measure.find is not None:
            hit = [at for at in over[measure.name] if at not in gone]
            before = [changed[at] if at in changed else rows[at].row for at in hit]
            clean = redact(before, measure.settings.on, measure.find, measure.reads)
            changed.update(zip(hit, clean, strict=True))
    return rows.changed(list(changed), list(changed.values()), own_record=True)


def redact(rows: Sequence[Row], on: str, find: "Find", reads: Reads = "everything") -> list[Row]:
    """The rows without anything that `find` finds: what is left is searched again until nothing is found.

    It ends: each round replaces some text that is no placeholder, even where a user's pattern matches placeholders.
    """
    clean = list(rows)
    open_rows = list(range(len(clean)))
    made: set[str] = set()
    while open_rows:
        texts = [row_text(clean[index], on, reads) for index in open_rows]
        found = find(text_series(texts))
        still_open = []
        for row, spans in found.items():
            index = open_rows[row]
            left = [span for span in spans if not _is_in(texts[row], span, made)]
            if left:
                clean[index] = redacted_row(clean[index], on, left, reads)
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


def _summarise(measure: "Measure", columns: "pl.DataFrame", value: "pl.Series", over: int) -> Summary:
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
