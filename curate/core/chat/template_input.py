"""Messages as a chat template takes them: published ones read one thing under several names and in several forms."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from curate.core.rows.row import Message, message_dicts

Render = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None], str]

_PROBE = "Qzprobe"
_PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe",
        "description": "Tries out a template.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "A city."}}},
    },
}
_READS_REASONING = re.compile(r"\.reasoning\b|['\"]reasoning['\"]").search


class TemplateInput:
    """What one template takes, found out by rendering a word with it. `render` may raise anything."""

    def __init__(self, source: str, render: Render) -> None:
        self._render = render
        self._reads_reasoning = "reasoning_content" not in source and _READS_REASONING(source) is not None

    def messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages with `content` always there, reasoning under each name that is read, and no loss weight.

        Text in parts is one text, or where the template goes through parts, text is a part. Arguments of calls are
        objects, or where the template can't put those into its text, JSON.
        """
        plain = message_dicts(list(messages))
        for message in plain:
            message.pop("weight", None)
            message["content"] = self._content(message.get("content"))
            thought = message.get("reasoning_content")
            if thought is not None:
                message["thinking"] = thought
                if self._reads_reasoning:
                    message["reasoning"] = thought
            for call in message.get("tool_calls") or ():
                function = call.get("function", call)
                if isinstance(function, dict) and "arguments" in function:
                    function["arguments"] = self._arguments(function["arguments"])
        return plain

    def _content(self, content: Any) -> Any:
        if isinstance(content, list) and all(map(_is_text, content)):
            content = "".join(part.get("text") or "" for part in content)
        if isinstance(content, str) and content and self._wants_parts:
            return [{"type": "text", "text": content}]
        return "" if content is None else content

    def _arguments(self, arguments: Any) -> Any:
        if isinstance(arguments, str):
            try:
                made = msgspec.json.decode(arguments)
            except msgspec.DecodeError:
                return arguments  # not JSON: the template shows it as it is, and validation says so
            return arguments if self._wants_json else made
        return json.dumps(arguments, ensure_ascii=False) if self._wants_json else arguments

    @cached_property
    def _wants_parts(self) -> bool:
        """Is a text that is no list of parts lost?"""

        def shown(content: Any) -> str:
            turns = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
            return self._tried(turns, None)

        return _PROBE not in shown(_PROBE) and _PROBE in shown([{"type": "text", "text": _PROBE}])

    @cached_property
    def _wants_json(self) -> bool:
        """Are arguments that are an object refused, or shown as Python writes them?"""

        def shown(arguments: Any) -> str:
            call = {"id": "abcdef123", "type": "function", "function": {"name": "probe", "arguments": arguments}}
            content = self._content(_PROBE)
            turns = [
                {"role": "user", "content": content},
                {"role": "assistant", "content": "", "tool_calls": [call]},
            ]
            return self._tried(turns, [_PROBE_TOOL])

        as_object = shown({"city": _PROBE + "2"})
        if _PROBE + "2" in as_object and "{'city'" not in as_object:
            return False
        return f'"{_PROBE}2"' in shown(f'{{"city": "{_PROBE}2"}}')

    def _tried(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        try:
            return self._render(messages, tools)
        except Exception:  # noqa: BLE001 - a template can raise anything for messages that it does not take
            return ""


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type", "text") == "text" and isinstance(part.get("text", ""), str | None)
