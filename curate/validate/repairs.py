"""Mechanical repairs: what can be put right without knowing what a row means. Each is counted under its name."""

from collections import Counter

import msgspec

from curate.core.rows.formats.format import ROLES, Fields
from curate.core.rows.row import Message, Row

REPAIRS = {
    "role-name": "a role such as human or gpt becomes user or assistant",
    "invisible-ends": "byte order marks and zero-width characters at the ends of a text are removed",
    "trailing-whitespace": "whitespace at the end of a text is removed",
    "arguments-as-object": "tool call arguments given as an object become the JSON text that OpenAI defines",
    "call-type": 'a tool call with a function gets its "type": "function"',
    "empty-tools": "an empty list of tools or tool calls is left out",
}
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"


def repair(row: Row, counts: Counter[str]) -> Row:
    """The row repaired, the same object where nothing had to be; `counts` goes up once a repair and row."""
    done: set[str] = set()
    messages = [_message(message, done) for message in row.messages]
    tools = row.tools
    if tools is not None and not tools:
        tools = None
        done.add("empty-tools")
    if not done:
        return row
    counts.update(done)
    return msgspec.structs.replace(row, messages=messages, tools=tools)


def _message(message: Message, done: set[str]) -> Message:
    changes: Fields = {}
    role = ROLES.get(message.role.strip().lower(), message.role)
    if role != message.role:
        changes["role"] = role
        done.add("role-name")
    if isinstance(message.content, str) and (text := _text(message.content, done)) != message.content:
        changes["content"] = text
    if message.tool_calls is not None:
        calls = [_call(call, done) for call in message.tool_calls]
        if not calls:
            done.add("empty-tools")
        if calls != message.tool_calls or not calls:
            changes["tool_calls"] = calls or None
    return msgspec.structs.replace(message, **changes) if changes else message


def _text(text: str, done: set[str]) -> str:
    while True:  # one may stand behind the other
        visible = text.strip(_INVISIBLE)
        bare = visible.rstrip()
        if visible != text:
            done.add("invisible-ends")
        if bare != visible:
            done.add("trailing-whitespace")
        if bare == text:
            return bare
        text = bare


def _call(call: Fields, done: set[str]) -> Fields:
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    if isinstance(function.get("arguments"), dict):
        done.add("arguments-as-object")
        call = {**call, "function": {**function, "arguments": msgspec.json.encode(function["arguments"]).decode()}}
    if "type" not in call:
        done.add("call-type")
        call = {**call, "type": "function"}
    return call
