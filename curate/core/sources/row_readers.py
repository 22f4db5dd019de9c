"""What reads the records of a file as rows. A record that can't be read is a value, a file that can't is an error."""

import difflib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from curate.core.errors import ConfigError, DataError
from curate.core.paths import find_path, load_function
from curate.core.rows.formats.format import Format
from curate.core.rows.formats.mapped import mapped, paths_of
from curate.core.rows.formats.registry import ANY, FORMATS, SAMPLE_RECORDS, as_record, detect
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import UNREADABLE, Adapter, Joined, RowReader
from curate.core.sources.records import Input, read_records
from curate.core.sources.records_within import records_within
from curate.core.sources.source import Join, LooseFiles, Source

_MISSPELLED = 0.8  # how alike two keys are of which one is taken to be the other misspelled
UNKNOWN = "unknown"  # what the manifest says of a file whose first records are in no format


def records_of(source: Source, path: Path) -> Iterator[Record]:
    """The records of one of the source's files. Raises: DataError where the file can't be read at all."""
    records = read_records(path, source.layout)
    return records if source.at is None else (inner for each in records for inner in records_within(each, source.at))


def load_adapter(source: Source, folder: Path) -> Adapter | None:
    """The source's Python function, where it has one. Raises: ConfigError where it can't be loaded."""
    return load_function(source.adapter, folder) if source.adapter is not None else None


def load_joined(source: Source, folder: Path) -> Joined:
    """The records of the files that are joined to the source's, each file's by their key."""
    return {key: _records_by(join, find_path(join.path, folder)) for key, join in source.join.items()}


def make_reader(source: Source, found: Input, adapter: Adapter | None, joined: Joined) -> RowReader:
    """What reads the records of one file."""
    return RowReader(source, _format(source, found), adapter, joined)


def loose_reader(path: Path) -> RowReader:
    """What reads the records of a file that no recipe names, each in the format that fits it."""
    return RowReader(LooseFiles(name=path.stem, path=str(path)), ANY, None, {})


def pinned(source: Source, found: Input) -> Input:
    """The file with the format that its records are in. Raises: ConfigError where a map misspells their keys."""
    if source.map is not None:
        _check_spelling(source.map.model_dump(exclude_none=True), source, found)
    return found if found.format is not None else replace(found, format=_format_name(source, found))


def _check_spelling(fields: Mapping[str, str], source: Source, found: Input) -> None:
    """Raises: ConfigError where a map names a key that no record has, and they have one that is spelled nearly so."""
    sample = [_decoded(record) for record in itertools.islice(records_of(source, found.path), SAMPLE_RECORDS)]
    keys = {key for record in sample if isinstance(record, dict) for key in record} | source.join.keys()
    for path in paths_of(fields.values()):
        name = path if path in keys else path.partition(".")[0]
        if name not in keys and (near := difflib.get_close_matches(name, keys, 1, _MISSPELLED)):
            raise ConfigError(
                f"the map of source {source.name} names {name}, which none of the first {len(sample)} records has",
                where=found.shown,
                fix=f"did you mean {near[0]}? The keys are {', '.join(sorted(keys))}",
            )


def _format_name(source: Source, found: Input) -> str:
    """What the manifest says the file's records are in: a format to pin in the recipe, or who reads them."""
    if source.adapter is not None:
        return "adapter"
    form = _format(source, found)
    return form.name if form is not None else UNKNOWN


def _format(source: Source, found: Input) -> Format | None:
    """The format of a file's records, found out from the first of them where the recipe doesn't say."""
    if source.map is not None:
        return mapped(source.map.model_dump(exclude_none=True))
    if source.format is not None:
        return FORMATS[source.format]
    if found.format is not None:
        return FORMATS.get(found.format)
    sample = [_decoded(record) for record in itertools.islice(records_of(source, found.path), SAMPLE_RECORDS)]
    # Where nothing can be read at all, each record says so itself.
    return detect(sample) if any(isinstance(as_record(value), dict) for value in sample) else FORMATS["chat"]


def _decoded(record: Record) -> object:
    if record.fault is not None or record.fields is not None:
        return record.fields
    try:
        return msgspec.json.decode(record.raw)
    except UNREADABLE:
        return None


def _records_by(join: Join, path: Path) -> dict[str, dict[str, Any]]:
    """The records of a joined file by the value of their key. A damaged one is an error: every row leans on it."""
    records: dict[str, dict[str, Any]] = {}
    for line in read_records(path):
        where = f"{path}:{line.number}"
        try:
            record = line.fields if line.fields is not None else msgspec.json.decode(line.raw, type=dict[str, Any])
        except UNREADABLE as error:
            raise DataError(f"a joined record can't be read: {error}", where=where, fix="repair the line") from error
        if join.on not in record:
            raise DataError(f"a joined record has no key {join.on!r}", where=where, fix="correct `on` in the recipe")
        if str(record[join.on]) in records:
            raise DataError(f"two joined records have {join.on} {record[join.on]!r}", where=where, fix="keep one")
        records[str(record[join.on])] = record
    return records
