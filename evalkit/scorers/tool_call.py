"""Tool calls against an answer key: the function's name, its arguments, or the whole call.

The key is `{"name": str | null, "arguments": {parameter: [acceptable values]}}`; a null name: no function fits.
How values are compared follows the Berkeley Function Calling Leaderboard's rules for single calls, which the keys of
the sample come from: an empty string among the acceptable values means that the parameter may be left out; a dict
among them holds acceptable values per entry; strings are compared without case, spaces and the punctuation `,./-_*^`;
lists keep their order; and a parameter that the key doesn't know is a fault. Numbers are compared by value, 5 and 5.0
alike, since JSON has one kind of number; true and 1 differ.
"""

import re
from typing import Any, Literal

from curate.core.rows.row import Row
from evalkit.scorers.json_object import Reading, read_object
from evalkit.scorers.types import Mark, ScorerConfig, TextScorer, Unscored, missed, passed

_IGNORED = re.compile(r"[ ,./\-_*^]")
_SHOWN = 60


class ToolCallConfig(ScorerConfig):
    """1 where `part` of the call in the answer is what the key under `key` of the item's `meta` accepts."""

    kind: Literal["tool_call"]
    part: Literal["name", "arguments", "call"] = "call"
    key: str = "answer_key"
    reading: Reading = "whole"


def tool_call(config: ToolCallConfig) -> TextScorer:
    """The scorer. Unscored where the item has no key or one that is malformed."""

    def rule(item: Row, answer: str) -> Mark | Unscored:
        key = item.meta.get(config.key)
        if key is None:
            return Unscored(f"the item has no meta.{config.key}")
        if not _is_key(key):
            return Unscored(f"the item's meta.{config.key} is malformed")
        call = read_object(answer, config.reading)
        if isinstance(call, str):
            return missed(call)
        fault = None
        if config.part in ("name", "call"):
            fault = _name_fault(call, key["name"])
        if fault is None and config.part in ("arguments", "call"):
            fault = _arguments_fault(call, key.get("arguments") or {})
        if fault is None and config.part == "call":
            unknown = sorted(set(call) - {"name", "arguments"})
            fault = f"unknown entry {unknown[0]!r}"[:_SHOWN] if unknown else None
        return missed(fault) if fault else passed()

    return rule


def _is_key(key: Any) -> bool:
    if not isinstance(key, dict) or not isinstance(key.get("name", 0), str | None):
        return False
    arguments = key.get("arguments")
    if arguments is None:
        return True
    return isinstance(arguments, dict) and all(isinstance(values, list) for values in arguments.values())


def _name_fault(call: dict[str, Any], expected: str | None) -> str | None:
    if "name" not in call:
        return "no name"
    if call["name"] == expected:
        return None
    return f"name {call['name']!r}, expected {expected!r}"[:_SHOWN]


def _arguments_fault(call: dict[str, Any], expected: dict[str, list[Any]]) -> str | None:
    given = call.get("arguments")
    if given is None:
        given = {}
    if not isinstance(given, dict):
        return "arguments are not an object"
    return _entries_fault(given, expected)


def _entries_fault(given: dict[str, Any], expected: dict[str, Any]) -> str | None:
    for name, value in given.items():
        if name not in expected:
            return f"unexpected {name!r}"[:_SHOWN]
        if not any(_accepts(acceptable, value) for acceptable in _values(expected[name])):
            return f"{name} = {value!r} not accepted"[:_SHOWN]
    for name, values in expected.items():
        if name not in given and "" not in _values(values):
            return f"{name!r} missing"[:_SHOWN]
    return None


def _values(acceptable: Any) -> list[Any]:
    """Keys of nested entries are lists of acceptable values too; a bare value stands for a list of one."""
    return acceptable if isinstance(acceptable, list) else [acceptable]


def _accepts(acceptable: Any, given: Any) -> bool:
    if isinstance(acceptable, str) and isinstance(given, str):
        return _plain(acceptable) == _plain(given)
    if isinstance(acceptable, dict) and isinstance(given, dict):
        return _entries_fault(given, acceptable) is None
    if isinstance(acceptable, list) and isinstance(given, list):
        return len(acceptable) == len(given) and all(map(_accepts, acceptable, given))
    if isinstance(acceptable, bool) or isinstance(given, bool):
        return acceptable is given
    if isinstance(acceptable, int | float) and isinstance(given, int | float):
        return acceptable == given
    return acceptable is None and given is None


def _plain(text: str) -> str:
    return _IGNORED.sub("", text).lower().replace("'", '"')
