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
    "bing": "assistant",
    "bard": "assistant",
    "ai": "assistant",
    "chatbot": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "tool_result": "tool",
    "ipython": "tool",
}


_SPEAKERS = ("author", "speaker", "sender", "type")


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
        raise UnfitError(f"{name} is {kind_of(value)}, not text")
    return str(value)


def kind_of(value: object) -> str:
    """What a value is, as messages call it."""
    return "missing" if value is None else f"a {type(value).__name__}"


def speaker_of(turn: Mapping[str, Any]) -> str | None:
    """The key under which a turn without `role` and `from` says who speaks, where that is a role we know."""
    known = (key for key in _SPEAKERS if isinstance(turn.get(key), str) and turn[key].strip().lower() in ROLES)
    return next(known, None)


def json_text(value: object) -> str:
    """The value as JSON text, keys in their order; text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def as_meta(value: object) -> Fields:
    """What a record calls its `meta`: an object, or the JSON text of one; anything else under that name.

    Raises: UnfitError where it is text that begins like an object and is none.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = from_json(value, "meta", dict)
    if isinstance(value, dict):
        return dict(value)
    return {} if value is None else {"meta": value}


def from_json(text: str, name: str, kind: type = object) -> Any:
    """What a field that is JSON text holds. Raises: UnfitError where it is no JSON, or no `kind`."""
    try:
        return msgspec.json.decode(text, type=Any if kind is object else kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        what = "JSON" if kind is object else f"JSON {kind.__name__}"
        raise UnfitError(f"{name} is text that is no {what}: {error}") from error
