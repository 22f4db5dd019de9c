"""OpenAI chat: `messages` of role and content (text or parts), with `tools` and `tool_calls`. Our own rows too."""

from collections.abc import Mapping
from typing import Any

import msgspec

from curate.core.rows.formats.format import Fields, Format, UnfitError, as_messages, as_tools, without
from curate.core.rows.row import Message

MESSAGE_KEYS = frozenset(Message.__struct_fields__)
# Where keys of messages that rows have no field for are kept: {number of the message from 0: {key: value}}.
EXTRAS = "message_extras"


def _fits(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("messages"), list)


def convert(record: Fields) -> Fields:
    """The record with the extra keys of its messages moved to `meta`."""
    messages, extras = [], {}
    for index, given in enumerate(as_messages(record.get("messages"), "messages")):
        message = _unpacked(given)
        messages.append({key: value for key, value in message.items() if key in MESSAGE_KEYS})
        if more := {key: value for key, value in message.items() if key not in MESSAGE_KEYS and value is not None}:
            extras[str(index)] = more
    values = {**record, "messages": messages}
    if isinstance(record.get("tools"), str | list):
        values["tools"] = as_tools(record["tools"])
    if isinstance(record.get("meta"), str):
        values["meta"] = _decoded(record["meta"], "meta", dict)
    if extras:
        values[EXTRAS] = extras
    return values


def _unpacked(message: Fields) -> Fields:
    """The message with the lists that a table holds as JSON text; the same one where it has none."""
    if isinstance(message.get("tool_calls"), str):
        message = {**message, "tool_calls": _decoded(message["tool_calls"], "tool_calls", list)}
    if message.get("content") is None and isinstance(message.get("content_parts"), str):
        parts = _decoded(message["content_parts"], "content_parts", list)
        message = {**without(message, ["content_parts"]), "content": parts}
    return message


def _decoded(text: str, name: str, kind: type) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise UnfitError(f"{name} is text that is no JSON {kind.__name__}: {error}") from error


CHAT = Format("chat", "messages", _fits, convert)
