"""Keys that an object has twice: whoever reads it takes one of the values, and the other is lost."""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

_KEY_ENDS = re.compile(rb'":').findall


class _RepeatedError(Exception):
    """An object has a key twice."""


def may_repeat(raw: bytes, keys: int) -> bool:
    """Can these bytes hold more keys than the `keys` that reading them found? Quotes in texts look like some."""
    return len(_KEY_ENDS(raw)) > keys


def repeated_key(raw: bytes) -> str | None:
    """The first key that an object in this JSON has twice, None where there is none."""
    if not may_repeat(raw, _count(msgspec.json.decode(raw))):
        return None
    try:
        json.loads(raw, object_pairs_hook=_checked)
    except _RepeatedError as error:
        return str(error)
    except (ValueError, RecursionError):
        pass
    return None


def _checked(pairs: Sequence[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _RepeatedError(key)
        seen.add(key)


def _count(value: object) -> int:
    """How many keys there are in all objects of a decoded value."""
    waiting, keys = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            keys += len(one)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return keys
