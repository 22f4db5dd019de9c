"""JSON answers: is it one object, and does it fit a schema?"""

import json
import re
from typing import Any, Literal

import msgspec

from curate.core.rows.row import Row
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed

Reading = Literal["whole", "fenced", "first"]
"""Where in an answer its JSON object is looked for.

`whole`: the answer is the object and nothing else, as a program that parses it needs. `fenced`: one Markdown code
fence around it is allowed. `first`: the first object anywhere in the text, talk around it allowed.
"""

_FENCE = re.compile(r"\A```[a-zA-Z]*\n(.*)\n?```\Z", re.DOTALL)
_SHOWN = 80  # characters of a fault that fit a table cell


class JsonValidConfig(ScorerConfig):
    """1 where the answer holds one JSON object."""

    kind: Literal["json_valid"]
    reading: Reading = "whole"


class JsonSchemaConfig(ScorerConfig):
    """1 where the answer's object satisfies the JSON Schema under `key` of the item's `meta`."""

    kind: Literal["json_schema"]
    key: str = "answer_schema"
    reading: Reading = "whole"


def json_valid(config: JsonValidConfig) -> TextScorer:
    """The scorer."""

    def rule(item: Row, answer: str) -> Mark | Unscored:  # noqa: ARG001 - every rule takes the item
        found = read_object(answer, config.reading)
        return missed(found) if isinstance(found, str) else passed()

    return rule


def json_schema(config: JsonSchemaConfig) -> TextScorer:
    """The scorer. Unscored where the item has no schema or one that is no schema."""
    from curate.core.rows.answer_schema import BadSchemaError, Schemas

    schemas = Schemas()

    def rule(item: Row, answer: str) -> Mark | Unscored:
        schema = item.meta.get(config.key)
        if not isinstance(schema, dict):
            return Unscored(f"the item has no meta.{config.key}")
        found = read_object(answer, config.reading)
        if isinstance(found, str):
            return missed(found)
        try:
            fault = schemas.fault(schema, found)
        except BadSchemaError as error:
            return Unscored(f"the item's schema can't be used: {error}")
        return missed(fault[:_SHOWN]) if fault else passed()

    return rule


def read_object(answer: str, reading: Reading) -> dict[str, Any] | str:
    """The JSON object in an answer, or what is wrong with it. NaN and Infinity are not JSON."""
    text = answer.strip()
    if not text:
        return "empty answer"
    if reading == "fenced":
        fence = _FENCE.match(text)
        text = fence[1] if fence else text
    try:
        value = _first_object(text) if reading == "first" else msgspec.json.decode(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        return f"not JSON: {error}"[:_SHOWN]
    return value if isinstance(value, dict) else "JSON, but not an object"


def _first_object(text: str) -> Any:
    """The first object in the text. Raises: ValueError where no brace opens one."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    for opening in (found.start() for found in re.finditer(r"\{", text)):
        try:
            return decoder.raw_decode(text, opening)[0]
        except ValueError:
            continue  # a brace in prose, or a broken object: the next one may be whole
    raise ValueError("no object in it")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
