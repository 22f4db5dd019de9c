"""Pairs of a question and its answer, under the names that people give to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from curate.core.rows.formats.conversation import HISTORY, as_json_list, is_messages
from curate.core.rows.formats.format import Fields, Format, UnfitError
from curate.core.rows.formats.mapped import map_values, paths_of, unused
from curate.core.rows.formats.messages import REASONING, is_thought

# Names that say by themselves what is asked and what is answered: a record with one of each is a pair.
ASKED = ("question", "query", "prompt", "problem", "instruction", "input", "user", "human", "q")
ANSWERED = ("answer", "response", "completion", "output", "target", "solution", "reply", "assistant", "sql", "a")
_KEYS_OF_CHOICE = ("answerkey", "answer_key", "answer_idx", "answer_index", "correct_answer", "correct_option")
CONTEXT = ("context", "passage")
_BESIDE = {
    "system": ("system", "system_prompt"),
    "history": HISTORY,
    "choices": ("choices", "options"),
    "reasoning": REASONING,
    "tools": ("tools",),
}


def find_pair(record: Mapping[str, Any]) -> dict[str, str] | None:
    """The map of a record that is a pair beyond doubt, None of any other."""
    names = lowered(record)
    asked = [names[name] for name in ASKED if name in names]
    answered = [names[name] for name in ANSWERED if name in names]
    beside = beside_pair(names, record)
    if "choices" in beside and (keys := [names[name] for name in _KEYS_OF_CHOICE if name in names]):
        answered = keys
    contexts = [names[name] for name in CONTEXT if name in names]
    below = [names["input"]] if {"instruction", "input"} <= names.keys() else []
    asked = [key for key in asked if key not in below]
    if len(asked) != 1 or len(answered) != 1 or "messages" in names or len(names) < len(record):
        return None
    if "history" not in beside and any(name in names for name in HISTORY):
        return None  # it is told as text
    is_talk, is_told = (is_messages(as_json_list(record[key])) for key in (asked[0], answered[0]))
    if (_is_nested(record[asked[0]]) and not is_talk) or (_is_nested(record[answered[0]]) and not is_told):
        return None
    if not all(_is_text(record[name]) for name in (*contexts, *below)) or (is_talk and (contexts or below)):
        return None
    system = {"system": beside.pop("system")} if "system" in beside else {}
    return {**system, "prompt": joined([*contexts, asked[0], *below]), **beside, "answer": answered[0]}


def lowered(record: Mapping[str, Any]) -> dict[str, str]:
    """The record's keys by their names in small letters; of two that are alike the first."""
    return {key.lower(): key for key in reversed([*record])}


def joined(keys: Sequence[str]) -> str:
    """One key, or a template that puts the values of several below one another."""
    return keys[0] if len(keys) == 1 else "\n\n".join(f"{{{key}}}" for key in keys)


def beside_pair(names: Mapping[str, str], record: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a map for what stands beside a pair, where it is what its name says."""
    found: dict[str, str] = {}
    for field, likely in _BESIDE.items():
        key = next((names[name] for name in likely if name in names), None)
        if key is None:
            continue
        if _holds(field, record[key]):
            found[field] = key
    return found


def _holds(field: str, value: object) -> bool:
    """Can the value be this field?"""
    if field == "reasoning":
        return is_thought(value)
    if field == "system":
        return value is None or isinstance(value, str)
    if isinstance(value, str) and field in ("choices", "history"):
        return not value.strip() or value.lstrip()[0] in ("[{" if field == "choices" else "[")
    return True


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list)


def _is_text(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int | float)


def _convert(record: Fields) -> Fields:
    fields = find_pair(record)
    if fields is None:
        raise UnfitError("its keys are not one question and its answer")
    values = map_values(fields, record)
    return {**unused(record, paths_of(fields.values())), **values}


PAIRS = Format(
    "pairs",
    "one of question, query, prompt, ... and one of answer, response, ...",
    lambda record: find_pair(record) is not None,
    _convert,
)
