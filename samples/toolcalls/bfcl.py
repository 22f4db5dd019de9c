"""Adapters for the function-calling rows of the PyPI package bfcl-eval: one call to make, or none that fits.

The prompt is kept short, because every token costs training time on a CPU: the function stands as one Python-like line
above the request, not as JSON. It stands in the user's turn, so that two rows with the same request and
different functions are different prompts.
"""

import json
import re
from typing import Any

SYSTEM = 'Answer with a JSON function call, or {"name": null} if the function does not fit.'
# BFCL names Python's types. JSON schema has no tuple and writes "any" by leaving the type out.
_TYPES = {"dict": "object", "float": "number", "tuple": "array"}
_SHORT = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)])\.\s")  # not after a capital: "the U.S. president" goes on
_MAX_DESCRIPTION = 160  # characters; longer ones repeat what the parameters say


def simple_python(record: dict[str, Any]) -> dict[str, Any]:
    """The row for a request that the function fits. `record["answer"]` is the joined line of acceptable values."""
    function = record["function"][0]
    acceptable = record["answer"]["ground_truth"][0][function["name"]]
    schema = json_schema(function["parameters"])
    request = record["question"][0][0]["content"]
    arguments = {
        name: _pick(_choose(acceptable[name], request))
        for name in schema["properties"]
        if name in acceptable and (name in schema["required"] or "" not in acceptable[name])
    }
    return _row(record, {"name": function["name"], "arguments": arguments}, acceptable, schema, "call")


def irrelevance(record: dict[str, Any]) -> dict[str, Any]:
    """The row for a request that the function does not fit."""
    return _row(record, {"name": None}, {}, None, "no_call")


def _row(
    record: dict[str, Any],
    target: dict[str, Any],
    acceptable: dict[str, Any],
    parameters: dict[str, Any] | None,
    label: str,
) -> dict[str, Any]:
    function, request = record["function"][0], record["question"][0][0]["content"]
    properties: dict[str, Any] = {"name": {"const": target["name"]}}
    if parameters is not None:
        properties["arguments"] = parameters
    return {
        "id": record["id"],
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"{signature(function)}\nRequest: {request}"},
            {"role": "assistant", "content": json.dumps(target, ensure_ascii=False)},
        ],
        "label": label,
        "group": function["name"],
        "meta": {
            "answer_key": {"name": target["name"], "arguments": acceptable},
            "answer_schema": {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            },
        },
    }


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A BFCL parameter description as a JSON schema; objects take the parameters that they name and no others."""
    made: dict[str, Any] = {}
    if schema["type"] != "any":
        made["type"] = _TYPES.get(schema["type"], schema["type"])
    if "enum" in schema:
        made["enum"] = schema["enum"]
    if "items" in schema:
        made["items"] = json_schema(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: json_schema(inner) for name, inner in schema["properties"].items()}
        made["required"] = schema.get("required", [])
        made["additionalProperties"] = False
    return made


def signature(function: dict[str, Any]) -> str:
    """The function as one line: name, parameters with their types, and what it is for. `?` marks optional ones."""
    parameters = function["parameters"]
    required = parameters.get("required", [])
    listed = ", ".join(
        f"{name}{'' if name in required else '?'}: {_short_type(inner)}"
        for name, inner in parameters["properties"].items()
    )
    description = " ".join(function["description"].split())
    sentence = _SENTENCE_END.split(description)[0][:_MAX_DESCRIPTION].rstrip(".")
    return f"{function['name']}({listed}) # {sentence}"


def _short_type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "|".join(json.dumps(value) for value in schema["enum"])
    name = _TYPES.get(schema["type"], schema["type"])
    if "properties" in schema:
        return "{" + ", ".join(f"{key}: {_short_type(inner)}" for key, inner in schema["properties"].items()) + "}"
    if "items" in schema:
        return f"list[{_short_type(schema['items'])}]"
    return _SHORT.get(name, name)


def _choose(values: list[Any], request: str) -> Any:
    """The acceptable value to teach: the first that the request spells out, else the first that isn't "" (left out)."""
    spelled_out = (value for value in values if isinstance(value, str) and value and value in request)
    return next(spelled_out, None) or _first(values)


def _first(values: list[Any]) -> Any:
    return next(value for value in values if value != "")


def _pick(value: Any) -> Any:
    """An acceptable value with its nested choices made: a dictionary lists the acceptable values of each key."""
    if isinstance(value, dict):
        return {key: _pick(_first(choices)) for key, choices in value.items() if "" not in choices}
    if isinstance(value, list):
        return [_pick(item) for item in value]
    return value
