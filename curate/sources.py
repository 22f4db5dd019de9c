"""Reading: records in files become rows. A record that can't is a rejection, a file that can't is an error."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.config import Join, Source
from curate.core.digests import digest_file
from curate.core.errors import DataError
from curate.core.jsonl import Line
from curate.core.places import find_path, load_function
from curate.core.rows import Row, content_id
from curate.entries import Context, Entry, Place, Rejection, reject_raw
from curate.readers import Input, find_inputs, read_records

STAGE = "read"
_ROW_KEYS = frozenset(Row.__struct_fields__)
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
Adapter = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that the dataset depends on. `kind` is source, join, adapter or schema; `name` the source's."""

    name: str
    kind: str
    input: Input
    digest: str


@dataclass(frozen=True, slots=True)
class _Reader:
    """One source, ready: its adapter, and the joined records by key and value."""

    source: Source
    adapter: Adapter | None
    joined: dict[str, dict[str, dict[str, Any]]]


def find_files(context: Context) -> list[InputFile]:
    """Every file that the recipe names, with its digest. Raises: DataError where one is missing or unreadable."""
    recipe, folder = context.recipe, context.folder
    named: list[tuple[str, str, Input]] = []
    for source in recipe.sources:
        named += [(source.name, "source", found) for path in source.paths for found in find_inputs(path, folder)]
        named += [
            (source.name, "join", Input(join.path, find_path(join.path, folder))) for join in source.join.values()
        ]
        if source.adapter is not None:
            load_function(source.adapter, folder)
            file = source.adapter.rpartition(":")[0]
            named.append((source.name, "adapter", Input(file, find_path(file, folder))))
    schema = recipe.checks.target_schema
    if schema is not None and schema.endswith(".json"):
        named.append(("validate", "schema", Input(schema, find_path(schema, folder))))
    return [InputFile(name, kind, found, digest_file(found.path)) for name, kind, found in named]


def read_source(source: Source, inputs: list[Input], folder: Path) -> Iterator[tuple[Input, Entry | Rejection]]:
    """Each record of the source's files, as a row or as a rejection with the reason.

    Raises: DataError where a file can't be read or holds nothing; ConfigError where the adapter can't be loaded.
    """
    adapter = load_function(source.adapter, folder) if source.adapter is not None else None
    joined = {key: _records_by(join, find_path(join.path, folder)) for key, join in source.join.items()}
    reader = _Reader(source, adapter, joined)
    for found in inputs:
        empty = True
        for line in read_records(found.path):
            empty = False
            yield found, _read(reader, line, Place(source.name, found.shown, line.number, line.offset))
        if empty:
            raise DataError("the file holds no records", where=found.path, fix="take it out of the recipe or fill it")


def _records_by(join: Join, path: Path) -> dict[str, dict[str, Any]]:
    """The records of a joined file by the value of their key. A damaged one is an error: every row leans on it."""
    records: dict[str, dict[str, Any]] = {}
    for line in read_records(path):
        where = f"{path}:{line.number}"
        try:
            record = msgspec.json.decode(line.raw, type=dict[str, Any])
        except _UNREADABLE as error:
            raise DataError(f"a joined record can't be read: {error}", where=where, fix="repair the line") from error
        if join.on not in record:
            raise DataError(f"a joined record has no key {join.on!r}", where=where, fix="correct `on` in the recipe")
        if str(record[join.on]) in records:
            raise DataError(f"two joined records have {join.on} {record[join.on]!r}", where=where, fix="keep one")
        records[str(record[join.on])] = record
    return records


def _read(reader: _Reader, line: Line, place: Place) -> Entry | Rejection:
    def no(reason: str, detail: str) -> Rejection:
        return reject_raw(place, line.raw, STAGE, reason, detail, id=given)

    given: str | None = None
    try:
        record: Any = msgspec.json.decode(line.raw)
    except _UNREADABLE as error:
        return no(*_why_unreadable(line.raw, error))
    if not isinstance(record, dict):
        return no("not-an-object", f"the line holds a {type(record).__name__}, not an object with keys")
    given = record["id"] if isinstance(record.get("id"), str) else None
    for key, join in reader.source.join.items():
        partner = reader.joined[key].get(str(record.get(join.on)))
        if partner is None:
            return no("join-missing", f"{join.path} has no record with {join.on} {record.get(join.on)!r}")
        record[key] = partner
    if reader.adapter is not None:
        try:
            record = reader.adapter(record)
        except Exception as error:  # noqa: BLE001 - a user's function can raise anything; the job goes on
            return no("adapter-failed", f"{type(error).__name__}: {error}")
        if record is None:
            return no("adapter-returned-none", f"{reader.source.adapter} left this record out")
        if not isinstance(record, dict):
            return no("adapter-failed", f"returned a {type(record).__name__}, not a dict")
    try:
        return Entry(_make_row(record, reader), place, line.raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, OverflowError) as error:
        return no("not-a-row", str(error))


def _make_row(values: dict[str, Any], reader: _Reader) -> Row:
    """The row for these values, with what the source says where the row doesn't; unknown keys go into `meta`."""
    source = reader.source
    known = {key: value for key, value in values.items() if key in _ROW_KEYS and value is not None}
    extra = {key: value for key, value in values.items() if key not in _ROW_KEYS}
    if extra:
        known["meta"] = {**known.get("meta", {}), **extra}
    defaults = {"id": "", "source": source.name, "origin": source.origin}
    if source.label is not None:
        defaults["label"] = source.label
    row = msgspec.convert({**defaults, **known}, Row)
    if not row.id:
        row = msgspec.structs.replace(row, id=content_id(row.messages, row.tools))
    if reader.adapter is not None:
        # What comes from JSON can be written as JSON; what a function returns may hold anything.
        msgspec.json.encode(row)
    return row


def _why_unreadable(raw: bytes, error: Exception) -> tuple[str, str]:
    try:
        raw.decode()
    except UnicodeDecodeError as fault:
        return "not-utf-8", f"byte 0x{raw[fault.start]:02x} at position {fault.start} is not UTF-8: convert the file"
    return "not-json", str(error)
