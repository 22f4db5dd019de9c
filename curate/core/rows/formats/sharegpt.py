"""ShareGPT: `conversations` of `from` and `value`, with `system` and `tools` beside them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from curate.core.rows.formats.chat import EXTRAS
from curate.core.rows.formats.format import ROLES, Fields, Format, UnfitError, as_messages, as_text, as_tools, without


def _fits(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("conversations"), list)


def _convert(record: Fields) -> Fields:
    messages: list[Fields] = []
    extras: Fields = {}
    if record.get("system"):
        messages.append({"role": "system", "content": as_text(record["system"], "system")})
    open_call: str | None = None
    for number, turn in enumerate(as_messages(record.get("conversations"), "conversations"), start=1):
        name = turn.get("from", turn.get("role"))
        value = turn.get("value", turn.get("content"))
        if not isinstance(name, str):
            raise UnfitError(f"item {number} of conversations does not say who it is from")
        text = as_text(value, f"item {number} of conversations")
        message: Fields
        if name == "function_call":
            open_call = f"call_{number}"
            message = {"role": "assistant", "tool_calls": [_call(text, open_call, number)]}
        else:
            message = {"role": ROLES.get(name, name), "content": text}
            if message["role"] == "tool" and open_call is not None:
                message["tool_call_id"] = open_call
        if turn.get("weight") is not None:
            message["weight"] = turn["weight"]
        if more := without(turn, ("from", "role", "value", "content", "weight")):
            extras[str(len(messages))] = more
        messages.append(message)
    values = {**without(record, ("conversations", "system")), "messages": messages}
    if "tools" in record:
        values["tools"] = _wrapped(as_tools(record["tools"]))
    if extras:
        values[EXTRAS] = extras
    return values


def _call(text: str, name: str, number: int) -> Fields:
    """A call written as JSON text: {"name": ..., "arguments": {...}}."""
    try:
        call = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise UnfitError(f"item {number} of conversations is a function call that can't be read: {error}") from error
    arguments = call.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return {"id": name, "type": "function", "function": {"name": call.get("name"), "arguments": arguments}}


def _wrapped(tools: list[Fields] | None) -> list[Fields] | None:
    if tools is None:
        return None
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]


SHAREGPT = Format("sharegpt", "conversations", _fits, _convert)
