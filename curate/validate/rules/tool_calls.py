"""Tool calls: made to a tool that there is, with arguments that it takes, each answered by one result."""

from collections.abc import Iterator
from typing import Any

import msgspec

from curate.core.rows.answer_schema import BadSchemaError, Schemas
from curate.core.rows.row import Message, Row
from curate.recipe.rule_ids import Fault, Rule


def tool_rule(schemas: Schemas) -> Rule:
    """The rule of tool calls, schemas compiled once each. A schema that can't be used is told last."""

    def check_tools(row: Row) -> Fault | None:
        calling = any(message.tool_calls or message.role == "tool" for message in row.messages)
        if not calling:
            return None
        return _pairs_fault(row.messages) or _calls_fault(row, schemas)

    return check_tools


def _pairs_fault(messages: list[Message]) -> Fault | None:
    """The first call without a result or result without a call. Calls that end the row are the answer."""
    seen: set[str] = set()
    open_ids: list[str | None] = []
    for number, message in enumerate(messages, start=1):
        if message.role == "tool":
            given = message.tool_call_id
            if given in open_ids:
                open_ids.remove(given)
            elif open_ids and given is None:
                open_ids.pop(0)  # without an id, results answer the calls in their order
            elif None in open_ids:
                open_ids.remove(None)
            else:
                return "result-without-call", f"message {number} is the result of the call {given!r}, which is not open"
            continue
        if open_ids:
            return "call-without-result", f"message {number} follows before the call {open_ids[0]!r} has its result"
        for call in message.tool_calls or ():
            name = call.get("id")
            if isinstance(name, str) and name in seen:
                return "duplicate-call-id", f"message {number} makes a second call with the id {name!r}"
            if isinstance(name, str):
                seen.add(name)
            open_ids.append(name if isinstance(name, str) else None)
    return None


def _calls_fault(row: Row, schemas: Schemas) -> Fault | None:
    tools = dict(_definitions(row.tools or ()))
    unusable: Fault | None = None
    for number, message in enumerate(row.messages, start=1):
        for call in message.tool_calls or ():
            function = call.get("function", call)
            name = function.get("name") if isinstance(function, dict) else None
            if not isinstance(name, str) or not name:
                return "bad-call", f"message {number} has a tool call without a function name"
            if name not in tools:
                known = ", ".join(sorted(tools)) or "none at all"
                return "unknown-tool", f"message {number} calls {name}; the row's tools are {known}"
            arguments = function.get("arguments", {})
            if isinstance(arguments, str):
                try:
                    arguments = msgspec.json.decode(arguments or "{}")
                except (msgspec.MsgspecError, RecursionError) as error:
                    return "arguments-not-json", f"message {number}, call of {name}: {error}"
            if not isinstance(arguments, dict):
                kind = type(arguments).__name__
                return "arguments-not-json", f"message {number}, call of {name}: a {kind}, not an object"
            try:
                fault = schemas.fault(tools[name], arguments)
            except BadSchemaError as error:
                unusable = unusable or ("bad-tool-schema", f"the parameters of {name}: {error}")
                continue
            if fault:
                return "arguments-schema", f"message {number}, call of {name}: {fault}"
    return unusable


def _definitions(tools: Any) -> Iterator[tuple[str, Any]]:
    """Name and parameter schema of each tool, written as OpenAI does or without the wrapper."""
    for tool in tools:
        function = tool.get("function", tool)
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"], function.get("parameters") or {}
