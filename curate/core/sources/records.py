"""Records in files, each with its line and byte offset: JSON Lines (plain, gzip, zstd), JSON arrays, CSV, Parquet."""

import atexit
import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from curate.core.errors import ConfigError, DataError, os_errors
from curate.core.paths import find_path
from curate.core.sources.compressed import is_packed, opened
from curate.core.sources.curated_folders import index_folder, row_files
from curate.core.sources.record import MAX_LINE_BYTES, Record

_TEXT = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*_TEXT, *(f"{name}{packed}" for name in _TEXT for packed in (".gz", ".zst")), ".csv", ".parquet")
STDIN = "-"
_SHOWN_BYTES = 4096
BOM = b"\xef\xbb\xbf"
_GLOB = frozenset("*?[")
_DECISIONS = "decisions.jsonl"  # what `curate review` leaves beside the rows


@dataclass(frozen=True, slots=True)
class Input:
    """A file to read: the path as records show it, where it is, and the name of the format that its records are in."""

    shown: str
    path: Path
    format: str | None = None


def find_inputs(value: str, folder: Path) -> list[Input]:
    """The files that `value` names: one file, those of a folder, what a glob finds (sorted), or `-`, standard input.

    Of a folder that curate wrote, only the files with its rows. Raises: DataError where there is none, ConfigError for
    what is no pattern.
    """
    if value == STDIN:
        return [Input(STDIN, _spooled_stdin())]
    path = find_path(value, folder)
    if _GLOB & set(value):
        fixed, pattern = _split_glob(value)
        start = find_path(fixed, folder) if fixed else folder
        try:
            with os_errors(start):
                found = sorted(match for match in start.glob(pattern) if match.is_file())
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(f"not a pattern: {error}", where=value, fix="** stands alone between slashes") from error
        inputs = [Input(f"{fixed}{match.relative_to(start).as_posix()}", match) for match in found]
        fix = "nothing matches this pattern: check it; relative ones start at the recipe's folder"
    elif path.is_dir():
        if index_folder(value, folder) is not None:
            raise DataError("an index has no rows to read", where=value, fix="name it in `dedup: {against: ...}`")
        with os_errors(path):
            ours = row_files(path)
            rows = (file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.name != _DECISIONS)
            found = sorted(rows) if ours is None else ours
        inputs = [Input(f"{value.rstrip('/')}/{file.name}", file) for file in found]
        fix = f"put files ending in {', '.join(SUFFIXES)} there, or name another folder"
    else:
        if path.exists() and not path.is_file():
            raise DataError("neither a file nor a folder", where=value, fix="name a file; what is piped in is `-`")
        return [Input(value, path)]
    if not inputs:
        raise DataError("no files to read", where=value, fix=fix)
    return inputs


def _split_glob(value: str) -> tuple[str, str]:
    """The folder part without wildcards, with its slash, and the pattern below it."""
    parts = value.split("/")
    first = next(index for index, part in enumerate(parts) if _GLOB & set(part))
    return "".join(f"{part}/" for part in parts[:first]), "/".join(parts[first:])


@functools.cache
def _spooled_stdin() -> Path:
    """Standard input as a file: it is digested, looked at and read, and a pipe can be read only once."""
    with tempfile.NamedTemporaryFile(prefix="acidtest-stdin-", delete=False) as file:
        path = Path(file.name)
        atexit.register(path.unlink, missing_ok=True)
        with os_errors(path):
            shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def read_records(path: Path) -> Iterator[Record]:
    """Every record of a file as the bytes it is written in. Raises: DataError where the file can't be read at all."""
    name = path.name
    if name.endswith(".parquet"):
        from curate.core.sources.csv_parquet import read_parquet

        yield from read_parquet(path)
    elif name.endswith(".csv"):
        from curate.core.sources.csv_parquet import read_csv

        yield from read_csv(path)
    elif name.endswith((".json", ".json.gz", ".json.zst")) and (whole := _whole_json(path)) is not None:
        yield from whole
    else:
        with opened(path) as file:
            yield from read_json_lines(file)


def is_plain_lines(path: Path) -> bool:
    """Does the file hold JSON lines as they are, so that it can be read from any line's start?"""
    if not path.name.endswith(_TEXT) and path.name.endswith(SUFFIXES):
        return False
    if is_packed(path):
        return False
    return not path.name.endswith(".json") or _whole_json(path) is None


def read_json_lines(file: IO[bytes], start: int = 0, end: int | None = None) -> Iterator[Record]:
    """Every line that isn't blank, of those that begin from `start` up to `end`; their numbers count from there.

    A line that is too long is a fault of its own and never held in memory whole.
    """
    offset, number = start, 0
    if start:
        file.seek(start)
    readline = file.readline
    while (end is None or offset < end) and (raw := readline(MAX_LINE_BYTES)):
        number += 1
        first = offset
        offset += len(raw)
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            while more := readline(MAX_LINE_BYTES):
                offset += len(more)
                if more.endswith(b"\n"):
                    break
            detail = f"the line has {offset - first} bytes, more than {MAX_LINE_BYTES}; its first {_SHOWN_BYTES} follow"
            yield Record(number, first, raw[:_SHOWN_BYTES], fault=("line-too-long", detail))
            continue
        text = raw.rstrip(b"\r\n")
        skipped = 0
        if not first and text.startswith(BOM):
            text, skipped = text.removeprefix(BOM), len(BOM)
        if text and not text.isspace():
            yield Record(number, first, text, start=first + skipped)


def _whole_json(path: Path) -> Iterator[Record] | None:
    """The records of a file that is one JSON value, None where it holds JSON lines."""
    with opened(path) as file:
        head = file.read(4096).removeprefix(BOM).lstrip()
    # JSON lines under the name .json are common; an object that goes on after its first brace is not one of them.
    if head[:1] == b"[":
        return _read_array(path)
    if head[:1] == b"{" and not head.split(b"\n", 1)[0].rstrip().removeprefix(b"{"):
        return _read_one(path)
    return None


def _read_one(path: Path) -> Iterator[Record]:
    with opened(path) as file:
        yield Record(1, 0, file.read().removeprefix(BOM).strip())


def _read_array(path: Path) -> Iterator[Record]:
    with opened(path) as file:
        data = file.read()
    try:
        items = msgspec.json.decode(data.removeprefix(BOM), type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"a JSON array that can't be read: {error}",
            where=path,
            fix="repair the file, or write one record a line: then only damaged records are left out",
        ) from error
    offset, line = 0, 1
    for item in items:
        raw = bytes(item)
        start = data.index(raw, offset)
        line += data.count(b"\n", offset, start)
        yield Record(line, start, raw)
        line += data.count(b"\n", start, start + len(raw))
        offset = start + len(raw)
