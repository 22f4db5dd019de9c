"""The report of a result: `report.html`, one file that needs nothing else, and `report.md` for a pull request."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.core.files import atomic_write, write_text
from curate.core.rows.row import Row
from evalkit.records import Generation, Score
from evalkit.report.html import render_html
from evalkit.report.markdown import render_markdown


def write_report(
    folder: Path,
    result: Mapping[str, Any],
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
