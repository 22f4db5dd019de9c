"""Rows from a file: those that `curate build` wrote, or JSON lines in any format that it knows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from curate.core.chat.chat_format import TemplateFault
from curate.core.files import Line, read_lines
from curate.core.rows.formats.format import UnfitError
from curate.core.rows.formats.registry import FORMATS, find_format
from curate.core.rows.row import Row, content_id

_ROW_KEYS = frozenset(Row.__struct_fields__)
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


def read_rows(path: Path) -> Iterator[tuple[str, Row | TemplateFault]]:
    """Each line's name (the row's id, or file and line) and the row, or why it is none."""
    decode = msgspec.json.Decoder(Row).decode
    for line in read_lines(path):
        try:
            row = decode(line.raw)
        except _UNREADABLE:
            found = _converted(line)
            yield (found.id if isinstance(found, Row) else f"{path}:{line.number}"), found
        else:
            yield row.id, row


def _judged(values: dict[str, Any]) -> dict[str, Any]:
    """A `label` that is true or false judges the row's answer, as TRL's rows for KTO have it."""
    label, meta = values.get("label"), values.get("meta")
    if not isinstance(label, bool):
        return values
    return {**values, "label": None, "meta": {**(meta if isinstance(meta, dict) else {}), "desirable": label}}


def _converted(line: Line) -> Row | TemplateFault:
    try:
        fields: Any = msgspec.json.decode(line.raw)
    except _UNREADABLE as error:
        return TemplateFault("not-a-row", str(error))
    form = find_format(fields) if isinstance(fields, dict) else None
    if form is None:
        known = "; ".join(f"{known.name} ({known.keys})" for known in FORMATS.values())
        return TemplateFault("unknown-format", f"the line is in no format that we know: {known}")
    try:
        values = _judged(form.convert(fields))
        known_values = {key: value for key, value in values.items() if key in _ROW_KEYS and value is not None}
        row = msgspec.convert({"id": "", **known_values}, Row)
    except (UnfitError, *_UNREADABLE, TypeError) as error:
        return TemplateFault("not-a-row", str(error))
    return row if row.id else msgspec.structs.replace(row, id=content_id(row.messages, row.tools))
