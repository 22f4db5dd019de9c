"""The text of a row that screens read, and the row again after some of that text was replaced.

A row's text is its pieces joined by `SEPARATOR`: contents of messages, text parts, and the keys and values inside JSON
(tool-call arguments, and contents that are JSON objects or arrays), so that a replacement never breaks the JSON.
`meta`, `label` and tool definitions are not read.
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from curate.core.rows.row import Message, Row
from curate.core.visible import without_surrogates
from curate.screen.spans import Span, cut
from curate.table.selection import RowSelection

if TYPE_CHECKING:
    import polars as pl

SEPARATOR = "\x1e"  # ASCII's record separator: no pattern reads across it, and no prose contains it
_MAX_DEPTH = 64  # JSON nested deeper is read as plain text: Python's stack ends at about a thousand calls
_MAX_INTEGER = 10**19  # card numbers have 19 digits at most; larger integers are no text

Change = Callable[[str], str]


def row_text(row: Row, on: str) -> str:
    """The pieces of the row's `prompt`, `answer` or `conversation`, joined."""
    messages = row.messages[_chosen(row, on)]
    if len(messages) == 1 and _is_plain(messages[0]):
        return str(messages[0].content)
    pieces: list[str] = []

    def collect(text: str) -> str:
        pieces.append(text)
        return text

    for message in messages:
        if _is_plain(message):
            pieces.append(str(message.content))
        else:
            _changed_message(message, collect)
    return SEPARATOR.join(pieces)


def redacted_row(row: Row, on: str, spans: Sequence[Span]) -> Row:
    """The row with the spans of `row_text(row, on)` replaced by placeholders; equal where there is no span.

    Unpaired surrogates are replaced too: the row is written anew, and no file can hold them.
    """
    if not spans:
        return row
    at = 0

    def change(text: str) -> str:
        nonlocal at
        start, at = at, at + len(text) + len(SEPARATOR)
        return cut(without_surrogates(text), spans, start)

    chosen = _chosen(row, on)
    messages = list(row.messages)
    messages[chosen] = [_changed_message(message, change) for message in messages[chosen]]
    return msgspec.structs.replace(row, messages=messages)


class RowTexts(Sequence[str]):
    """What stands in each row `on` a part of it, read when it is asked for."""

    def __init__(self, rows: RowSelection, on: str) -> None:
        self._rows, self._on = rows, on

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [row_text(row, self._on) for row in self._rows.rows[at]]
        return row_text(self._rows.rows[at], self._on)

    def of(self, positions: Sequence[int]) -> "RowTexts":
        """The texts of the rows at these positions."""
        return RowTexts(self._rows.take(positions), self._on)


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


def _is_plain(message: Message) -> bool:
    content = message.content
    return isinstance(content, str) and not message.tool_calls and not content.lstrip().startswith(("{", "["))


def _changed_message(message: Message, change: Change) -> Message:
    content: Any = message.content
    if isinstance(content, str):
        content = _changed_text(content, change)
    elif content:
        content = [_changed_part(part, change) for part in content]
    calls = message.tool_calls
    if calls:
        calls = [_changed_call(call, change) for call in calls]
    return msgspec.structs.replace(message, content=content, tool_calls=calls)


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
