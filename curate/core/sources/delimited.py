"""Lines of fields as records, every field text: CSV and TSV, as their source says or as they are found to be."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.core.errors import DataError
from curate.core.sources.encoded import WESTERN, opened_text, table_encoding
from curate.core.sources.layout import AS_FOUND, Layout, unpacked_name
from curate.core.sources.record import MAX_LINE_BYTES, Record

_SAMPLE_BYTES = 1 << 16
_SAMPLE_LINES = 50
_SEPARATORS = (",", ";", "\t", "|")
_NAMED = re.compile(rb"(?:\xef\xbb\xbf)?sep=([\x09\x20-\x7e])\r?\n")  # the line in which Excel names the separator
# A name of a column is a few words. A longer text, a sentence or a number is what stands below one.
_LONG_NAME = 60
_LIKE_DATA = re.compile(r"\s*[-+]?\d[\d.,]*\s*|.*\s.*\s.*[.!?]\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    quoted: bool

    def reader(self, lines: Iterator[str]) -> Any:
        if self.quoted:
            return csv.reader(lines, delimiter=self.delimiter, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)


def read_delimited(path: Path, layout: Layout = AS_FOUND) -> Iterator[Record]:
    """Every record below the header line, with the bytes it is written in; all values are text.

    Read with the standard library and not as a table: one ragged line is that line's fault and not the file's, and
    each record keeps its line number and offset.
    """
    layout = replace(layout, encoding=table_encoding(path, layout))
    dialect = _dialect(path, layout)
    with opened_text(path, layout) as file:
        lines = _Lines(file)
        # The module's limit is for all of its readers; a field of a chat row may be as long as a line.
        csv.field_size_limit(MAX_LINE_BYTES)
        reader = dialect.reader(lines)
        names = _names(path, layout, lines, reader)
        while True:
            start, number = lines.offset, lines.number + 1
            lines.taken.clear()
            fault: tuple[str, str] | None = None
            values: list[str] = []
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fault = "not-csv", str(error)
            raw = b"".join(lines.taken).rstrip(b"\r\n")
            if not raw.strip():
                continue
            names = names if names is not None else [f"column_{at}" for at in range(1, len(values) + 1)]
            if fault is None and len(values) != len(names):
                fault = "ragged-line", f"{len(values)} fields under {len(names)} names"
            yield Record(number, start, raw, dict(zip(names, values, strict=False)), fault or _not_text(raw))


def fields_of(path: Path, layout: Layout, raw: str) -> dict[str, str]:
    """What a record of this file says that reads `raw`, under the file's names; empty where it can't be told."""
    layout = replace(layout, encoding=table_encoding(path, layout))
    dialect = _dialect(path, layout)
    with opened_text(path, layout) as file:
        names = _names(path, layout, lines := _Lines(file), dialect.reader(lines))
    try:
        values: list[str] = next(dialect.reader(io.StringIO(raw, newline="")), [])
    except csv.Error:
        return {}
    return dict(zip(names or [f"column_{at}" for at in range(1, len(values) + 1)], values, strict=False))


def delimited_notes(path: Path, layout: Layout) -> list[str]:
    """What a reader of the file took for granted and its owner should look at."""
    notes = []
    encoding = table_encoding(path, layout)
    if encoding == WESTERN and layout.encoding is None:
        notes.append(
            "not UTF-8, read as Windows-1252; where letters look wrong, name the file's `encoding` in the source"
        )
    layout = replace(layout, encoding=encoding)
    if layout.header is True:
        with opened_text(path, layout) as file:
            names = _names(path, layout, lines := _Lines(file), _dialect(path, layout).reader(lines)) or []
        like_data = [name for name in names if len(name) > _LONG_NAME or _LIKE_DATA.fullmatch(name)]
        if like_data:
            shown = like_data[0] if len(like_data[0]) <= _LONG_NAME else like_data[0][:_LONG_NAME] + "..."
            notes.append(
                f'its first line is taken as the names of columns, and "{shown}" looks like data; where it has no '
                "such line, give the source `header: [NAME, ...]`"
            )
    return notes


def _dialect(path: Path, layout: Layout) -> _Dialect:
    """How fields are divided: the way in which most of the first lines have as many fields as the first of all."""
    with opened_text(path, layout) as file:
        data = file.read(_SAMPLE_BYTES)
        is_cut = len(data) == _SAMPLE_BYTES
    if named := _NAMED.match(data):
        data = data[named.end() :]
        layout = replace(layout, delimiter=layout.delimiter or named[1].decode())
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    is_tabs = unpacked_name(path.name).endswith(".tsv")
    default = "\t" if is_tabs else ","
    given = [layout.delimiter] if layout.delimiter is not None else sorted(_SEPARATORS, key=lambda one: one != default)
    found = [_Dialect(one, quoted) for one in given for quoted in ((True, False) if one == "\t" else (True,))]
    return max(found, key=lambda dialect: _agreement(text, dialect, is_cut=is_cut))


def _agreement(text: str, dialect: _Dialect, *, is_cut: bool) -> tuple[bool, float, int]:
    """Are there several fields, in what share of lines are they as many as in the first, and how many are they?"""
    reader = dialect.reader(io.StringIO(text, newline=""))
    sizes: list[int] = []
    faults = 0
    while len(sizes) < _SAMPLE_LINES:
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error:
            faults += 1
            sizes.append(0)
        else:
            sizes += [len(fields)] if fields else []
    if is_cut and len(sizes) > 1:
        sizes.pop()  # it may go on
    width = sizes[0] if sizes else 0
    same = sum(size == width for size in sizes) - faults * (width == 0)
    return width > 1, same / max(len(sizes), 1), width


def _names(path: Path, layout: Layout, lines: "_Lines", reader: Any) -> list[str] | None:
    """The names of the columns, None where there are none."""
    if layout.header is False:
        return None
    if not isinstance(layout.header, bool):
        return list(layout.header)
    fix = "repair its first line, or give the source `header: [NAME, ...]` where it has no names"
    try:
        names: list[str] = next(filter(None, reader), [])
    except csv.Error as error:
        raise DataError(f"the header can't be read: {error}", where=path, fix=fix) from error
    if b"\0" in b"".join(lines.taken):
        fix = "name the file's `encoding` in the source, which may be utf-16-le or utf-16-be"
        raise DataError("the header holds NUL characters", where=path, fix=fix)
    if _not_text(b"".join(lines.taken)) or len(set(names)) < len(names):
        raise DataError(f"the header is not text or has a name twice: {names}", where=path, fix=fix)
    return names


def _not_text(raw: bytes) -> tuple[str, str] | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        detail = f"byte 0x{raw[error.start]:02x} at position {error.start} is not UTF-8: name the file's `encoding`"
        return "not-utf-8", f"{detail} in the source, or convert it"
    return None


class _Lines:
    """The lines of a file as text, with where the reading stands; bytes that aren't UTF-8 are carried along.

    A line that only names the separator is passed over.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        named = _NAMED.match(file.peek())
        self.offset, self.number = (len(file.readline()), 1) if named else (0, 0)
        self.taken: list[bytes] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        raw: bytes = self._file.readline(MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        self.offset += len(raw)
        self.number += 1
        self.taken.append(raw)
        text = raw.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff") if self.number == 1 else text
