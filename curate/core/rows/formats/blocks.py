"""Content that is a list: parts of OpenAI, blocks of Anthropic and Bedrock, parts of Gemini."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.core.rows.formats.format import Fields, json_text, without
from curate.core.rows.formats.tools import as_calls, call_id

_TEXT = frozenset({"text", "input_text", "output_text", "refusal"})
_CALLS = frozenset({"tool_use", "toolUse", "tool-call", "tool_call", "functionCall", "function_call"})
_RESULTS = frozenset({"tool_result", "toolResult", "tool-result", "functionResponse", "function_response"})
_THOUGHTS = frozenset({"thinking", "reasoning", "reasoningContent", "redacted_thinking"})
_UNTYPED = ("toolUse", "functionCall", "function_call", "toolResult", "functionResponse", "function_response")
_MEDIA = ("image", "document", "video", "audio", "inlineData", "fileData", "inline_data", "file_data")
_ANSWERED = ("tool_use_id", "toolUseId", "toolCallId", "tool_call_id", "call_id", "id")
# Where blocks of reasoning have their text, and where it is encrypted: then there is nothing in it to learn.
_SAYING = ("text", "thinking", "reasoning", "value", "content", "reasoningText", "summary")
_SECRET = ("redactedContent", "data")
_MARKS = frozenset({"cachePoint", "cache_control"})  # for the cache of the endpoint that was asked: they say nothing


@dataclass(slots=True)
class Blocks:
    """What a list of content holds. `parts` are texts and media; `left` is what no field of a message takes."""

    parts: list[Fields] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[Fields] = field(default_factory=list)
    results: list[Fields] = field(default_factory=list)
    left: Fields = field(default_factory=dict)


def is_text_part(part: object) -> bool:
    """Is it a part of text as we have it?"""
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def is_block(item: object) -> bool:
    """Can an item of a list of content be a part or a block, and not a value that a tool gave?"""
    if not isinstance(item, dict):
        return isinstance(item, str)
    return bool({"type", "text", "value", "json", "reasoningContent", "cachePoint", *_UNTYPED, *_MEDIA} & item.keys())


def read_blocks(items: Sequence[Any], name: str) -> Blocks:
    """Sort a list of content into what a message has fields for. Raises: UnfitError for a call that can't be read."""
    found = Blocks()
    for item in items:
        _take(found, {"type": "text", "text": item} if isinstance(item, str) else item, name)
    return found


def content_of(parts: list[Fields]) -> str | list[Fields] | None:
    """The content that these parts are: text where they are one text and nothing else."""
    if len(parts) == 1 and is_text_part(parts[0]) and len(parts[0]) == 2:
        return str(parts[0]["text"])
    return parts or None


def text_of(value: object) -> str | None:
    """Text that is given as text or as a list of blocks with text in them; None where it is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        inner = (value.get(key) for key in _SAYING)
        return next((text for given in inner if given is not None and (text := text_of(given)) is not None), None)
    if isinstance(value, list) and value:
        texts = [text_of(item) for item in value]
        return None if None in texts else "\n".join(text for text in texts if text)
    return None


def _take(found: Blocks, item: Any, name: str) -> None:
    is_thought = isinstance(item, dict) and item.get("thought") is True  # Gemini marks text so
    if not isinstance(item, dict) or (is_text_part(item) and not is_thought):
        found.parts.append(item)  # what is no object is refused where rows are made
        return
    kind = next((key for key in _UNTYPED if isinstance(item.get(key), dict)), None)
    if isinstance(item.get("type"), str):
        kind = item["type"]
    inner: Fields = item[kind] if kind is not None and isinstance(item.get(kind), dict) else item
    if is_thought or kind in _THOUGHTS or "reasoningContent" in item:
        _think(found, item.get("reasoningContent", item))
    elif kind in _CALLS:
        found.calls += as_calls(inner.get("value", without(inner, ("type",))), name)
    elif kind in _RESULTS:
        found.results.append(_result(inner))
    elif kind in _TEXT or (kind is None and ("text" in item or "value" in item)):
        _say(found, item, name)
    elif not set(item) <= _MARKS:
        found.parts.append(item)


def _say(found: Blocks, item: Fields, name: str) -> None:
    text = next((item[key] for key in ("text", "value", "refusal") if item.get(key) is not None), None)
    if text is None and isinstance(item.get("content"), str | list):
        within = item["content"]
        for inner in [within] if isinstance(within, str) else within:
            _take(found, {"type": "text", "text": inner} if isinstance(inner, str) else inner, name)
        return
    if text is None:
        if any(not is_empty(value) for value in without(item, {"type", *_MARKS}).values()):
            found.parts.append(item)  # a rule says that nothing reads it
        return
    used = {key for key in ("text", "value", "refusal") if item.get(key) in (None, text)}
    more = {key: value for key, value in without(item, {"type", *used, *_MARKS}).items() if not is_empty(value)}
    found.parts.append({"type": "text", "text": text if isinstance(text, str) else json_text(text), **more})


def _think(found: Blocks, item: Any) -> None:
    text = text_of(item)
    if text:
        found.thoughts.append(text)
    if not isinstance(item, dict):
        return
    if text is None and not any(item.get(key) for key in _SECRET):
        found.left["thinking"] = item
    for key in _SECRET:
        if item.get(key):
            found.left["redacted_thinking"] = item[key]


def _result(block: Fields) -> Fields:
    content = next((block[key] for key in ("content", "response", "result", "output", "value") if key in block), None)
    if isinstance(content, list):
        content = [
            {"type": "text", "text": json_text(item["json"])} if isinstance(item, dict) and "json" in item else item
            for item in content
        ]
        inner = read_blocks(content, "a tool's result")
        content = content_of(inner.parts) or ""
    elif content is not None and not isinstance(content, str):
        content = json_text(content)
    message: Fields = {"role": "tool", "content": content or ""}
    if (answered := call_id(block, _ANSWERED)) is not None:
        message["tool_call_id"] = answered
    if isinstance(named := block.get("name", block.get("toolName")), str):
        message["name"] = named
    if block.get("is_error") or block.get("isError") or block.get("status") == "error":
        message["is_error"] = True
    return message


def is_empty(value: object) -> bool:
    """Does the value of a key say nothing?"""
    return value is None or value in ("", [], {})
