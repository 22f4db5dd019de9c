"""OpenAI chat: `messages` of role and content (text or parts), with `tools` and `tool_calls`. Our own rows too."""

from collections.abc import Mapping
from typing import Any

from curate.core.formats.shape import Fields, Format, as_messages, as_tools
from curate.core.rows import Message

MESSAGE_KEYS = frozenset(Message.__struct_fields__)
# Where keys of messages that rows have no field for are kept: {number of the message from 0: {key: value}}.
EXTRAS = "message_extras"


def _fits(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("messages"), list)


def convert(record: Fields) -> Fields:
    """The record with the extra keys of its messages moved to `meta`."""
    messages, extras = [], {}
    for index, message in enumerate(as_messages(record.get("messages"), "messages")):
        messages.append({key: value for key, value in message.items() if key in MESSAGE_KEYS})
        if more := {key: value for key, value in message.items() if key not in MESSAGE_KEYS and value is not None}:
            extras[str(index)] = more
    values = {**record, "messages": messages}
    if isinstance(record.get("tools"), str | list):
        values["tools"] = as_tools(record["tools"])
    if extras:
        values[EXTRAS] = extras
    return values


CHAT = Format("chat", "messages", _fits, convert)
