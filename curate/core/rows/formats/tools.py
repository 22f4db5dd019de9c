"""Tools and calls of tools as datasets publish them, made into the objects that OpenAI defines."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from curate.core.rows.formats.format import Fields, UnfitError, from_json, json_text, kind_of, without

# What a definition calls the JSON schema of its arguments, and a call its arguments.
_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")
_ARGUMENTS = ("arguments", "input", "args", "parameters")
_IDS = ("id", "toolUseId", "tool_use_id", "toolCallId", "tool_call_id", "call_id")
_NAMES = ("name", "toolName", "tool_name")
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
CALL_TAG = "<tool_call>"


def as_tools(value: object, name: str = "tools") -> list[Fields] | None:
    """Tool definitions, given as a list or as the JSON text of one, each as a function. Raises: UnfitError."""
    if isinstance(value, str):
        value = from_json(value, name) if value.strip() else None
    if value is None or value == []:
        return None
    if isinstance(value, dict):  # Bedrock's toolConfig: {"tools": [...], "toolChoice": ...}
        value = value.get("tools", value)
    value = [_decoded(item, name) for item in value] if isinstance(value, list) else value
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise UnfitError(f"{name} is not a list of objects")
    return [tool for item in value for tool in _definitions(item)]


def _definitions(item: Fields) -> list[Fields]:
    if isinstance(item.get("function"), dict):
        return [item]
    for several in ("functionDeclarations", "function_declarations"):
        if isinstance(item.get(several), list):
            return [tool for one in item[several] if isinstance(one, dict) for tool in _definitions(one)]
    item = item["toolSpec"] if isinstance(item.get("toolSpec"), dict) else item
    if not isinstance(item.get("name"), str):
        return [item]
    function = without(item, ("type",) if item.get("type") in ("function", "custom") else ())
    schema = next((key for key in _SCHEMAS if isinstance(function.get(key), dict)), None)
    if schema not in (None, "parameters"):
        given = function.pop(str(schema))
        function["parameters"] = given["json"] if set(given) == {"json"} else given
    return [{"type": "function", "function": function}]


def tools_in(text: str) -> list[Fields] | None:
    """The tools that a system prompt names between <tools> and </tools>, None where they can't be told for sure."""
    found = [inner.strip() for inner in _TOOLS.findall(text)]
    found = [inner for inner in found if inner]  # prompts also say "within <tools></tools> tags"
    if len(found) != 1:
        return None
    lists = _read_json(found[0])
    if lists is None:  # one definition a line
        lists = [_read_json(line) for line in found[0].splitlines() if line.strip()]
    given = lists if isinstance(lists, list) else [lists]
    if not given or not all(isinstance(tool, dict) and ("function" in tool or "name" in tool) for tool in given):
        return None
    return as_tools(given)


def as_calls(value: object, name: str) -> list[Fields]:
    """Calls, given as a list, one object or the JSON text of either, as OpenAI writes them. Raises: UnfitError.

    An id stays away where none is given.
    """
    if isinstance(value, str):
        inner = [found.strip() for found in _TAGGED.findall(value)] or [value]
        value = [call for text in inner for call in _listed(from_json(text, name))]
    calls = [_decoded(call, name) for call in _listed(value)]
    return [call if is_call(call) else _call(call, name) for call in calls]


def _decoded(item: Any, name: str) -> Any:
    """An item that tables hold as its JSON text, since their columns have one type; anything else as it is."""
    return from_json(item, name) if isinstance(item, str) else item


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_call(call: object) -> bool:
    """Is it a call as OpenAI writes it?"""
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(function.get("arguments"), str | dict)


def _call(given: object, name: str) -> Fields:
    if not isinstance(given, dict):
        raise UnfitError(f"{name} holds {kind_of(given)}, not a call")
    function = given.get("function")
    inner: Fields = function if isinstance(function, dict) else given
    called = _first(inner, _NAMES) or (function if isinstance(function, str) else None)
    if not isinstance(called, str):
        return given  # validation has a rule for calls without a name
    arguments = _first(inner, _ARGUMENTS)
    made: Fields = {"type": "function", "function": {"name": called, "arguments": json_text(arguments or {})}}
    given_id = _first(given, _IDS)
    return made if given_id is None else {"id": str(given_id), **made}


def call_id(block: Mapping[str, Any], names: Sequence[str] = _IDS) -> str | None:
    """The id of the call that a block of content makes or answers."""
    found = _first(block, names)
    return None if found is None else str(found)


def _first(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def tagged_calls(text: str) -> tuple[str, list[Fields]] | None:
    """The calls that an answer makes as <tool_call>{...}</tool_call>, and the text around them.

    None where any of them can't be read: then all of it is text.
    """
    found = [_read_json(inner.strip()) for inner in _TAGGED.findall(text)]
    if not found or text.count(CALL_TAG) != len(found):
        return None
    if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in found):
        return None
    return _TAGGED.sub("", text).strip(), as_calls(found, "a tool call")


def is_response(text: str) -> bool:
    """Is the text nothing but what tools gave, in <tool_response> tags?"""
    return "<tool_response>" in text and not _RESPONSE.sub("", text).strip()


def responses(text: str, count: int) -> list[str]:
    """The results that one turn of a tool holds for `count` calls: <tool_response> tags, or a JSON list of as many."""
    found = [inner.strip() for inner in _RESPONSE.findall(text)]
    if found and not _RESPONSE.sub("", text).strip() and len(found) in (1, count):
        return found
    if count > 1 and text.lstrip().startswith("["):
        values = _read_json(text)
        if isinstance(values, list) and len(values) == count:
            return [json_text(value) for value in values]
    return [text]


def _read_json(text: str) -> Any:
    """What the text says as JSON, or as Python writes it; None where it is neither."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        pass
    if len(text) > 1 << 16 or not text.startswith(("{", "[")):
        return None
    try:
        return msgspec.json.decode(msgspec.json.encode(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError, msgspec.MsgspecError):
        return None
