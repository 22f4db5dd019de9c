"""Records in files, each with its line and byte offset: JSON Lines, or one JSON array."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from curate.core.errors import DataError, os_errors
from curate.core.jsonl import Line, read_lines
from curate.core.places import find_path

SUFFIXES = (".jsonl", ".ndjson", ".json")
_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Input:
    """A file to read: the path as records show it, and where it is."""

    shown: str
    path: Path


def find_inputs(value: str, folder: Path) -> list[Input]:
    """The files that `value` names: one file, the JSON files of a folder, or what a glob finds, sorted.

    Raises: DataError where there is none.
    """
    path = find_path(value, folder)
    if _GLOB & set(value):
        fixed, pattern = _split_glob(value)
        start = find_path(fixed, folder) if fixed else folder
        with os_errors(start):
            found = sorted(match for match in start.glob(pattern) if match.is_file())
        inputs = [Input(f"{fixed}{match.relative_to(start).as_posix()}", match) for match in found]
        fix = "nothing matches this pattern: check it; relative ones start at the recipe's folder"
    elif path.is_dir():
        with os_errors(path):
            found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        inputs = [Input(f"{value.rstrip('/')}/{file.name}", file) for file in found]
        fix = f"put files ending in {', '.join(SUFFIXES)} there, or name another folder"
    else:
        return [Input(value, path)]
    if not inputs:
        raise DataError("no files to read", where=value, fix=fix)
    return inputs


def _split_glob(value: str) -> tuple[str, str]:
    """The folder part without wildcards, with its slash, and the pattern below it."""
    parts = value.split("/")
    first = next(index for index, part in enumerate(parts) if _GLOB & set(part))
    return "".join(f"{part}/" for part in parts[:first]), "/".join(parts[first:])


def read_records(path: Path) -> Iterator[Line]:
    """Every record of a file as the bytes it is written in. Raises: DataError where the file can't be read at all."""
    if path.suffix == ".json" and _starts_array(path):
        yield from _read_array(path)
    else:
        yield from read_lines(path)


def _starts_array(path: Path) -> bool:
    with os_errors(path), path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _read_array(path: Path) -> Iterator[Line]:
    with os_errors(path):
        data = path.read_bytes()
    try:
        items = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=list[msgspec.Raw])
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
        yield Line(line, start, raw)
        line += data.count(b"\n", start, start + len(raw))
        offset = start + len(raw)
