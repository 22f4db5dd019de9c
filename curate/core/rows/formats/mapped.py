"""A mapping from the recipe: which key of a record is the prompt, which the answer, and so on.

A value is a dotted path, such as `turns.0.text`, or a template: text with paths in braces, `"{subject}\\n\\n{body}"`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curate.core.digests import canonical_json
from curate.core.rows.formats.chat import CHAT
from curate.core.rows.formats.conversation import as_choices, as_history, as_message_list, chosen, role_of
from curate.core.rows.formats.format import Fields, Format, UnfitError
from curate.core.rows.formats.function_calls import as_function_tool
from curate.core.rows.formats.tools import as_calls, as_tools
from curate.core.rows.row import REJECTED

_MISSING = object()
_PARTS = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_BREAKS = (re.compile(r"(\n[^\S\n]*\n\s*)"), re.compile(r"(\n)"))  # of paragraphs, of lines
_PLAIN = ("id", "label", "group", "source")


def mapped(fields: Mapping[str, str]) -> Format:
    """The format that reads the row's fields from these paths and templates; what they don't use goes to `meta`."""
    used = paths_of(fields.values())
    wanted = {_outer(path) for name in ("prompt", "answer", "messages") for path in paths_of([fields.get(name, "")])}

    def convert(record: Fields) -> Fields:
        values = map_values(fields, record)
        return {**values, "meta": {**unused(record, used), **values.get("meta", {})}}

    return Format("map", ", ".join(used), lambda record: any(key in record for key in wanted), convert)


def map_values(fields: Mapping[str, str], record: Fields) -> Fields:
    """The row values that these paths and templates find in the record. Raises: UnfitError."""
    found = {name: value for name, path in fields.items() if (value := _find(record, path)) is not _MISSING}
    given = {name: value for name, value in found.items() if value is not None}
    # An empty cell names nothing.
    values: Fields = {name: given[name] for name in _PLAIN if given.get(name, "") != ""}
    # The messages are read as those of a chat record are, whatever they were put together from.
    beside = {"tools": as_tools(given["tools"])} if "tools" in given else {}
    values |= CHAT.convert({"messages": _messages(given, fields), **beside})
    if values.get("tools"):
        values["tools"] = [as_function_tool(tool) for tool in values["tools"]]
    if "rejected" in fields:
        if "rejected" not in given:
            raise UnfitError(f"{fields['rejected']} is missing: there is no rejected answer")
        values["meta"] = {REJECTED: given["rejected"]}
    return values


def _messages(given: Fields, fields: Mapping[str, str]) -> list[Fields]:
    """System, earlier turns, then the prompt with its choices or the messages, then the answer."""
    messages: list[Fields] = []
    if "system" in given and (system := _text(given["system"])).strip():
        messages.append({"role": "system", "content": system})
    if "history" in fields:
        messages += as_history(given.get("history"), fields["history"])
    question, answer = _question(given, fields), given.get("answer")
    if given.get("choices"):
        if len(question) > 1 or "messages" in fields:
            raise UnfitError(f"{fields['choices']} can't be put below a list of messages")
        lettered, letters, texts = as_choices(given["choices"], fields["choices"])
        question = [{"role": "user", "content": f"{question[0]['content']}\n\n{lettered}"}]
        answer = chosen(answer, letters, texts)
    messages += question
    if (turns := as_message_list(answer)) is not None:
        messages += turns
        answer = None
    _add_answer(messages, None if answer is None else _text(answer), given, fields)
    if len(messages) > 1 and messages[0] == messages[1] and role_of(messages[0]) == "system":
        del messages[0]  # the messages begin with it already
    elif "system" in given and len(messages) > 1 and role_of(messages[0]) == role_of(messages[1]) == "system":
        raise UnfitError(f"{fields['system']} and the first message are different system prompts: leave one out")
    return messages


def _question(given: Fields, fields: Mapping[str, str]) -> list[Fields]:
    """The prompt's turn, or the messages that stand in its place."""
    name = "messages" if "messages" in fields else "prompt"
    if (talk := as_message_list(given.get(name), can_alternate=name == "messages")) is not None:
        return talk
    if name == "messages":
        raise UnfitError(f"{fields[name]} is {_kind(given.get(name))}, not a list of messages")
    if name not in given:
        raise UnfitError(f"{fields[name]} is missing or empty: there is no prompt")
    return [{"role": "user", "content": _text(given[name])}]


def _add_answer(messages: list[Fields], answer: str | None, given: Fields, fields: Mapping[str, str]) -> None:
    """Add the turn with the answer, its reasoning and its calls, to messages that have no answer yet."""
    turn: Fields = {"role": "assistant"}
    if "reasoning" in given and (thought := _text(given["reasoning"])).strip():
        turn["reasoning_content"] = thought
    if answer is not None:
        turn["content"] = answer
    if "tool_calls" in given and (calls := as_calls(given["tool_calls"], fields["tool_calls"])):
        turn["tool_calls"] = calls
    if role_of(messages[-1]) != "assistant":
        if "content" not in turn and "tool_calls" not in turn and "prompt" in fields:
            raise UnfitError(f"{fields.get('answer') or fields['tool_calls']} is missing or empty: there is no answer")
        messages += [turn] if len(turn) > 1 else []
    elif answer is not None and messages[-1].get("content", messages[-1].get("value")) != answer:
        raise UnfitError(f"the messages end with an answer, and {fields['answer']} holds another one")
    else:
        messages[-1] = {**turn, **messages[-1]}


def paths_of(values: Iterable[str]) -> list[str]:
    """The dotted paths in paths and templates, each once, in their order."""
    found: dict[str, None] = {}
    for value in values:
        if is_template(value):
            found |= dict.fromkeys(match[1].strip() for match in _PARTS.finditer(value) if match[1])
        elif value:
            found[value] = None
    return list(found)


def is_template(value: str) -> bool:
    """Is the value a text to fill in, and not a path?"""
    return "{" in value or "}" in value


def fault_of(value: str) -> str | None:
    """What is wrong with a template's braces, None where nothing is."""
    if not is_template(value):
        return None
    rest = _PARTS.sub("", value)
    if "{" in rest or "}" in rest:
        return f"the braces of {value!r} don't match: write {{key}}, and {{{{ or }}}} for a brace itself"
    return None


def _find(record: Fields, value: str) -> Any:
    return _filled(record, value) if is_template(value) else _look_up(record, value)


def _filled(record: Fields, template: str) -> Any:
    """The template with the record's values; missing where all of them are missing or empty."""
    text = _fill(record, template, _BREAKS)
    return _MISSING if text is None else text


def _fill(record: Fields, template: str, breaks: Sequence[re.Pattern[str]]) -> str | None:
    """The template filled in, without those paragraphs and lines of which all values are missing or empty."""
    paths = paths_of([template]) if is_template(template) else []
    if paths and not any(_value_text(record, path).strip() for path in paths):
        return None
    if not breaks:
        return _PARTS.sub(lambda match: _value_text(record, match[1].strip()) if match[1] else match[0][0], template)
    parts = breaks[0].split(template)
    text, gap = "", ""
    for part, after in zip(parts[::2], [*parts[1::2], ""], strict=True):
        if (filled := _fill(record, part, breaks[1:])) is not None:
            text += (gap if text else "") + filled
            gap = after
    return text


def _value_text(record: Fields, path: str) -> str:
    """What a template gets at a path: a list of texts as paragraphs."""
    value = _look_up(record, path)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n\n".join(value)
    return "" if value is _MISSING or value is None else _text(value)


def _text(value: Any) -> str:
    """A value as text; lists and objects as JSON."""
    return value if isinstance(value, str) else canonical_json(value).decode()


def _kind(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def _outer(path: str) -> str:
    return path.partition(".")[0]


def _look_up(record: Any, path: str) -> Any:
    """The value at a dotted path; numbers count through lists. A key that has dots itself is found as it is."""
    if isinstance(record, dict) and path in record:
        return record[path]
    first, _, rest = path.partition(".")
    if isinstance(record, dict) and first in record:
        record = record[first]
    elif isinstance(record, list) and first.isdecimal() and int(first) < len(record):
        record = record[int(first)]
    else:
        return _MISSING
    return _look_up(record, rest) if rest else record


def unused(record: Fields, paths: Iterable[str]) -> Fields:
    """The record without the values at these paths; what stood beside one keeps its own path."""
    spent = frozenset(paths)
    left: Any = {key: value for key, value in record.items() if key not in spent}
    for path in spent.difference(record):
        if _look_up(left, path) is not _MISSING:
            left = _without(left, path)
            if left is _MISSING:
                return {}
    return left  # type: ignore[no-any-return]  # an object, without some of its keys


def _without(value: Any, path: str) -> Any:
    """The value without what is at the path, missing where nothing is left; items of a list keep their number."""
    first, _, rest = path.partition(".")
    if isinstance(value, dict):
        key = path if path in value else first
        inner = _without(value[key], rest) if rest and key != path else _MISSING
        left = {name: item for name, item in value.items() if name != key}
        if inner is not _MISSING:
            left = {name: inner if name == key else item for name, item in value.items()}
        return left or _MISSING
    inner = _without(value[int(first)], rest) if rest else _MISSING
    items = [*value]
    items[int(first)] = None if inner is _MISSING else inner
    return items if any(item is not None for item in items) else _MISSING
