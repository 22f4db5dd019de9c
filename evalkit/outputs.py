"""The results folder: what is in it, whether it is up to date, and reading it back."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_file
from curate.core.errors import DataError
from curate.core.files import decode_lines, write_lines, write_text
from curate.core.records import environment, peek_record, read_record, seal, write_record
from curate.core.rows.row import Row, encode_row
from evalkit.exports.tables import write_csv, write_parquet
from evalkit.judge.grades import FILE_NAME as JUDGMENTS
from evalkit.judge.grades import Judgment
from evalkit.junit import JUNIT, ladder_outcomes, render_junit
from evalkit.records import Generation, Score

RESULT = "result.json"
_ITEMS, _GENERATIONS, _SCORES = "items.jsonl", "generations.jsonl", "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Results:
    """What an evaluation found. The items are kept with it, so that a report can be made from the folder alone."""

    result: dict[str, Any]
    items: Sequence[Row]
    generations: Sequence[Generation]
    scores: Sequence[Score]


def write_results(
    folder: Path,
    body: Mapping[str, Any],
    items: Sequence[Row],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    judgments: Sequence[Judgment] = (),
    **measured: Any,
) -> dict[str, Any]:
    """Write everything into `folder`, the record last, and return the record. `measured` goes into `environment`."""
    write_lines(folder / _ITEMS, map(encode_row, items))
    write_lines(folder / _GENERATIONS, map(msgspec.json.encode, generations))
    write_lines(folder / _SCORES, map(msgspec.json.encode, scores))
    judged = [folder / JUDGMENTS] if judgments else []
    for path in judged:
        write_lines(path, map(msgspec.json.encode, judgments))
    # Sealed before its environment is known: a digest doesn't cover the environment, so the report can show it.
    results = Results(seal(body), items, generations, scores)
    with ThreadPoolExecutor(1) as beside:  # another process makes the table: nearly all of that is waiting for it
        tables = beside.submit(write_parquet, results, folder)
        reports = [*render_reports(folder, results), *write_csv(results, folder), *tables.result()]
    written = [folder / _ITEMS, folder / _GENERATIONS, folder / _SCORES, *judged, *reports]
    # Latencies are in these files, so their digests differ between runs on the same inputs.
    files = {path.name: digest_file(path) for path in written}
    return write_record(folder / RESULT, {**body, "environment": environment(files=files, **measured)})


def render_reports(folder: Path, results: Results) -> list[Path]:
    """Write the report's files and return their paths."""
    from evalkit.report import write_report

    write_text(folder / JUNIT, render_junit(results.result["suite"]["name"], ladder_outcomes(results.result)))
    written = write_report(folder, results.result, results.items, results.generations, results.scores)
    return [*written, folder / JUNIT]


def current_result(folder: Path, input_digest: str) -> dict[str, Any] | None:
    """The result in `folder` if it was made from these inputs and all its files are as they were written.

    A result that lacks answers for trouble that may pass is not current: another run asks for them again.
    """
    record = peek_record(folder / RESULT)
    if record is None or record.get("input_digest") != input_digest:
        return None
    measured = record.get("environment", {})
    if measured.get("unanswered"):
        return None
    return record if edited_files(folder, record) == [] else None


def edited_files(folder: Path, record: Mapping[str, Any]) -> list[str] | None:
    """The files of a results folder that are gone, or not as its record says that they were written.

    None where the record names no files: then it vouches for nothing.
    """
    files = record.get("environment", {}).get("files", {})
    edited = [
        name for name, digest in files.items() if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]
    return edited if files else None


def read_result(folder: Path) -> dict[str, Any]:
    """The record of a results folder. Raises: DataError where there is none, ProvenanceError where it is damaged."""
    path = folder / RESULT
    if not path.is_file():
        raise DataError("no results here: result.json is missing", where=folder, fix="make them with `evalkit run`")
    return read_record(path)


def read_results(folder: Path) -> Results:
    """Everything in a results folder."""
    return Results(
        read_result(folder),
        list(decode_lines(folder / _ITEMS, Row)),
        list(decode_lines(folder / _GENERATIONS, Generation)),
        list(decode_lines(folder / _SCORES, Score)),
    )


def record_reports(folder: Path, paths: Sequence[Path]) -> None:
    """Note the digests of reports that were rendered again; what the record says stays the same."""
    record = read_result(folder)
    files = {**record["environment"]["files"], **{path.name: digest_file(path) for path in paths}}
    write_record(folder / RESULT, {**record, "environment": {**record["environment"], "files": files}})
