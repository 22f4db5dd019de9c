"""OpenAI chat: `messages` of role and content (text or parts), with `tools` and `tool_calls`. Our own rows too.

So are those of Anthropic and Bedrock, whose system prompt and tools stand beside the messages.
"""

from collections.abc import Mapping
from typing import Any

from curate.core.rows.formats.blocks import is_empty, text_of
from curate.core.rows.formats.format import Fields, Format, UnfitError, as_meta, without
from curate.core.rows.formats.messages import as_messages
from curate.core.rows.formats.tools import as_tools, tools_in
from curate.core.rows.row import SCENE

_SYSTEM = ("system", "system_prompt", "systemInstruction", "system_instruction")
_TOOLS = ("tools", "functions", "toolConfig")


def conversation(record: Fields, key: str) -> Fields:
    """The row values of a record whose turns are under `key`, with the system prompt and the tools beside them.

    Raises: UnfitError where the turns can't be read, or say something else than what stands beside them.
    """
    values, tools = without(record, (key,)), None
    turns = record.get(key)
    if isinstance(turns, list) and turns and isinstance(turns[0], dict) and turns[0].get("role") in SCENE:
        stated = {name: turns[0][name] for name in _TOOLS if not is_empty(turns[0].get(name))}
        if stated and values.keys().isdisjoint(stated):  # the tools stand in the system message
            values |= stated
            turns = [without(turns[0], stated), *turns[1:]]
    for name in _TOOLS:
        if name not in values:
            continue
        if not is_empty(values[name]):
            found = as_tools(values[name], name)
            if tools is not None and found != tools:
                raise UnfitError(f"{name} holds other tools than the key before it: leave one out")
            tools = found
        del values[name]
    messages = with_system(values, as_messages(turns, key, has_tools=tools is not None))
    if tools is None and any(message.get("tool_calls") for message in messages):
        tools = tools_in("\n".join(str(message.get("content")) for message in messages if message["role"] in SCENE))
    if values.get("meta") is not None:
        values["meta"] = as_meta(values["meta"])
    return {**values, "tools": tools, "messages": messages}


def with_system(values: Fields, messages: list[Fields]) -> list[Fields]:
    """The messages behind the system prompt that stands beside them, which is taken out of the values.

    Raises: UnfitError where they begin with another system prompt: which of them was meant can't be known.
    """
    for key in _SYSTEM:
        if key not in values:
            continue
        given = values[key]
        text = text_of(given["parts"] if isinstance(given, dict) and "parts" in given else given)
        if text is None:  # not text: it stays where it is
            continue
        del values[key]
        first = messages[0] if messages and messages[0].get("role") in SCENE else None
        if first is None and text.strip():
            messages = [{"role": "system", "content": text}, *messages]
        elif first is not None and text.strip() and text.strip() != (text_of(first.get("content")) or "").strip():
            raise UnfitError(f"{key} and the first message are different system prompts: leave one out")
    return messages


def _fits(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("messages"), list)


CHAT = Format("chat", "messages", _fits, lambda record: conversation(record, "messages"))
