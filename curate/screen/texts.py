"""The text of a row that screens read, and the row again after some of that text was replaced.

A row's text is its pieces joined by `SEPARATOR`: contents of messages, text parts, and the keys and values inside JSON
(tool-call arguments, and contents that are JSON objects or arrays), so that a replacement never breaks the JSON.
Screens that look for what must not get out read all that is rendered or trained on: also reasoning, names, tool
definitions and the rejected answer. `meta` beside that answer, and `label`, are not read.
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import msgspec

from curate.core.rows.row import REJECTED, Message, Row
from curate.core.visible import without_surrogates
from curate.screen.spans import Span, cut
from curate.table.selection import RowSelection

if TYPE_CHECKING:
    import polars as pl

SEPARATOR = "\x1e"  # ASCII's record separator: no pattern reads across it, and no prose contains it
_MAX_DEPTH = 64  # JSON nested deeper is read as plain text: Python's stack ends at about a thousand calls
_MAX_INTEGER = 10**19  # card numbers have 19 digits at most; larger integers are no text

# Keys whose text is part of a shape, in messages and in tool definitions, and keys whose value can be anything.
_STRUCTURE = frozenset({"role", "from", "type", "id", "tool_call_id", "name", "required", "format", "pattern", "$ref"})
_VALUES = frozenset({"arguments", "default", "const", "enum", "example", "examples"})

Change = Callable[[str], str]
Reads = Literal["content", "reasoning", "everything"]
"""What a screen reads of a row: what was said, the reasoning before it too, or all that is rendered or trained on."""


def row_text(row: Row, on: str, reads: Reads = "content") -> str:
    """The pieces of the row's `prompt`, `answer` or `conversation`, joined."""
    messages = row.messages[_chosen(row, on)]
    if all(_is_plain(message, reads) for message in messages) and (
        reads != "everything" or not (row.tools or REJECTED in row.meta)
    ):
        return SEPARATOR.join(str(message.content) for message in messages)
    pieces: list[str] = []

    def collect(text: str) -> str:
        pieces.append(text)
        return text

    _changed_row(row, on, reads, collect)
    return SEPARATOR.join(pieces)


def redacted_row(row: Row, on: str, spans: Sequence[Span], reads: Reads = "content") -> Row:
    """The row with the spans of `row_text(row, on, reads)` replaced by placeholders; equal where there is no span.

    Unpaired surrogates are replaced too: the row is written anew, and no file can hold them.
    """
    if not spans:
        return row
    at = 0

    def change(text: str) -> str:
        nonlocal at
        start, at = at, at + len(text) + len(SEPARATOR)
        return cut(without_surrogates(text), spans, start)

    return _changed_row(row, on, reads, change)


class RowTexts(Sequence[str]):
    """What stands in each row `on` a part of it, read when it is asked for."""

    def __init__(self, rows: RowSelection, on: str, reads: Reads) -> None:
        self._rows, self._on, self._reads = rows, on, reads

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [row_text(row, self._on, self._reads) for row in self._rows.rows[at]]
        return row_text(self._rows.rows[at], self._on, self._reads)

    def of(self, positions: Sequence[int]) -> "RowTexts":
        """The texts of the rows at these positions."""
        return RowTexts(self._rows.take(positions), self._on, self._reads)


def text_series(texts: Sequence[str]) -> "pl.Series":
    """The texts as a polars column; an unpaired surrogate becomes U+FFFD, so that offsets stay the same."""
    import polars as pl

    try:
        return pl.Series("text", texts, dtype=pl.String)
    except UnicodeEncodeError:
        return pl.Series("text", [without_surrogates(text) for text in texts], dtype=pl.String)


def _chosen(row: Row, on: str) -> slice:
    if on == "conversation":
        return slice(None)
    answer = len(row.prompt)
    return slice(answer) if on == "prompt" else slice(answer, answer + 1)


def _is_plain(message: Message, reads: Reads) -> bool:
    """Is its text, read so, its content as it stands?"""
    content = message.content
    if not isinstance(content, str) or message.tool_calls or content.lstrip().startswith(("{", "[")):
        return False
    return reads == "content" or not (message.reasoning_content or (reads == "everything" and message.name))


def _changed_row(row: Row, on: str, reads: Reads, change: Change) -> Row:
    changes: dict[str, Any] = {}
    if reads == "everything" and row.tools and on != "answer":
        changes["tools"] = _changed_texts(row.tools, change)
    chosen = _chosen(row, on)
    messages = list(row.messages)
    messages[chosen] = [_changed_message(message, reads, change) for message in messages[chosen]]
    if reads == "everything" and REJECTED in row.meta:
        changes["meta"] = {**row.meta, REJECTED: _changed_rejected(row.meta[REJECTED], on, change)}
    return msgspec.structs.replace(row, messages=messages, **changes)


def _changed_message(message: Message, reads: Reads, change: Change) -> Message:
    content: Any = message.content
    reasoning, name = message.reasoning_content, message.name
    if reads != "content" and reasoning:
        reasoning = change(reasoning)
    if reads == "everything" and name:
        name = change(name)
    if isinstance(content, str):
        content = _changed_text(content, change)
    elif content:
        content = [_changed_part(part, change) for part in content]
    calls = message.tool_calls
    if calls:
        calls = [_changed_call(call, change) for call in calls]
    return msgspec.structs.replace(message, content=content, reasoning_content=reasoning, name=name, tool_calls=calls)


def _changed_rejected(rejected: Any, on: str, change: Change) -> Any:
    """The rejected side: an answer, or messages, which may begin with the prompt."""
    if on == "conversation":
        return _changed_texts(rejected, change)
    if not isinstance(rejected, list):
        return rejected if on == "prompt" else _changed_texts(rejected, change)
    answers = (at for at in range(len(rejected)) if _speaker(rejected[at]) in ("assistant", "gpt"))
    answer = max(answers, default=len(rejected))
    prompt, rest = rejected[:answer], rejected[answer:]
    return [*_changed_texts(prompt, change), *rest] if on == "prompt" else [*prompt, *_changed_texts(rest, change)]


def _speaker(turn: Any) -> Any:
    return turn.get("role", turn.get("from")) if isinstance(turn, dict) else None


def _changed_texts(value: Any, change: Change, depth: int = 0) -> Any:
    """Messages or tool definitions as plain values, every text in them changed that is not part of their shape."""
    if isinstance(value, str):
        return _changed_text(value, change)
    if depth >= _MAX_DEPTH:
        text = msgspec.json.encode(value).decode()
        changed = change(text)
        return value if changed == text else changed
    if isinstance(value, list):
        return [_changed_texts(item, change, depth + 1) for item in value]
    if not isinstance(value, dict):
        return _changed_value(value, change)
    made: dict[Any, Any] = {}
    for key, item in value.items():
        if isinstance(item, str) and key == "name" and "role" in value:
            made[key] = change(item)  # a speaker's, not a tool's
        elif key in _STRUCTURE and not isinstance(item, dict):
            made[key] = item
        elif key in _VALUES and not isinstance(item, str) and not _is_deep(item):
            made[key] = _changed_value(item, change)
        else:
            made[key] = _changed_texts(item, change, depth + 1)
    return made


def _changed_part(part: dict[str, Any], change: Change) -> dict[str, Any]:
    return {**part, "text": _changed_text(part["text"], change)} if isinstance(part.get("text"), str) else part


def _changed_call(call: dict[str, Any], change: Change) -> dict[str, Any]:
    if isinstance(call.get("function"), dict):
        return {**call, "function": _changed_call(call["function"], change)}
    if "arguments" not in call:
        return call
    arguments = call["arguments"]
    if isinstance(arguments, str):
        return {**call, "arguments": _changed_text(arguments, change)}
    if _is_deep(arguments):
        text = msgspec.json.encode(arguments).decode()
        changed = change(text)
        return call if changed == text else {**call, "arguments": changed}
    return {**call, "arguments": _changed_value(arguments, change)}


def _changed_text(text: str, change: Change) -> str:
    """Plain text as one piece; a JSON object or array by its keys and values, spelled as before unless one changed."""
    if not text.lstrip().startswith(("{", "[")):
        return change(text)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return change(text)
    if _is_deep(value):
        return change(text)
    changed = _changed_value(value, change)
    if changed == value:
        return text
    separators = (", ", ": ") if '": ' in text else (",", ":")
    return json.dumps(changed, ensure_ascii=False, separators=separators)


def _changed_value(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, item in value.items():
            wanted = name = change(key)
            count = 1
            while name in made:  # two keys may have become the same placeholder; neither value may get lost
                count += 1
                name = f"{wanted} {count}"
            made[name] = _changed_value(item, change)
        return made
    if isinstance(value, list):
        return [_changed_value(item, change) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_INTEGER:
        text = str(value)
        changed = change(text)
        return value if changed == text else changed
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True
