"""Two published layouts of tool use: xLAM's queries with their calls, and glaive's conversations as one text."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from curate.core.rows.formats.format import Fields, Format, UnfitError, as_text, without
from curate.core.rows.formats.tools import as_calls, as_tools

# What Python calls the types of JSON schema, in the definitions of xLAM's tools.
_TYPES = {
    **{"int": "integer", "float": "number", "str": "string", "bool": "boolean", "complex": "number"},
    **{"dict": "object", "list": "array", "tuple": "array", "set": "array"},
}
_TURN = re.compile(r"(?:\A|\n)\s*(USER|ASSISTANT|FUNCTION RESPONSE):[ \t]?")
_CALL = re.compile(r"""\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*'(.*)'\s*\}\s*\Z""", re.DOTALL)
_CALL_MARK = "<functioncall>"
_END = "<|endoftext|>"


def _fits_xlam(record: Mapping[str, Any]) -> bool:
    return {"query", "answers", "tools"} <= record.keys()


def _convert_xlam(record: Fields) -> Fields:
    tools = [as_function_tool(tool) for tool in as_tools(record["tools"]) or []]
    calls = as_calls(record["answers"], "answers")
    if not calls:
        raise UnfitError("answers holds no call")
    user = {"role": "user", "content": as_text(record["query"], "query")}
    messages = [user, {"role": "assistant", "tool_calls": calls}]
    return {**without(record, ("query", "answers", "tools")), "messages": messages, "tools": tools or None}


def as_function_tool(tool: Fields) -> Fields:
    """OpenAI's definition of a tool that is given without its frame, or with parameters named one by one."""
    framed = isinstance(tool.get("function"), dict)
    function: Fields = tool["function"] if framed else tool
    given = function.get("parameters")
    if not isinstance(given, dict) or not given or isinstance(given.get("properties"), dict) or not _are_objects(given):
        return tool if framed else {"type": "function", "function": tool}
    properties = {name: _xlam_parameter(value) for name, value in given.items()}
    needed = [
        name
        for name, value in given.items()
        if "default" not in value and "optional" not in str(value.get("type", "")).lower()
    ]
    schema: Fields = {"type": "object", "properties": properties}
    if needed:
        schema["required"] = needed
    return {"type": "function", "function": {**function, "parameters": schema}}


def _are_objects(values: Fields) -> bool:
    return all(isinstance(value, dict) for value in values.values())


def _xlam_parameter(value: Fields) -> Fields:
    spelled = value.get("type")
    if not isinstance(spelled, str):
        return value
    name = re.split(r"[\[,\s(]", spelled.strip(), maxsplit=1)[0].lower()
    kind = _TYPES.get(name, name if name in _TYPES.values() else None)
    rest = without(value, ["type"])
    if kind is None:  # such as Union[...]: no single type of JSON schema
        return rest
    return {"type": kind, **rest}


def _fits_glaive(record: Mapping[str, Any]) -> bool:
    chat = record.get("chat")
    return isinstance(chat, str) and _TURN.match(chat) is not None


def _convert_glaive(record: Fields) -> Fields:
    messages: list[Fields] = []
    tools: list[Fields] = []
    if record.get("system"):
        system, tools = _glaive_system(as_text(record["system"], "system"))
        if system:
            messages.append({"role": "system", "content": system})
    pieces = _TURN.split(as_text(record.get("chat"), "chat"))
    if pieces[0].strip():
        raise UnfitError("chat does not begin with USER: or ASSISTANT:")
    open_call: str | None = None
    for number, (who, said) in enumerate(zip(pieces[1::2], pieces[2::2], strict=True), start=1):
        text = said.replace(_END, "").strip()
        if who == "USER":
            messages.append({"role": "user", "content": text})
        elif who == "FUNCTION RESPONSE":
            result: Fields = {"role": "tool", "content": text}
            messages.append(result if open_call is None else {**result, "tool_call_id": open_call})
        elif _CALL_MARK in text:
            before, _, call = text.partition(_CALL_MARK)
            open_call = f"call_{number}"
            turn: Fields = {"role": "assistant", "content": before.strip() or None}
            messages.append({**turn, "tool_calls": [_glaive_call(call, open_call, number)]})
        else:
            messages.append({"role": "assistant", "content": text})
    values = {**without(record, ("system", "chat")), "messages": messages}
    return {**values, "tools": tools} if tools else values


def _glaive_system(text: str) -> tuple[str, list[Fields]]:
    """The system prompt, and the tools that stand below it as JSON objects one after the other."""
    text = text.strip().removeprefix("SYSTEM:").strip()
    start = re.search(r"-?\s*\n?\s*(?=\{\s*\"name\")", text)
    if start is None:
        return text.removesuffix("-").strip(), []
    tools: list[Fields] = []
    at, decoder = start.end(), json.JSONDecoder()
    while at < len(text):
        try:
            tool, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise UnfitError(f"the functions in system can't be read: {error}") from error
        if not isinstance(tool, dict):
            raise UnfitError("what stands below the system prompt is no list of functions")
        tools.append({"type": "function", "function": tool})
        at += len(text[at:]) - len(text[at:].lstrip(" \n\r\t,"))
    return text[: start.start()].strip(), tools


def _glaive_call(text: str, call_id: str, number: int) -> Fields:
    """A call whose arguments are JSON, or the text of JSON within single quotation marks."""
    try:
        if (quoted := _CALL.match(text)) is not None:
            name, arguments = json.loads(quoted[1]), quoted[2]
            try:
                msgspec.json.decode(arguments)
            except msgspec.MsgspecError:
                arguments = arguments.replace("\\'", "'").replace("\\\\", "\\")
            return as_calls([{"id": call_id, "name": name, "arguments": arguments}], "chat")[0]
        return as_calls([{**msgspec.json.decode(text, type=dict[str, Any]), "id": call_id}], "chat")[0]
    except (msgspec.MsgspecError, ValueError, UnfitError) as error:
        raise UnfitError(f"turn {number} of chat is a function call that can't be read: {error}") from error


XLAM = Format("xlam", "query, answers, tools", _fits_xlam, _convert_xlam)
GLAIVE = Format("glaive", "system, chat", _fits_glaive, _convert_glaive)
