"""The card: what a dataset is, in Markdown, for people who decide whether to use it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from curate.core.manifest import CanaryCount, Licenses, Manifest, StageCount
from curate.core.markdown import cell, sentence, table
from curate.core.rows.row import Row
from curate.core.rows.row_text import answer_text, chosen_text, message_text
from curate.dedup.cluster_table import expected_recall, recall_curve
from curate.recipe.recipe import Dedup, recipe_of
from curate.report.facts import fit_sentences
from curate.report.sizes import advice, count_doublings
from curate.table.selection import RowSelection

_SAMPLES = 3
_SAMPLE_CHARACTERS = 1200
_BAR = 40  # characters of the longest bar
_SHOWN_CONFLICTS = 10
_SHOWN_OF_ONE = 3  # rows of a conflict
_CELL_CHARACTERS = 120
_SHOWN_WARNINGS = 50
_CURVE_FROM = 0.3  # below it no threshold is of use
_CHECKING = """## Checking it

`curate verify FOLDER` recomputes the digests of every file here and compares them with `manifest.json`.
`rejected.jsonl` has each row that was left out: where it stood, which stage left it out and why, and for a duplicate
the row that is kept instead. The same recipe on the same inputs gives the same bytes."""


def render_card(manifest: Manifest, train: RowSelection, sections: Sequence[str]) -> str:
    """The card of the dataset that the manifest describes; `train` gives lengths and samples.

    `sections` are those of the stages on their reports.
    """
    parts = [
        f"# {cell(manifest.name)}\n\n> {cell(manifest.behaviour)}",
        _split(manifest.split),
        _stages(manifest.stages),
        _sources(manifest),
        _fit(manifest, train),
        _dedup(recipe_of(manifest).dedup),
        _warnings(manifest.warnings),
        *sections,
        _canaries(manifest.canaries),
        _conflicts(manifest.conflicts, train),
        _lengths(train),
        _samples(train),
        _CHECKING,
    ]
    return "\n\n".join(section for section in parts if section) + "\n"


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    return "## To look at\n\n" + "\n".join(f"- {sentence(text)}" for text in warnings[:_SHOWN_WARNINGS])


def _canaries(canaries: CanaryCount | UnsetType) -> str:
    if canaries is UNSET:
        return ""
    return (
        "## Canaries\n\n"
        f"{canaries.count} unique strings stand in train {canaries.planted} times. `canaries.jsonl` holds"
        " them, and must never become training data."
    )


def _split(split: Mapping[str, Mapping[str, int]]) -> str:
    labels = sorted({label for counts in split.values() for label in counts})
    rows = [[side, *(counts.get(label, 0) for label in labels), sum(counts.values())] for side, counts in split.items()]
    return "## Rows\n\n" + table(["side", *labels, "all"], rows)


def _stages(stages: Sequence[StageCount]) -> str:
    rows = [
        [
            stage.name,
            stage.rows_in,
            stage.kept,
            stage.rejected,
            ", ".join(f"{reason} {count}" for reason, count in stage.reasons.items()) or "-",
        ]
        for stage in stages
    ]
    return "## What each stage did\n\n" + table(["stage", "in", "kept", "rejected", "reasons"], rows)


def _sources(manifest: Manifest) -> str:
    rows = [[source.name, source.read, source.kept, source.rejected] for source in manifest.sources]
    files = list(dict.fromkeys((item.path, item.kind, item.digest) for item in manifest.inputs))
    return (
        "## Sources\n\n"
        + table(["source", "read", "kept", "rejected"], rows)
        + "\n\n"
        + table(["file", "kind", "digest"], files)
        + _licenses(manifest.licenses)
    )


def _licenses(licenses: Licenses | UnsetType) -> str:
    if licenses is UNSET:
        return ""
    return "\n\nLicences:\n\n" + "\n".join(f"- {cell(text)}" for text in licenses.sentences())


def _fit(manifest: Manifest, train: RowSelection) -> str:
    """What so many rows are good for, and whether they are about behaviour at all."""
    different = sum(source.kept for source in manifest.sources)
    listed = "\n".join(f"- {text}" for text in advice(different))
    text = f"## Fit for fine-tuning\n\n{listed}\n\n" + " ".join(fit_sentences(manifest.fit))
    shown = train.take(train.find(set(manifest.fit.listed)))[:_SAMPLES]
    return "\n\n".join([text, *map(_sample, shown.rows)])


def _dedup(settings: Dedup | None) -> str:
    if settings is None:
        return "## Near duplicates\n\nNot looked for: the recipe turns this stage off."
    points = [(s, chance) for s, chance in recall_curve(settings) if s >= _CURVE_FROM]
    return (
        "## Near duplicates\n\n"
        f"Rows whose {settings.on} shares at least {settings.threshold:g} of its {settings.ngram}-word runs"
        " with that of a better row are left out (exact Jaccard similarity; candidates from MinHash with"
        f" {settings.bands} bands of {settings.rows} rows, which finds {expected_recall(settings):.2%} of the pairs"
        " that are just similar enough, and more of closer ones). A paraphrase in other words is not found.\n\n"
        + table(
            ["Jaccard similarity", *(f"{s:g}" for s, _ in points)],
            [["chance to be compared", *(f"{chance:.2%}" for _, chance in points)]],
        )
    )


def _conflicts(conflicts: Sequence[Sequence[str]], train: RowSelection) -> str:
    """Rows of one prompt with different answers: texts of those in train, ids of all others, which stay unseen."""
    if not conflicts:
        return ""
    shown = conflicts[:_SHOWN_CONFLICTS]
    texts = {row.id: row for row in train.take(train.find({name for ids in shown for name in ids})).rows}
    lines = [
        [name, *(_short(text) for text in (chosen_text(texts[name], "prompt"), answer_text(texts[name])))]
        if name in texts
        else [name, "(not in train)", ""]
        for ids in shown
        for name in ids[:_SHOWN_OF_ONE]
    ]
    more = f"\n\nAnd {len(conflicts) - _SHOWN_CONFLICTS} more." if len(conflicts) > _SHOWN_CONFLICTS else ""
    listed = table(["row", "prompt", "answer"], lines)
    return (
        "## Conflicts\n\nOne prompt, or nearly one, and different answers; they are kept, and somebody should look,"
        f" with `curate review --conflicts`:\n\n{listed}{more}"
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CELL_CHARACTERS else f"{text[: _CELL_CHARACTERS - 4]} ..."


def _lengths(rows: RowSelection) -> str:
    """A histogram over doublings: row lengths spread over orders of magnitude."""
    if not rows:
        return ""
    counts = count_doublings(np.maximum(rows.column("lengths")[:, 0], 1))
    widest = max(counts.values())
    bars = []
    for power in range(min(counts), max(counts) + 1):
        bar = "#" * -(-counts[power] * _BAR // widest)
        bars.append(f"{1 << (power - 1):>8} to {(1 << power) - 1:<8} {bar:<{_BAR}} {counts[power]}")
    return "## Lengths of train rows in characters\n\n```text\n" + "\n".join(bars) + "\n```"


def _samples(rows: RowSelection) -> str:
    if not rows:
        return ""
    return "## Samples from train\n\n" + "\n\n".join(map(_sample, rows[:_SAMPLES].rows))


def _sample(row: Row) -> str:
    text = "\n".join(f"[{message.role}] {message_text(message)}" for message in row.messages)
    if len(text) > _SAMPLE_CHARACTERS:
        text = text[:_SAMPLE_CHARACTERS] + " ..."
    # A fence longer than any run of backticks in the text can't be closed by it; control characters move no cursor.
    text = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
    longest = max((len(run) for run in _runs_of_backticks(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _runs_of_backticks(text: str) -> Iterable[str]:
    return "".join(c if c == "`" else " " for c in text).split()
