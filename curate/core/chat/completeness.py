"""Whether all that a conversation says stands in its rendering.

Templates leave out what they have no place for, and say nothing: a tool call, a system text, a thought. The loss falls
all the same, and the model has learned half of the row.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from curate.core.chat.jinja_template import Span, Tools
from curate.core.rows.row import Message

_SHOWN = 40  # characters of what is missing: enough to find it in the row
_ESCAPED_CODE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_SPACE = re.compile(r"[\s\x00-\x1f]+|\\+[bfnrt]|\\+")
_NO_WORD = re.compile(r"[\W_]+")
_THOUGHT = re.compile(r"\s*(?:<think>)?(.*)</think>(.*)", re.DOTALL)
_TAGS = re.compile(r"\s+|</?think>")

Missing = tuple[str, str]
"""A rule's id, and what is missing."""


def says_nothing(message: Message) -> bool:
    """Whether an answer is nothing but white space and the tags of a thought."""
    if message.tool_calls or (message.reasoning_content or "").strip():
        return False
    said = message.text.strip()
    return not said or (said.startswith("<") and not _TAGS.sub("", said))


def find_missing(text: str, spans: Mapping[int, Span], messages: Sequence[Message], tools: Tools) -> Missing | None:
    """The first thing that a message or a tool says and `text` doesn't.

    Args:
        text: the conversation as the template renders it.
        spans: where in it the answers stand that are learned, by message. What such an answer says has to stand there;
            of other answers the thought may be left out, as templates do once later turns have come.
    """
    whole = _Rendering(text)
    for index, message in enumerate(messages):
        span = spans.get(index)
        if _is_plain(message) and text.find(message.text, *span or ()) >= 0:
            continue  # most messages: nothing is cut out or levelled for them
        missing = _missing_of(message, _Rendering(text[slice(*span)]) if span else whole, is_learned=span is not None)
        if missing:
            return missing[0], f"message {index + 1} ({message.role}): {missing[1]}"
    for tool in tools or ():
        if what := _missing_of_tool(tool, whole):
            return "tools-not-rendered", what
    return None


def _is_plain(message: Message) -> bool:
    return (
        isinstance(message.content, str)
        and message.tool_calls is None
        and message.reasoning_content is None
        and "</think>" not in message.content
    )


class _Rendering:
    """A text in which to look for what was said; levelled once, and only where something isn't found as it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._levelled: str | None = None

    def says(self, said: str) -> bool:
        if said in self.text:
            return True
        if self._levelled is None:
            self._levelled = _level(self.text)
        return _level(said) in self._levelled

    def says_words(self, said: str) -> bool:
        """Whether it has these words in this order, whatever marks stand between them."""
        return self.says(said) or _NO_WORD.sub("", _level(said)) in _NO_WORD.sub("", _level(self.text))


def _level(text: str) -> str:
    """Without white space and the escapes of JSON, however often it was escaped."""
    if "\\" in text:
        text = _ESCAPED_CODE.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _SPACE.sub("", text)


def _missing_of(message: Message, rendering: _Rendering, *, is_learned: bool) -> Missing | None:
    if not isinstance(message.content, str):
        for part in message.content or ():
            if part.get("type", "text") != "text":
                return "text-not-rendered", f"its part of type {part['type']!r}, which is no text,"
    said = message.text
    if message.role == "assistant":
        if "</think>" in said and (found := _THOUGHT.match(said)):
            thought, said = found.groups()
            if is_learned and not rendering.says(thought):
                return "reasoning-not-rendered", f"its thought {_shown(thought)}"
        reasoning = message.reasoning_content
        if is_learned and reasoning and not rendering.says(reasoning):
            return "reasoning-not-rendered", f"its reasoning {_shown(reasoning)}"
        if message.tool_calls and (what := _missing_of_calls(message.tool_calls, rendering)):
            return "calls-not-rendered", what
    if not rendering.says(said):
        return "text-not-rendered", f"its text {_shown(said)}"
    return None


def _missing_of_calls(calls: Sequence[Mapping[str, Any]], rendering: _Rendering) -> str | None:
    functions = [call.get("function", call) for call in calls]
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    for name in names:
        if isinstance(name, str) and rendering.text.count(name) < names.count(name):
            return f"its call of {_shown(name)}"
    for function in functions:
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str) and rendering.says(arguments):
            continue
        for said in _leaves(_decoded(arguments)):
            if not rendering.says(said) and said.lower() not in rendering.text.lower():
                return f"{_shown(said)} in the arguments of its call of {_shown(str(function.get('name')))}"
    return None


def _missing_of_tool(tool: Mapping[str, Any], rendering: _Rendering) -> str | None:
    function = tool.get("function", tool)
    if not isinstance(function, dict):
        return None
    name, description, parameters = (function.get(key) for key in ("name", "description", "parameters"))
    if isinstance(name, str) and name not in rendering.text:
        return f"the tool {_shown(name)}"
    if isinstance(description, str) and not rendering.says_words(description):
        return f"the description of the tool {_shown(str(name))}"
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    for key in properties if isinstance(properties, dict) else ():
        if not rendering.says(key):
            return f"the parameter {_shown(key)} of the tool {_shown(str(name))}"
    return None


def _decoded(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments


def _leaves(value: Any) -> Iterator[str]:
    """The keys and values of JSON as text; that something is null, templates may leave out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)


def _shown(said: str) -> str:
    said = said.strip()
    return repr(said if len(said) <= _SHOWN else said[:_SHOWN] + "…")
