"""One line per answer, with the score of every scorer in a column: as CSV, as Parquet."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.errors import ServiceError
from curate.core.jsonl import atomic_write, write_text

if TYPE_CHECKING:
    from evalkit.outputs import Results

CSV, PARQUET = "scores.csv", "scores.parquet"
# A spreadsheet takes a cell that begins so for a formula; a quote before it makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def answer_lines(results: "Results") -> Iterator[dict[str, Any]]:
    """Each answer with its item, what it took, and under `score.NAME` what each scorer gave it (None: unscored)."""
    names = scorer_names(results)
    scores = {(one.item, one.contender, one.repeat, one.scorer): one for one in results.scores}
    items = {item.id: item for item in results.items}
    for answer in results.generations:
        item = items[answer.item]
        found = {name: scores.get((answer.item, answer.contender, answer.repeat, name)) for name in names}
        yield {
            "item": answer.item,
            "contender": answer.contender,
            "repeat": answer.repeat,
            "label": item.label,
            "source": item.source,
            "group": item.group,
            **{f"score.{name}": one.value if one else None for name, one in found.items()},
            **{f"unscored.{name}": one.unscored if one else "no score" for name, one in found.items()},
            "error": answer.error,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "latency_ms": answer.latency_ms,
            # A lone surrogate can stand in an answer and in no UTF-8 file.
            "answer": answer.text.encode("utf-8", "replace").decode(),
        }


def scorer_names(results: "Results") -> list[str]:
    """The scorers in the suite's order: the first contender's metrics."""
    return list(results.result["contenders"][0]["metrics"])


def write_csv(results: "Results", folder: Path) -> list[Path]:
    """Write scores.csv. Text that a spreadsheet would run as a formula gets a quote before it."""
    path, text = folder / CSV, io.StringIO(newline="")
    lines = list(answer_lines(results))
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in line.items()} for line in lines)
    write_text(path, text.getvalue())
    return [path]


def write_parquet(results: "Results", folder: Path) -> list[Path]:
    """Write scores.parquet."""
    import polars as pl

    path = folder / PARQUET
    lines = list(answer_lines(results))
    kinds = {"repeat": pl.Int32, "prompt_tokens": pl.Int64, "completion_tokens": pl.Int64, "latency_ms": pl.Float64}
    schema = {
        key: pl.Float64 if key.startswith("score.") else kinds.get(key, pl.String)
        for key in (lines[0] if lines else ())
    }
    with atomic_write(path) as file:
        try:
            pl.DataFrame(lines, schema=schema).write_parquet(file)
        except pl.exceptions.PolarsError as error:
            raise ServiceError(f"the table can't be written: {error}", where=path) from error
    return [path]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
