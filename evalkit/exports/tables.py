"""One line per answer, with the score of every scorer in a column: as CSV, as Parquet."""

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from curate.core.files import atomic_write
from evalkit.exports.parquet import Kind, write_rows
from evalkit.records.by_item_and_contender import ByItemAndContender
from evalkit.results.folder import Results

CSV, PARQUET = "scores.csv", "scores.parquet"
# A spreadsheet takes a cell that begins so for a formula; a quote before it makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def answer_lines(results: Results) -> Iterator[list[Any]]:
    """Each answer as a line of `columns`: its item, what it took, what each scorer gave it (None: unscored) and why."""
    names = results.result.scorers
    scores = ByItemAndContender(results.scores, results.items, results.result.names)
    places = {item.id: place for place, item in enumerate(results.items)}
    for answer in results.generations:
        place = places[answer.item]
        item = results.items[place]
        made = {one.scorer: one for one in scores.of(place, answer.contender) if one.repeat == answer.repeat}
        found = [made.get(name) for name in names]
        yield [
            answer.item,
            answer.contender,
            answer.repeat,
            item.label,
            item.source,
            item.group,
            *(one.value if one else None for one in found),
            *(one.unscored if one else "no score" for one in found),
            answer.error,
            answer.finish_reason,
            answer.prompt_tokens,
            answer.completion_tokens,
            answer.latency_ms,
            answer.text,
        ]


def columns(results: Results) -> dict[str, Kind]:
    """The names of a line's columns, in their order, with what they hold."""
    names = results.result.scorers
    return {
        "item": "text",
        "contender": "text",
        "repeat": "int32",
        "label": "text",
        "source": "text",
        "group": "text",
        **{f"score.{name}": "double" for name in names},
        **{f"unscored.{name}": "text" for name in names},
        "error": "text",
        "finish_reason": "text",
        "prompt_tokens": "int64",
        "completion_tokens": "int64",
        "latency_ms": "double",
        "answer": "text",
    }


def write_csv(results: Results, folder: Path) -> list[Path]:
    """Write scores.csv. Text that a spreadsheet would run as a formula gets a quote before it."""
    path = folder / CSV
    with atomic_write(path) as file:
        text = TextIOWrapper(file, "utf-8", errors="replace", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns(results))
        writer.writerows([_cell(value) for value in line] for line in answer_lines(results))
        text.detach()  # written, but not closed: that is for the one who opened it
    return [path]


def write_parquet(results: Results, folder: Path) -> list[Path]:
    """Write scores.parquet."""
    path = folder / PARQUET
    with atomic_write(path) as file:
        write_rows(file, columns(results), answer_lines(results))
    return [path]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
