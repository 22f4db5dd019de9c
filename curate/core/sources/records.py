"""Records in files, each with its line and byte offset, whatever kind of file it is and whatever it is called."""

import atexit
import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curate.core.errors import ConfigError, DataError, os_errors
from curate.core.paths import find_path
from curate.core.sources import hub
from curate.core.sources.compressed import is_packed
from curate.core.sources.encoded import is_as_written, opened_text
from curate.core.sources.json_values import Shape, find_shape, read_array, read_json_lines, read_values
from curate.core.sources.known_folders import index_folder, row_files
from curate.core.sources.layout import AS_FOUND, NO_RECORDS, SUFFIXES, Layout, is_delimited
from curate.core.sources.record import Record

STDIN = "-"
_SHOWN_NAMES = 8
_GLOB = frozenset("*?[")
# Files that stand beside rows and tell people of them, or tools what to do.
_DOCUMENTS = (".md", ".yaml", ".yml", ".py", ".sh", ".lock", ".html", ".svg", ".png", ".jpg")
_NO_ROWS = {
    b"PK\x03\x04": ("a zip archive", "unpack it, and name the files in it; a workbook's name ends in .xlsx"),
    b"%PDF": ("a PDF document", "take its text out first"),
    b"SQLite f": ("an SQLite database", "export the table as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word document", "save it as .xlsx or CSV"),
    b"\x89PNG": ("a picture", "name files of rows"),
    b"\xff\xd8\xff": ("a picture", "name files of rows"),
}


@dataclass(frozen=True, slots=True)
class Input:
    """A file to read: the path as records show it, where it is, and the name of the format that its records are in."""

    shown: str
    path: Path
    format: str | None = None


def find_inputs(value: str, folder: Path) -> list[Input]:
    """The files that `value` names: one file, those of a folder, what a glob finds (sorted), those of a dataset of the
    Hub (`hf:OWNER/NAME`), or `-`, standard input.

    Of a folder that curate wrote, only the files with its rows. Raises: DataError where there is none, ConfigError for
    what is no pattern.
    """
    if value == STDIN:
        return [Input(STDIN, _spooled_stdin())]
    if value.startswith(hub.PREFIX):
        return [Input(shown, path) for shown, path in hub.fetch_dataset(value)]
    path = find_path(value, folder)
    if _GLOB & set(value) and not path.exists():  # such signs can stand in names
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
            found = sorted(file for file in path.iterdir() if _has_rows(file)) if ours is None else ours
        inputs = [Input(f"{value.rstrip('/')}/{file.relative_to(path).as_posix()}", file) for file in found]
        fix = f"put files ending in {', '.join(SUFFIXES)} there, or name another folder"
        if not inputs and (deeper := _folders_with_rows(path)):
            fix = f"the files stand in folders below it: name {value.rstrip('/')}/{deeper[0]}"
    else:
        if path.exists() and not path.is_file():
            raise DataError("neither a file nor a folder", where=value, fix="name a file; what is piped in is `-`")
        return [Input(value, path)]
    if not inputs:
        raise DataError("no files to read", where=value, fix=fix)
    return inputs


def passed_over(value: str, folder: Path) -> str | None:
    """What stands in the folder that `value` names and isn't read, in a sentence; None where all is, or is told apart
    from rows by its name.
    """
    if value.startswith(hub.PREFIX):
        return None
    path = find_path(value, folder)
    if value == STDIN or not path.is_dir() or row_files(path) is not None:
        return None
    with os_errors(path):
        files = sorted(file for file in path.iterdir() if file.is_file() and not _has_rows(file))
    names = [file.name for file in files if not _is_document(file)] + [f"{name}/" for name in _folders_with_rows(path)]
    if not names:
        return None
    shown = ", ".join(names[:_SHOWN_NAMES]) + (f" and {len(names) - _SHOWN_NAMES} more" * (len(names) > _SHOWN_NAMES))
    return f"{value}: passed over {shown}; what is to be read can be named itself"


def _has_rows(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES) and file.name not in NO_RECORDS


def _is_document(file: Path) -> bool:
    name = file.name.lower()
    about = name.startswith((".", "readme", "license", "licence"))
    return about or name.endswith(_DOCUMENTS) or file.name in NO_RECORDS


def _folders_with_rows(path: Path) -> list[str]:
    """The names of the folders in it in which files of rows stand."""
    folders = sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))
    return [one.name for one in folders if any(map(_has_rows, one.iterdir()))]


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


def read_records(path: Path, layout: Layout = AS_FOUND) -> Iterator[Record]:
    """Every record of a file as the bytes it is written in. Raises: DataError where the file can't be read at all."""
    kind = _kind(path)
    if kind == "columns":
        from curate.core.sources.columns import read_columns

        yield from read_columns(path)
    elif kind == "workbook":
        from curate.core.sources.workbook import read_workbook

        yield from read_workbook(path, layout)
    elif kind == "fields":
        from curate.core.sources.delimited import read_delimited

        yield from read_delimited(path, layout)
    else:
        shape = _shape(path, layout)
        with opened_text(path, layout) as file:
            if shape == "array":
                yield from read_array(file, path)
            else:
                yield from read_json_lines(file) if shape == "lines" else read_values(file)


def is_plain_lines(path: Path, layout: Layout = AS_FOUND) -> bool:
    """Does the file hold JSON lines as they are, so that it can be read from any line's start?"""
    if _kind(path) != "json" or is_packed(path) or not is_as_written(path, layout):
        return False
    return _shape(path, layout) == "lines"


def reading_notes(found: Input, layout: Layout) -> list[str]:
    """What is taken for granted in a file or left out of it, which its owner should know."""
    kind = _kind(found.path)
    notes: list[str] = []
    if kind == "fields":
        from curate.core.sources.delimited import delimited_notes

        notes = delimited_notes(found.path, layout)
    elif kind == "workbook":
        from curate.core.sources.workbook import workbook_notes

        notes = workbook_notes(found.path, layout)
    return [f"{found.shown}: {note}" for note in notes]


def _shape(path: Path, layout: Layout) -> Shape:
    with opened_text(path, layout) as file:
        return find_shape(file)


def _kind(path: Path) -> Literal["json", "fields", "columns", "workbook"]:
    """What kind of file it is, by its name, or by its first bytes where the name doesn't say. Raises: DataError for
    what holds no rows.
    """
    name = path.name.lower()
    if name.endswith((".parquet", ".arrow", ".feather")):
        return "columns"
    if name.endswith(".xlsx"):
        return "workbook"
    if is_delimited(name):
        return "fields"
    if name.endswith(SUFFIXES):
        return "json"
    with os_errors(path), path.open("rb") as file:
        head = file.read(8)
    if head.startswith((b"PAR1", b"ARROW1")):
        return "columns"
    if (what := next((what for mark, what in _NO_ROWS.items() if head.startswith(mark)), None)) is not None:
        raise DataError(f"a file of rows was expected, and this is {what[0]}", where=path, fix=what[1])
    return "json"
