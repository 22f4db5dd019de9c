"""Tables as records: CSV line by line, every field text; Parquet row by row."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from curate.core.errors import DataError, first_line
from curate.core.sources.compressed import opened
from curate.core.sources.record import MAX_LINE_BYTES, Record

_BATCH_ROWS = 2048


def read_csv(path: Path) -> Iterator[Record]:
    """Every record below the header line, with the bytes it is written in; all values are text.

    Read with the standard library and not as a table: one ragged line is that line's fault and not the file's, and
    each record keeps its line number and offset.
    """
    with opened(path) as file:
        lines = _Lines(file)
        # The module's limit is for all of its readers; a field of a chat row may be as long as a line.
        csv.field_size_limit(MAX_LINE_BYTES)
        reader = csv.reader(lines, strict=True)
        names = _header(path, lines, reader)
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
            if fault is None and len(values) != len(names):
                fault = "ragged-line", f"{len(values)} fields under {len(names)} names"
            yield Record(number, start, raw, dict(zip(names, values, strict=False)), fault or _not_text(raw))


def _header(path: Path, lines: "_Lines", reader: Any) -> list[str]:
    try:
        names: list[str] = next(reader, [])
    except csv.Error as error:
        raise DataError(f"the header can't be read: {error}", where=path, fix="repair its first line") from error
    if _not_text(b"".join(lines.taken)) or len(set(names)) < len(names):
        raise DataError(f"the header is not text or has a name twice: {names}", where=path, fix="repair its first line")
    return names


def _not_text(raw: bytes) -> tuple[str, str] | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        detail = f"byte 0x{raw[error.start]:02x} at position {error.start} is not UTF-8: convert the file"
        return "not-utf-8", detail
    return None


class _Lines:
    """The lines of a file as text, with where the reading stands; bytes that aren't UTF-8 are carried along."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.offset, self.number = 0, 0
        self.taken: list[bytes] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        self.offset += len(raw)
        self.number += 1
        self.taken.append(raw)
        text = raw.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff") if self.number == 1 else text


def read_parquet(path: Path) -> Iterator[Record]:
    """Every row as a record; its bytes are its JSON. A field that a struct lacks and one that is null are the same."""
    import polars as pl

    try:
        frame = pl.scan_parquet(path, glob=False)
        total = frame.select(pl.len()).collect().item()
        for first in range(0, total, _BATCH_ROWS):
            for index, row in enumerate(frame.slice(first, _BATCH_ROWS).collect().iter_rows(named=True), start=first):
                yield _parquet_record(index, row)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"the Parquet file can't be read: {first_line(error)}", where=path, fix="make or fetch it again"
        ) from error


def _parquet_record(index: int, row: dict[str, Any]) -> Record:
    fields = {key: _without_nulls(value) for key, value in row.items() if value is not None}
    try:
        raw = msgspec.json.encode(fields)
        return Record(index + 1, index, raw, msgspec.json.decode(raw))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        return Record(index + 1, index, repr(row).encode("utf-8", "replace"), None, ("not-json", str(error)))


def _without_nulls(value: Any) -> Any:
    """Structs without their null fields: Parquet gives every struct of a column the fields of all of them."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
