"""Pairs under the names that people give to a question and its answer, and a guess of the `map` for any record."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from curate.core.rows.formats.conversation import as_json_list, is_messages
from curate.core.rows.formats.format import Fields, Format
from curate.core.rows.formats.mapped import map_values, paths_of, unused

# Names that say by themselves what is asked and what is answered: a record with one of each is a pair.
_ASKED = ("question", "query", "prompt", "problem", "instruction", "input", "user", "human", "q")
_ANSWERED = ("answer", "response", "completion", "output", "target", "solution", "reply", "assistant", "sql", "a")
_KEYS_OF_CHOICE = ("answerkey", "answer_key", "answer_idx", "answer_index", "correct_answer", "correct_option")
_CONTEXT = ("context", "passage")
_BESIDE = {
    "system": ("system", "system_prompt"),
    "history": ("history", "chat_history"),
    "choices": ("choices", "options"),
    "reasoning": ("reasoning_content", "reasoning", "thinking"),
    "tools": ("tools",),
}
# Names that a guess goes by where none of those above is there, the likeliest first.
_LIKELY_ASKED = (*_ASKED, "text", "source", "document", "article", "sentence", "body", "content", "context", "title")
_LIKELY_ANSWERED = (
    *_ANSWERED,
    *("ground_truth", "expected", "gold", "reference", "summary", "highlights", "translation", "label", "category"),
    *("chosen", "code", "query", "output_text", "class", "intent", "sentiment", "value"),
)
# Names that the answer to a list of messages goes by.
ANSWER_NAMES = (*_ANSWERED, "ground_truth", "expected", "gold", "reference")
_NEVER = re.compile(
    r"(?:^|[._])(?:id|uuid|guid|url|link|hash|date|time|timestamp|created(?:_at)?|lang|language|split)$"
)
_PLAIN = re.compile(r"[A-Za-z_](?:[\w .-]*\w)?")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_DEPTH = 3
_NO_FOLDING = 1 << 30


def _find_pair(record: Mapping[str, Any]) -> dict[str, str] | None:
    """The map of a record that is a pair beyond doubt, None of any other."""
    names = _lowered(record)
    asked = [names[name] for name in _ASKED if name in names]
    answered = [names[name] for name in _ANSWERED if name in names]
    beside = _beside(names, record)
    if "choices" in beside and (keys := [names[name] for name in _KEYS_OF_CHOICE if name in names]):
        answered = keys
    contexts = [names[name] for name in _CONTEXT if name in names]
    below = [names["input"]] if {"instruction", "input"} <= names.keys() else []
    asked = [key for key in asked if key not in below]
    if len(asked) != 1 or len(answered) != 1 or "messages" in names or len(names) < len(record):
        return None
    value, is_talk = record[asked[0]], is_messages(as_json_list(record[asked[0]]))
    if isinstance(record[answered[0]], dict | list) or (isinstance(value, dict | list) and not is_talk):
        return None
    if not all(_is_text(record[name]) for name in (*contexts, *below)) or (is_talk and (contexts or below)):
        return None
    system = {"system": beside.pop("system")} if "system" in beside else {}
    return {**system, "prompt": _joined([*contexts, asked[0], *below]), **beside, "answer": answered[0]}


def _lowered(record: Mapping[str, Any]) -> dict[str, str]:
    return {key.lower(): key for key in reversed([*record])}


def _joined(keys: Sequence[str]) -> str:
    """One key, or a template that puts the values of several below one another."""
    return keys[0] if len(keys) == 1 else "\n\n".join(f"{{{key}}}" for key in keys)


def _beside(names: Mapping[str, str], record: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, likely in _BESIDE.items():
        key = next((names[name] for name in likely if name in names), None)
        if key is None:
            continue
        value = record[key]
        is_text = value is None or isinstance(value, str)
        if field in ("system", "reasoning") and not is_text:
            continue
        if field == "choices" and not (isinstance(value, list | dict) or (is_text and (value or "")[:1] in ("[", "{"))):
            continue
        found[field] = key
    return found


def _is_text(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str | int | float)


def _convert(record: Fields) -> Fields:
    fields = _find_pair(record)
    if fields is None:
        raise KeyError("a question or its answer")
    values = map_values(fields, record)
    return {**unused(record, paths_of(fields.values())), **values}


PAIRS = Format(
    "pairs",
    "question, query or prompt with answer, response or solution",
    lambda record: _find_pair(record) is not None,
    _convert,
)


def guess_map(record: Mapping[str, Any]) -> dict[str, str] | None:
    """The `map` that most likely reads such a record, by its keys and what they hold.

    None where it has neither two texts nor a list of messages.
    """
    if (known := _find_pair(record)) is not None:
        return known
    names = _lowered(record)
    beside = {name: key for name, key in _beside(names, record).items() if name != "choices" and _is_path(key)}
    if (talk := find_messages(record)) is not None:
        path, ends_with_user = talk
        texts = {key: value for key, value in _texts(record) if not key.startswith(f"{path}.")}
        answer = _best(texts, ANSWER_NAMES) if ends_with_user else None
        system = {name: beside[name] for name in ("system", "tools") if name in beside}
        return system | {"messages": path} | ({"answer": answer} if answer else {})
    texts = dict(_texts(record))
    for key in beside.values():
        texts.pop(key, None)
    prompt = _best(texts, _LIKELY_ASKED) or max(texts, key=lambda key: len(str(texts[key])), default=None)
    if prompt is None:
        return None
    rest = {key: value for key, value in texts.items() if key != prompt}
    words = [key for key, value in rest.items() if isinstance(value, str)]
    answer = _best(rest, _LIKELY_ANSWERED) or (words[-1] if words else None)
    if answer is None:
        return None
    contexts = [key for key in rest if _last(key) in (*_CONTEXT, "input") and key != answer]
    keys = [prompt, *contexts] if _last(prompt) == "instruction" else [*contexts, prompt]
    return {**beside, "prompt": _joined(keys), "answer": answer}


def _last(path: str) -> str:
    return next(part for part in reversed(path.lower().split(".")) if not part.isdecimal() or part == path.lower())


def _best(texts: Mapping[str, Any], likely: tuple[str, ...]) -> str | None:
    ranked = [(likely.index(_last(path)), number, path) for number, path in enumerate(texts) if _last(path) in likely]
    return min(ranked)[2] if ranked else None


def _is_path(key: str) -> bool:
    return bool(key) and not set("{}.") & set(key)


def _texts(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The texts and numbers within a record by their dotted paths, of each list the first; no ids, links and dates."""
    if isinstance(value, str) and not value.strip():
        return
    if isinstance(value, str | int | float) and path and not isinstance(value, bool):
        if not _NEVER.search(path.lower()):
            yield path, value
    elif depth < _DEPTH and isinstance(value, dict):
        for key, item in value.items():
            if _is_path(key):
                yield from _texts(item, f"{path}.{key}" if path else key, depth + 1)
    elif depth < _DEPTH and isinstance(value, list) and value and path:
        yield from _texts(value[0], f"{path}.0", depth + 1)


def find_messages(value: object, path: str = "", depth: int = 0) -> tuple[str, bool] | None:
    """Where in a record a list of messages is, and whether it ends with a user's turn."""
    talk = as_json_list(value)
    if path and isinstance(talk, list) and is_messages(talk):
        return path, talk[-1].get("role", talk[-1].get("from")) in ("user", "human")
    if depth < _DEPTH and isinstance(value, dict):
        inner = [(key, item) for key, item in value.items() if _is_path(key)]
    elif depth < _DEPTH and isinstance(value, list) and value and path:
        inner = [("0", value[0])]
    else:
        return None
    found = (find_messages(item, f"{path}.{key}" if path else key, depth + 1) for key, item in inner)
    return next((one for one in found if one is not None), None)


def map_line(fields: Mapping[str, str]) -> str:
    """The map as one line of a recipe."""
    return f"map: {{{', '.join(f'{name}: {as_yaml(value)}' for name, value in fields.items())}}}"


def as_yaml(value: str) -> str:
    """The text as a value in a line of YAML."""
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    import yaml

    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=_NO_FOLDING).strip()


def left_over(fields: Mapping[str, str], record: Fields) -> list[str]:
    """The keys of the record that a map leaves, in whole or in part, to `meta`."""
    return [*unused(record, paths_of(fields.values()))]
