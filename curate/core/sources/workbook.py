"""A sheet of an Excel workbook as records: names in its first row, a record in each row below."""

import datetime
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from curate.core.errors import DataError, first_line, os_errors
from curate.core.sources.layout import AS_FOUND, Layout
from curate.core.sources.record import Record


def read_workbook(path: Path, layout: Layout = AS_FOUND) -> Iterator[Record]:
    """Every row of the sheet that holds something. An empty cell is no field; a formula is what it came to."""
    with _opened(path) as book:
        rows = enumerate(_sheet(book, path, layout).iter_rows(values_only=True), start=1)
        names = _names(rows, path, layout)
        for number, cells in rows:
            values = list(cells)
            while values and values[-1] is None:
                values.pop()
            if not values:
                continue
            width = len(values) if names is None else len(names)
            columns = names if names is not None else [f"column_{at}" for at in range(1, width + 1)]
            fault = None
            if any(value is not None for value in values[width:]):
                fault = "ragged-line", f"{len(values)} cells under {width} names"
            named = zip(columns, values, strict=False)
            fields = {name: _plain(value) for name, value in named if value is not None}
            yield Record(number, number - 1, msgspec.json.encode(fields), fields, fault)


def workbook_notes(path: Path, layout: Layout) -> list[str]:
    """What a reader of the workbook leaves out."""
    with _opened(path) as book:
        names = list(book.sheetnames)
    if layout.sheet is not None or len(names) < 2:
        return []
    return [f"its first sheet, {names[0]}, is read, and not {', '.join(names[1:])}; name one with `sheet`"]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError("reading .xlsx files needs a package", where=path, fix="pip install openpyxl") from error
    with os_errors(path), path.open("rb") as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, SyntaxError) as error:
            fix = "save it again as an Excel workbook (.xlsx), or as CSV"
            raise DataError(f"not an Excel workbook: {first_line(error)}", where=path, fix=fix) from error
        yield book


def _sheet(book: Any, path: Path, layout: Layout) -> Any:
    if layout.sheet is None:
        return book.worksheets[0]
    if layout.sheet not in book.sheetnames:
        fix = f"name one of its sheets: {', '.join(book.sheetnames)}"
        raise DataError(f"there is no sheet {layout.sheet}", where=path, fix=fix)
    return book[layout.sheet]


def _names(rows: Iterator[tuple[int, tuple[Any, ...]]], path: Path, layout: Layout) -> list[str] | None:
    if not isinstance(layout.header, bool):
        return list(layout.header)
    if not layout.header:
        return None
    first = next((list(cells) for _, cells in rows if any(cell is not None for cell in cells)), [])
    while first and first[-1] is None:
        first.pop()
    names = ["" if cell is None else str(cell) for cell in first]
    if len(set(names)) < len(names):
        fix = "give each column a name of its own, or the source `header: [NAME, ...]`"
        raise DataError(f"the first row has a name twice: {names}", where=path, fix=fix)
    return names


def _plain(value: Any) -> str | int | float | bool:
    """A cell as JSON has it; dates and times as text."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) else str(value)
