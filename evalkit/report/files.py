"""The files of a results folder: items, answers, scores, the record, and the reports that show them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_file
from curate.core.files import atomic_write, write_lines, write_text
from curate.core.records import environment, read_record, write_record
from curate.core.rows.row import Row, encode_row
from evalkit.exports.tables import write_csv, write_parquet
from evalkit.judge.grades import FILE_NAME as JUDGMENTS
from evalkit.judge.grades import Judgment
from evalkit.records.lines import Generation, Score
from evalkit.records.typed import sealed, write_typed
from evalkit.report.html import render_html
from evalkit.report.junit import JUNIT, ladder_outcomes, render_junit
from evalkit.report.markdown import render_markdown
from evalkit.results.folder import GENERATIONS, ITEMS, RESULT, SCORES, Results
from evalkit.results.result_record import ResultRecord


def write_results(
    folder: Path,
    record: ResultRecord,
    items: Sequence[Row],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    judgments: Sequence[Judgment] = (),
    **measured: Any,
) -> ResultRecord:
    """Write everything into `folder`, the record last, and return the record. `measured` goes into `environment`."""
    write_lines(folder / ITEMS, map(encode_row, items))
    write_lines(folder / GENERATIONS, map(msgspec.json.encode, generations))
    write_lines(folder / SCORES, map(msgspec.json.encode, scores))
    judged = [folder / JUDGMENTS] if judgments else []
    for path in judged:
        write_lines(path, map(msgspec.json.encode, judgments))
    # Sealed before its environment is known: a digest doesn't cover the environment, so the report can show it.
    results = Results(sealed(record), items, generations, scores)
    with ThreadPoolExecutor(1) as beside:  # another process makes the table: nearly all of that is waiting for it
        tables = beside.submit(write_parquet, results, folder)
        reports = [*render_reports(folder, results), *write_csv(results, folder), *tables.result()]
    written = [folder / ITEMS, folder / GENERATIONS, folder / SCORES, *judged, *reports]
    # Latencies are in these files, so their digests differ between runs on the same inputs.
    files = {path.name: digest_file(path) for path in written}
    return write_typed(folder / RESULT, record, environment=environment(files=files, **measured))


def render_reports(folder: Path, results: Results) -> list[Path]:
    """Write the report's files and return their paths."""
    write_text(folder / JUNIT, render_junit(results.result.terms.name, ladder_outcomes(results.result.ladder)))
    written = write_report(folder, results.result, results.items, results.generations, results.scores)
    return [*written, folder / JUNIT]


def write_report(
    folder: Path,
    result: ResultRecord,
    items: Sequence[Row],
    generations: Sequence[Generation],
    scores: Sequence[Score],
) -> list[Path]:
    """Write report.html and report.md into `folder` and return their paths. Raises: DataError, ServiceError."""
    page, summary = folder / "report.html", folder / "report.md"
    with atomic_write(page) as file:
        file.writelines(part.encode("utf-8", "replace") for part in render_html(result, items, generations, scores))
    write_text(summary, render_markdown(result))
    return [page, summary]


def record_reports(folder: Path, paths: Sequence[Path]) -> None:
    """Note the digests of reports that were rendered again; what the record says stays the same."""
    # As it was read: a record of another version may hold more than the structure knows.
    record = read_record(folder / RESULT)
    files = {**record["environment"]["files"], **{path.name: digest_file(path) for path in paths}}
    write_record(folder / RESULT, {**record, "environment": {**record["environment"], "files": files}})
