"""Items from files that hold prompts alone: tables of a benchmark's prompts, lists of attacks, planted canaries."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from curate.core.errors import DataError, os_errors
from curate.core.files import read_lines
from curate.core.rows.row import Message, Row
from evalkit.records.disk_list import Spool

_PROMPTS = ("prompt", "question", "text", "instruction", "goal")  # what such files call the column, in this order
# What tables of attacks and look-alikes call a prompt that should be refused, and one that should not.
_SHOULD_REFUSE = {"unsafe": True, "harmful": True, "safe": False, "harmless": False, "benign": False}
# Of canaries: the strings themselves would reach the results, which more people read. Their `text` is left out below.
_LEFT_OUT = frozenset({"fill", "format", "digest", "rows"})


def read_items(path: Path) -> Spool[Row]:
    """The items of a file: rows (.jsonl), or prompts in a CSV or TSV table, in JSON lines, or one a line (.txt).

    A prompt's `id` and `label` are used, other plain columns go to `meta`; without an id it is numbered by its line. A
    label of `unsafe` or `safe` (`harmful`, `harmless`, `benign`) also sets `meta.should_refuse`.
    Raises: DataError naming the line of one that can't be used.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return Spool(Row, _from_table(path, "\t" if suffix == ".tsv" else ","))
    return Spool(Row, _from_text(path) if suffix == ".txt" else _from_lines(path))


def _from_text(path: Path) -> Iterator[Row]:
    for line in read_lines(path):
        yield _row({"prompt": line.raw.decode("utf-8", "replace")}, path, line.number)


def _from_lines(path: Path) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(Row)
    for line in read_lines(path):
        try:
            yield decoder.decode(line.raw)
        except msgspec.MsgspecError as error:
            record = _record(line.raw)
            if "messages" in record or not any(isinstance(record.get(name), str) for name in _PROMPTS):
                raise DataError(f"not a Row: {error}", where=f"{path}:{line.number}") from error
            yield _row(record, path, line.number)


def _record(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _from_table(path: Path, delimiter: str) -> Iterator[Row]:
    with os_errors(path):
        data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error.reason} at byte {error.start}", where=path) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = reader.fieldnames or []
        if not set(columns) & set(_PROMPTS):
            known = ", ".join(_PROMPTS)
            raise DataError("no column holds the prompts", where=path, fix=f"call it one of: {known}")
        for record in reader:
            yield _row({key: value for key, value in record.items() if key}, path, reader.line_num)
    except csv.Error as error:
        raise DataError(f"not a table: {error}", where=f"{path}:{reader.line_num}") from error


def _row(record: dict[str, Any], path: Path, line: int) -> Row:
    column = next((name for name in _PROMPTS if isinstance(record.get(name), str)), None)
    prompt = record[column] if column else ""
    if not prompt.strip():
        raise DataError("a row without a prompt", where=f"{path}:{line}", fix="remove it, or give it one")
    used = {column, "id", "label", *_LEFT_OUT}
    plain: dict[str, Any] = {
        key: value for key, value in record.items() if key not in used and isinstance(value, str | int | float)
    }
    if "fill" in record:
        plain.pop("text", None)
    label = str(record["label"]) if record.get("label") not in (None, "") else None
    if label and label.lower() in _SHOULD_REFUSE:
        plain.setdefault("should_refuse", _SHOULD_REFUSE[label.lower()])
    return Row(
        id=str(record["id"]) if record.get("id") not in (None, "") else f"{path.stem}-{line}",
        messages=[Message("user", prompt)],
        label=label,
        source=path.stem,
        meta=plain,
    )


def question_text(row: Row) -> str:
    """What is asked, without the system message: what retrieval compares and overlap is judged by."""
    return "\n".join(message.text for message in split_system(row.prompt)[1])


def split_system(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """The system messages, and all others."""
    system = [message for message in messages if message.role == "system"]
    return system, [message for message in messages if message.role != "system"]
