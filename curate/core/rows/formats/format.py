"""What a format is: which records it fits, and how one becomes the values of a row."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

Fields = dict[str, Any]

# What datasets call the speakers, and the role of each.
ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}


class UnfitError(Exception):
    """A record can't become a row; the text says why."""


@dataclass(frozen=True, slots=True)
class Format:
    """One shape of records. `convert` returns row values; keys that rows don't have end up in `meta`.

    `convert` raises UnfitError for a record that `fits` and still is no row.
    """

    name: str
    keys: str
    """The keys that it goes by, as messages show them."""
    fits: Callable[[Mapping[str, Any]], bool]
    convert: Callable[[Fields], Fields]


def without(record: Mapping[str, Any], used: Iterable[str]) -> Fields:
    """The record's other keys: those that the conversion does not use up."""
    spent = frozenset(used)
    return {key: value for key, value in record.items() if key not in spent}


def as_text(value: object, name: str) -> str:
    """The value of a text field. Raises: UnfitError where it is missing or no text; numbers are written out."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitError(f"{name} is {_kind(value)}, not text")
    return str(value)


def as_turns(value: object, role: str, name: str) -> list[Fields]:
    """A field that holds one turn's text, or messages. Raises: UnfitError."""
    if isinstance(value, list):
        return as_messages(value, name)
    return [{"role": role, "content": as_text(value, name)}]


def as_messages(value: object, name: str) -> list[Fields]:
    """A list of objects. Raises: UnfitError where it is something else."""
    if not isinstance(value, list):
        raise UnfitError(f"{name} is {_kind(value)}, not a list of messages")
    for number, item in enumerate(value, start=1):
        if not isinstance(item, dict):
            raise UnfitError(f"item {number} of {name} is {_kind(item)}, not a message")
    return value


def as_tools(value: object) -> list[Fields] | None:
    """Tool definitions, given as a list or as the JSON text of one. Raises: UnfitError."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.strip() else None
        except msgspec.MsgspecError as error:
            raise UnfitError(f"tools is text that is not JSON: {error}") from error
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise UnfitError("tools is not a list of objects")
    return value


def _kind(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
