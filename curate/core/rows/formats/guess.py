"""A guess of the `map` that reads records of no known format, by their keys and what they hold."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from curate.core.rows.formats.conversation import as_json_list, as_message_list, is_messages, role_of
from curate.core.rows.formats.format import Fields
from curate.core.rows.formats.mapped import paths_of, unused
from curate.core.rows.formats.pairs import ANSWERED, ASKED, CONTEXT, beside_pair, find_pair, joined, lowered

# Names of the answer to a list of messages, and names that a guess goes by, the likeliest first.
ANSWER_NAMES = (*ANSWERED, "ground_truth", "expected", "gold", "reference")
_LIKELY_ASKED = (
    *ASKED,
    *("text", "source", "document", "article", "sentence", "message", "body", "content", "request", "context", "title"),
)
_LIKELY_ANSWERED = (
    *ANSWER_NAMES,
    *("summary", "highlights", "translation", "label", "chosen", "category", "code", "query", "class", "intent"),
    "sentiment",
)
_CONVERSATIONS = ("conversation", "conversations", "turns", "dialog", "dialogue", "rounds", "chat")
# Names of what is no text to learn from, however long it is.
_NO_TEXT = re.compile(
    r"(?:^|[._-])(?:id|idx|index|uuid|guid|url|uri|link|hash|path|file|filename|version|model|type|format|count"
    r"|role|speaker|author|sender|score|confidence|start|end|offset|position|date|datetime|time|timestamp|created|lang|language|locale|split)$|_at$|Id$|^\$"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CHOICES = ("choices", "options", "endings")
_IN_LIST = re.compile(r"\.\d+(?:\.|$)")
_PLAIN = re.compile(r"[A-Za-z_](?:[\w .-]*\w)?")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_DEPTH = 3
_ANSWER_DEPTH = 6
_NO_FOLDING = 1 << 30


def guess_map(record: Mapping[str, Any]) -> dict[str, str] | None:
    """The `map` that most likely reads such a record, by its keys and what they hold.

    None where it has neither two texts nor a list of messages.
    """
    if (known := find_pair(record)) is not None:
        return known
    names = lowered(record)
    beside = {name: key for name, key in beside_pair(names, record).items() if name != "choices" and _is_path(key)}
    if (talk := find_messages(record)) is not None:
        path, ends_with_user = talk
        texts = {key: value for key, value in _texts(record) if not key.startswith(f"{path}.")}
        answer = (_best(texts, ANSWER_NAMES) or _find_answer(record)) if ends_with_user else None
        around = {name: beside[name] for name in ("system", "tools") if name in beside}
        return around | {"messages": path} | ({"answer": answer} if answer else {})
    texts = {
        key: value
        for key, value in _texts(record)
        if key not in beside.values() and key.partition(".")[0].lower() not in _CHOICES
    }
    words = {key: len(value) for key, value in texts.items() if isinstance(value, str) and _WORDS.search(value)}
    others = {key: size for key, size in words.items() if _best({key: ""}, ANSWER_NAMES) is None}
    prompt = _best(texts, _LIKELY_ASKED) or max(others or words, key=lambda key: words[key], default=None)
    rest = {key: value for key, value in texts.items() if key != prompt}
    answer = _best(rest, _LIKELY_ANSWERED) or next((key for key in reversed(rest) if key in words), None)
    if prompt is None or answer is None:
        return None
    contexts = [key for key in words if key not in (prompt, answer) and _stands_above(key)]
    keys = [prompt, *contexts] if _name(prompt) == "instruction" else [*contexts, prompt]
    return {**beside, "prompt": joined(keys), "answer": answer}


def _stands_above(path: str) -> bool:
    """Is it what a question is about, by its name?"""
    if _IN_LIST.search(path):  # one of several
        return False
    return _name(path).lower() in ("input", "history", "schema") or any(word in CONTEXT for word in _words(path))


def _words(path: str) -> list[str]:
    """The words that the keys of a path are made of, in small letters and without the s of plurals."""
    return [word.lower().removesuffix("s") for word in _WORDS.findall(path)]


def _name(path: str) -> str:
    """The last key of a path, as it is written; numbers count through lists and name nothing."""
    return next((part for part in reversed(path.split(".")) if not part.isdecimal()), path)


def _best(texts: Mapping[str, Any], likely: tuple[str, ...]) -> str | None:
    """The path whose name is the likeliest: one of these, or else made of words of which one is."""
    ranked = []
    for number, path in enumerate(texts):
        name = _name(path)
        is_number = not isinstance(texts[path], str)
        if name.lower() in likely:
            ranked.append((likely.index(name.lower()), is_number, number, path))
        elif found := [likely.index(word) for word in _words(path) if word in likely and len(word) > 1]:
            ranked.append((len(likely) + min(found), is_number, number, path))
    return min(ranked)[3] if ranked else None


def _is_path(key: str) -> bool:
    return bool(key) and not set("{}.") & set(key)


def _texts(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The texts and numbers within a record by their dotted paths, of each list the first; no ids, links and dates."""
    if isinstance(value, str) and not value.strip():
        return
    if isinstance(value, str | int | float) and path and not isinstance(value, bool):
        if not _NO_TEXT.search(path) and not _NO_TEXT.search(path.lower()):
            yield path, value
    elif depth < _DEPTH and isinstance(value, dict):
        for key, item in value.items():
            if _is_path(key):
                yield from _texts(item, f"{path}.{key}" if path else key, depth + 1)
    elif depth < _DEPTH and isinstance(value, list) and value and path:
        yield from _texts(value[0], f"{path}.0", depth + 1)


def find_messages(value: object, path: str = "", depth: int = 0) -> tuple[str, bool] | None:
    """Where in a record a list of messages is, or of turns, and whether it ends with a user's turn."""
    talk = as_json_list(value)
    if not is_messages(talk) and _name(path).lower() in _CONVERSATIONS:
        talk = as_message_list(talk)
    if path and isinstance(talk, list) and is_messages(talk):
        return path, role_of(talk[-1]) == "user"
    if depth < _DEPTH and isinstance(value, dict):
        inner = [(key, item) for key, item in value.items() if _is_path(key)]
    elif depth < _DEPTH and isinstance(value, list) and value and path:
        inner = [("0", value[0])]
    else:
        return None
    found = (find_messages(item, f"{path}.{key}" if path else key, depth + 1) for key, item in inner)
    return next((one for one in found if one is not None), None)


def _find_answer(value: object, path: str = "", depth: int = 0) -> str | None:
    """Where in a record one message of an assistant stands by itself, as in what an endpoint answered."""
    if isinstance(value, dict):
        if path and role_of(value) == "assistant" and isinstance(value.get("content"), str):
            return f"{path}.content"
        inner = [(key, item) for key, item in value.items() if _is_path(key)]
    elif isinstance(value, list) and len(value) == 1 and path:
        inner = [("0", value[0])]
    else:
        return None
    if depth == _ANSWER_DEPTH:
        return None
    found = (_find_answer(item, f"{path}.{key}" if path else key, depth + 1) for key, item in inner)
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
