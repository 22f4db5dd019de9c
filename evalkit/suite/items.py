"""Items: rows in any format that curation reads, and files of prompts alone, such as tables of a benchmark.

An item's target is its last answer. Where a file has it in a column of its own, it becomes that.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from curate.core.console import warn
from curate.core.errors import DataError
from curate.core.files import read_lines
from curate.core.rows.contents import find_unread
from curate.core.rows.formats.blocks import is_empty
from curate.core.rows.formats.chat import with_system
from curate.core.rows.formats.conversation import is_messages
from curate.core.rows.formats.format import UnfitError, json_text
from curate.core.rows.formats.messages import as_turns
from curate.core.rows.formats.pairs import CONTEXT
from curate.core.rows.row import DESIRABLE, REJECTED, Message, Row
from curate.core.sources.layout import AS_FOUND
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import Unread
from curate.core.sources.records import Input, read_records, reading_notes
from curate.core.sources.row_readers import loose_reader
from evalkit.records.disk_list import Spool

# What files of prompts call the column, in this order, and what they call that of the answer.
_PROMPTS = ("prompt", "question", "text", "instruction", "goal", "input", "query", "problem")
_ANSWERS = (
    *("answer", "answers", "best_answer", "expected", "expected_output", "expected_answer", "target"),
    *("reference", "references", "reference_answer", "ground_truth", "gold", "gold_answer", "correct_answer"),
    *("final_answer", "ideal", "solution", "completion", "output", "response", "sql"),
)
_REFERENCES = ("ground_truth", "reference", "reference_answer", "expected_output", "expected_answer", "gold_answer")
_SHOWN_KEYS = 8
_CONVERSATIONS = frozenset({"messages", "conversations", "contents"})
# What tables of attacks and look-alikes call a prompt that should be refused, and one that should not.
_SHOULD_REFUSE = {"unsafe": True, "harmful": True, "safe": False, "harmless": False, "benign": False}
# Of canaries: the strings themselves would reach the results, which more people read. Their `text` is left out below.
_LEFT_OUT = frozenset({"fill", "format", "digest", "rows"})


def read_items(path: Path) -> Spool[Row]:
    """The items of a file: rows as `curate` reads them, prompts with or without an answer, or one a line (.txt).

    A prompt's `id` and `label` are used, other columns go to `meta`; without an id it is numbered by its line. A
    label of `unsafe` or `safe` (`harmful`, `harmless`, `benign`) also sets `meta.should_refuse`. A column such as
    `answer` or `expected` is the target, and a list of answers `meta.answers`. Where a `reference` stands beside an
    answer, that is the target.
    Raises: DataError naming the line of one that can't be used.
    """
    return Spool(Row, _from_text(path) if path.suffix.lower() == ".txt" else _from_records(path))


def _from_text(path: Path) -> Iterator[Row]:
    for line in read_lines(path):
        yield _of_prompt({"prompt": line.raw.decode("utf-8", "replace")}, path, line.number)


def _from_records(path: Path) -> Iterator[Row]:
    reader = loose_reader(path)
    for note in reading_notes(Input(str(path), path), AS_FOUND):
        warn(note)
    for record in read_records(path):
        found = reader.read(record)
        # A row of ours that says its id and source holds nothing beside them.
        fields = {} if not isinstance(found, Unread) and found[1] else _fields(record)
        is_conversation = not _CONVERSATIONS.isdisjoint(fields)
        if not isinstance(found, Unread) and (is_conversation or not _is_judged(fields)):
            row, _ = found
            if fields and fields.get("id") in (None, ""):
                row = msgspec.structs.replace(row, id=f"{path.stem}-{record.number}")
            if is_conversation and fields.get("source") is None:
                row = msgspec.structs.replace(row, source=None)  # a row names its source itself
        elif isinstance(found, Unread) and (is_conversation or _prompt_column(fields) is None):
            raise DataError(
                f"neither a row nor a prompt: {_why(found, fields)}",
                where=f"{path}:{record.number}",
                fix=f"repair it, or give it a prompt under one of: {', '.join(_PROMPTS)}",
            )
        else:
            row = _of_prompt(fields, path, record.number)
        _refuse_media(row, f"{path}:{record.number}")
        yield _with_target(row, fields, is_conversation=is_conversation)


def _refuse_media(row: Row, where: str) -> None:
    """Raises: DataError where images, sound or video stand beside the messages: no contender would be asked with them.

    Those within a message are sent as they are.
    """
    fault = find_unread(row)
    if fault is not None and fault[0] == "media" and not any(isinstance(m.content, list) for m in row.messages):
        raise DataError(fault[1], where=where, fix="leave it out, or write what they show as text")


def _is_judged(fields: Mapping[str, Any]) -> bool:
    """Does a label say whether a prompt should be refused? Then an answer beside it is none to give."""
    label = fields.get("label")
    return isinstance(label, str) and label.lower() in _SHOULD_REFUSE and _prompt_column(fields) is not None


def _why(found: Unread, fields: Mapping[str, Any]) -> str:
    if found.reason == "unknown-format":
        return f"its keys are {', '.join(sorted(fields)[:_SHOWN_KEYS])}"
    return f"{found.reason}: {found.detail}"


def _fields(record: Record) -> dict[str, Any]:
    if record.fault is not None:
        return {}
    if record.fields is not None:
        return record.fields
    try:
        value = msgspec.json.decode(record.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _prompt_column(fields: Mapping[str, Any]) -> str | None:
    return next((name for name in _PROMPTS if isinstance(fields.get(name), str) or is_messages(fields.get(name))), None)


def _of_prompt(fields: dict[str, Any], path: Path, line: int) -> Row:
    column = _prompt_column(fields)
    prompt = fields[column] if column else ""
    used = {column, "id", "label", *_LEFT_OUT}
    if column == "instruction" and isinstance(fields.get("input"), str):
        prompt = "\n\n".join(part for part in (prompt, fields["input"]) if part.strip())
        used.add("input")
    for name in CONTEXT:
        if isinstance(prompt, str) and isinstance(fields.get(name), str):
            prompt = "\n\n".join(part for part in (fields[name], prompt) if part.strip())
            used.add(name)
    if isinstance(prompt, str) and not prompt.strip():
        raise DataError("a row without a prompt", where=f"{path}:{line}", fix="remove it, or give it one")
    meta = {key: value for key, value in fields.items() if key not in used and value is not None}
    try:
        messages = with_system(meta, as_turns(prompt, "user", str(column)))
    except UnfitError as error:
        raise DataError(str(error), where=f"{path}:{line}", fix="correct it") from error
    if "fill" in fields:
        meta.pop("text", None)
    label = str(fields["label"]) if fields.get("label") not in (None, "") else None
    if label and label.lower() in _SHOULD_REFUSE:
        meta.setdefault("should_refuse", _SHOULD_REFUSE[label.lower()])
    return Row(
        id=str(fields["id"]) if fields.get("id") not in (None, "") else f"{path.stem}-{line}",
        messages=msgspec.convert(messages, list[Message]),
        label=label,
        source=path.stem,
        meta=meta,
    )


def _with_target(row: Row, fields: Mapping[str, Any], *, is_conversation: bool) -> Row:
    """The row with the answer that stands beside its prompt, and without one that people found bad."""
    told = next((name for name in _REFERENCES if isinstance(fields.get(name), str) and fields[name] != ""), None)
    if told is not None and not is_conversation and row.messages[-1].role == "assistant" and told in row.meta:
        # The answer beside a reference is what somebody's model said.
        answer = next((name for name in _ANSWERS if fields.get(name) == row.messages[-1].content), "answer")
        row = msgspec.structs.replace(row, messages=row.prompt, meta={**row.meta, answer: row.messages[-1].text})
        fields = {told: fields[told]}
    if row.meta.get(DESIRABLE) is False and REJECTED not in row.meta:
        return msgspec.structs.replace(row, messages=row.prompt)
    if row.messages and row.messages[-1].role == "assistant":
        return row
    # What tables of attacks call a target is what an attack wants to hear.
    is_attack = "goal" in fields or "should_refuse" in row.meta
    name = next((name for name in _ANSWERS if name in fields and not is_empty(row.meta.get(name))), None)
    if name is None and not is_attack:
        row, name = _with_nested_truth(row)
    if name is None or is_attack:
        return row
    meta, answers = dict(row.meta), _answers(row.meta[name])
    del meta[name]
    if len(answers) > 1:
        meta["answers"] = answers
    return msgspec.structs.replace(row, messages=[*row.messages, Message("assistant", answers[0])], meta=meta)


def _with_nested_truth(row: Row) -> tuple[Row, str | None]:
    """The row with the `ground_truth` that stands within another key, as files for reinforcement have it; its key."""
    held = (value["ground_truth"] for value in row.meta.values() if isinstance(value, dict) and "ground_truth" in value)
    truth = next((value for value in held if not is_empty(value)), None)
    if truth is None:
        return row, None
    return msgspec.structs.replace(row, meta={**row.meta, "ground_truth": truth}), "ground_truth"


def _answers(value: Any) -> list[str]:
    """The answers that count as right; SQuAD has them as {"text": [...]}."""
    if isinstance(value, dict) and isinstance(value.get("text"), list) and value["text"]:
        value = value["text"]
    several = value if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value) else [value]
    return [json_text(one) for one in several]


def question_text(row: Row) -> str:
    """What is asked, without the system message: what retrieval compares and overlap is judged by."""
    return "\n".join(message.text for message in split_system(row.prompt)[1])


def split_system(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """The system messages, and all others."""
    system = [message for message in messages if message.role == "system"]
    return system, [message for message in messages if message.role != "system"]
