"""Evaluation suites as items: a question and an answer each, from files of any common shape."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_file
from curate.core.errors import DataError, os_errors
from curate.core.files import read_lines
from curate.core.rows.row import Message, Row
from curate.core.rows.row_text import answer_text, chosen_text
from curate.core.sources.records import Input, find_inputs, read_records
from curate.core.text.leaks.items import Item, Suite
from curate.core.text.leaks.settings import Against

_JSON = (".jsonl", ".ndjson", ".json")
_QUESTIONS = ("question", "prompt", "instruction", "query", "problem", "text", "utterance", "input")
_ANSWERS = ("answer", "output", "completion", "response", "target", "solution", "canonical_solution")
_IDS = ("id", "task_id", "item_id", "qid")
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _UnreadableError(Exception):
    """Why a record is no item; never leaves this module."""


def read_suites(against: Sequence[Against], folder: Path) -> list[Suite]:
    """The suites that settings name; paths are relative to `folder`.

    Raises: DataError where a file is missing or has no item in it.
    """
    return [_read_suite(one, folder) for one in against]


def _read_suite(against: Against, folder: Path) -> Suite:
    name = against.name or against.path
    files = find_inputs(against.path, folder)
    items: list[Item] = []
    unreadable: list[str] = []
    for file in files:
        prefix = f"{Path(file.shown).name}:" if len(files) > 1 else ""
        for number, record in _records(file, against):
            try:
                items.append(_item(name, f"{prefix}{number}", _decoded(record), against))
            except _UnreadableError as reason:
                unreadable.append(f"{file.shown}:{number}: {reason}")
    if not items:
        raise DataError(
            f"no evaluation item can be read: {unreadable[0] if unreadable else 'it is empty'}",
            where=against.path,
            fix="say in `question` (and `at`, for one JSON document) where the items' text stands",
        )
    return Suite(name, {file.shown: digest_file(file.path) for file in files}, items, unreadable)


def _records(file: Input, against: Against) -> Iterator[tuple[int, Any]]:
    """Every record with its line or position: bytes of JSON, or a value that is decoded already."""
    if against.at is not None:
        with os_errors(file.path):
            data = file.path.read_bytes()
        try:
            found = dig(msgspec.json.decode(data), against.at)
        except (*_UNREADABLE, KeyError) as error:
            raise DataError(f"nothing at {against.at!r}: {error}", where=file.path, fix="check `at`") from error
        values = list(found.values()) if isinstance(found, dict) else found
        if not isinstance(values, list):
            raise DataError(f"{against.at!r} holds no list of items", where=file.path, fix="check `at`")
        yield from enumerate(values, start=1)
    elif any(file.path.name.endswith((suffix, f"{suffix}.gz", f"{suffix}.zst")) for suffix in _JSON):
        for record in read_records(file.path):
            yield record.number, record.raw
    else:
        for line in read_lines(file.path):
            yield line.number, line.raw.decode("utf-8", "replace")


def _decoded(record: Any) -> Any:
    if not isinstance(record, bytes):
        return record
    try:
        return msgspec.json.decode(record)
    except _UNREADABLE as error:
        raise _UnreadableError(f"not JSON: {error}") from error


def _item(suite: str, place: str, record: Any, against: Against) -> Item:
    fields = record if isinstance(record, dict) else {}
    name = _mapped(record, against.id) if against.id else next((fields[k] for k in _IDS if k in fields), place)
    if against.question is None and "messages" in fields:
        try:
            row = Row(id="", messages=msgspec.convert(fields["messages"], list[Message], strict=False))
        except msgspec.MsgspecError as error:
            raise _UnreadableError(f"not messages: {error}") from error
        return Item(suite, str(name), chosen_text(row, "prompt"), answer_text(row))
    if against.question is not None:
        question = _text(_mapped(record, against.question))
    elif isinstance(record, str):
        question = record
    else:
        question = _common(fields)
    if against.answer is not None:
        answer = _text(_mapped(record, against.answer))
    else:
        answer = next((_text(fields[key]) for key in _ANSWERS if fields.get(key)), "")
    if not question.strip():
        raise _UnreadableError("its question is empty")
    return Item(suite, str(name), question, answer)


def _common(fields: dict[str, Any]) -> str:
    """The question under the name it usually has; an instruction comes with its input."""
    key = next((key for key in _QUESTIONS if fields.get(key)), None)
    if key is None:
        raise _UnreadableError(f"no question among the keys {', '.join(sorted(fields)) or '(none)'}")
    more = fields.get("input") or fields.get("context") if key == "instruction" else None
    return _text(fields[key]) + (f"\n{_text(more)}" if more else "")


def _mapped(record: Any, path: str) -> Any:
    try:
        return dig(record, path)
    except KeyError as error:
        raise _UnreadableError(f"nothing at {path!r}") from error


def dig(value: Any, path: str) -> Any:
    """What stands at a path of keys and list positions joined by dots. Raises: KeyError where nothing does."""
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise KeyError(step)
    return value


def _text(value: Any) -> str:
    """The value as text: that of a list's elements or messages line by line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_text(element) for element in value)
    if isinstance(value, dict):
        return _text(next((value[key] for key in ("content", "text", "value") if value.get(key)), ""))
    return "" if value is None else str(value)
