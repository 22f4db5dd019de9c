"""Mechanical repairs: what can be put right without knowing what a row means. Each is counted under its name."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from curate.core.rows.formats.format import ROLES, Fields
from curate.core.rows.preference_pair import is_pair
from curate.core.rows.row import REJECTED, SCENE, Message, Row, message_dicts
from curate.validate.rules.text import is_about_encodings, mojibake

REPAIRS = {
    "role-name": "a role such as human or gpt becomes user or assistant",
    "text-parts": "content in parts that are all text becomes one text",
    "mojibake": "UTF-8 that was once read as Latin-1 or Windows-1252 is decoded rightly, by ftfy",
    "line-ends": "CR LF becomes LF",
    "invisible-ends": "byte order marks, and zero-width characters at the ends of a text, are removed",
    "trailing-whitespace": "whitespace at the end of a text is removed",
    "arguments-as-object": "tool call arguments given as an object become the JSON text that OpenAI defines",
    "call-type": 'a tool call with a function gets its "type": "function"',
    "empty-tools": "an empty list of tools or tool calls is left out",
    "empty-system": "a system message without text is left out",
    "merged-turns": "turns of one role that follow one another become one, with a blank line between",
    "trailing-turns": "turns behind the last answer are left out",
    "system-to-user": "where the base's template has no place for a system message, it goes before the user's text",
}
_BYTE_ORDER_MARK = "\ufeff"
_INVISIBLE = _BYTE_ORDER_MARK + "\u200b\u200c\u200d\u2060"
Content = str | list[dict[str, Any]] | None
_BETWEEN = "\n\n"  # what parts two texts that become one


def repair(row: Row, counts: Counter[str], *, takes_system: bool = True) -> Row:
    """The row repaired, the same object where nothing had to be; `counts` goes up once a repair and row.

    With `takes_system` false, the base's template has no place for system messages. The rejected side of a preference
    row is repaired as its messages are.
    """
    texts = _Texts(row)
    messages = _conversation(row.messages, texts, takes_system=takes_system)
    changes: Fields = {}
    if messages != row.messages:
        changes["messages"] = messages
    if row.tools is not None and not row.tools:
        changes["tools"] = None
        texts.done.add("empty-tools")
    if is_pair(row):
        rejected = _rejected(row.meta[REJECTED], texts, takes_system=takes_system)
        if rejected != row.meta[REJECTED]:
            changes["meta"] = {**row.meta, REJECTED: rejected}
    if not changes:
        return row
    counts.update(texts.done)
    return msgspec.structs.replace(row, **changes)


class _Texts:
    """Repairs texts of a row; `done` names the repairs that were made."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self.done: set[str] = set()

    def repaired(self, text: str) -> str:
        """The text without what repairs take out of it."""
        while True:  # one thing may stand behind the other
            before = text
            text = self._noted("mojibake", text, self._decoded(text))
            text = self._noted("line-ends", text, text.replace("\r\n", "\n"))
            text = self._noted("invisible-ends", text, text.replace(_BYTE_ORDER_MARK, "").strip(_INVISIBLE))
            text = self._noted("trailing-whitespace", text, text.rstrip())
            if text == before:
                return text

    def _noted(self, name: str, before: str, after: str) -> str:
        if after != before:
            self.done.add(name)
        return after

    def _decoded(self, text: str) -> str:
        if text.isascii() or mojibake(text) is None or is_about_encodings(self._row):
            return text
        import ftfy

        return ftfy.fix_encoding(text)


def _conversation(messages: Iterable[Message], texts: _Texts, *, takes_system: bool) -> list[Message]:
    turns = [_message(message, texts) for message in messages]
    steps = {"empty-system": _without_empty_scenes, "merged-turns": _merged, "trailing-turns": _up_to_the_last_answer}
    if not takes_system:
        steps["system-to-user"] = _with_scene_in_user
    for name, step in steps.items():
        after = step(turns)
        if after != turns:
            texts.done.add(name)
        turns = after
    return turns


def _without_empty_scenes(turns: list[Message]) -> list[Message]:
    return [
        turn
        for turn in turns
        if turn.role not in SCENE or isinstance(turn.content, list) or (turn.content or "").strip()
    ]


def _merged(turns: list[Message]) -> list[Message]:
    made: list[Message] = []
    for turn in turns:
        if made and _can_be_one(made[-1], turn):
            first = made[-1]
            content = _joined(first.content, turn.content)
            made[-1] = msgspec.structs.replace(
                first, content=content, tool_calls=[*(first.tool_calls or ()), *(turn.tool_calls or ())] or None
            )
        else:
            made.append(turn)
    return made


def _can_be_one(first: Message, second: Message) -> bool:
    """Would one message say the same? Not where another speaks, other turns are learned, or calls lie between."""
    if first.role != second.role or first.role == "tool":
        return False
    if (first.name, first.weight) != (second.name, second.weight) or second.reasoning_content:
        return False
    return not first.tool_calls or (bool(second.tool_calls) and not second.content)


def _joined(first: Content, second: Content) -> Content:
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}{_BETWEEN}{second}"
    return [*_parts(first), {"type": "text", "text": _BETWEEN}, *_parts(second)]


def _parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _up_to_the_last_answer(turns: list[Message]) -> list[Message]:
    """All turns where there is no answer at all."""
    ends = [at for at, turn in enumerate(turns, start=1) if turn.role == "assistant"]
    return turns[: ends[-1]] if ends else turns


def _with_scene_in_user(turns: list[Message]) -> list[Message]:
    first = next((at for at, turn in enumerate(turns) if turn.role not in SCENE), len(turns))
    if not first or first == len(turns) or turns[first].role != "user":
        return turns
    content = turns[first].content
    for scene in reversed(turns[:first]):
        content = _joined(scene.content, content)
    return [msgspec.structs.replace(turns[first], content=content), *turns[first + 1 :]]


def _message(message: Message, texts: _Texts) -> Message:
    changes: Fields = {}
    role = ROLES.get(message.role.strip().lower(), message.role)
    if role != message.role:
        changes["role"] = role
        texts.done.add("role-name")
    content = message.content
    if isinstance(content, list) and content and all(map(_is_text_part, content)):
        content = message.text
        texts.done.add("text-parts")
    if isinstance(content, str):
        content = texts.repaired(content)
    if content != message.content:
        changes["content"] = content
    if message.reasoning_content:
        reasoning = texts.repaired(message.reasoning_content)
        if reasoning != message.reasoning_content:
            changes["reasoning_content"] = reasoning
    if message.tool_calls is not None:
        calls = [_call(call, texts.done) for call in message.tool_calls]
        if not calls:
            texts.done.add("empty-tools")
        if calls != message.tool_calls or not calls:
            changes["tool_calls"] = calls or None
    return msgspec.structs.replace(message, **changes) if changes else message


def _is_text_part(part: dict[str, Any]) -> bool:
    return part.get("type", "text") == "text" and isinstance(part.get("text"), str | None)


def _call(call: Fields, done: set[str]) -> Fields:
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    if isinstance(function.get("arguments"), dict):
        done.add("arguments-as-object")
        call = {**call, "function": {**function, "arguments": msgspec.json.encode(function["arguments"]).decode()}}
    if "type" not in call:
        done.add("call-type")
        call = {**call, "type": "function"}
    return call


def _rejected(rejected: Any, texts: _Texts, *, takes_system: bool) -> Any:
    """The rejected side repaired where it is text, or messages without keys of their own."""
    if isinstance(rejected, str):
        return texts.repaired(rejected)
    turns = [rejected] if isinstance(rejected, dict) else rejected
    try:
        messages = msgspec.convert(turns, list[Message])
    except msgspec.MsgspecError:
        return rejected
    known = set(Message.__struct_fields__)
    if not all(known.issuperset(turn) for turn in turns):
        return rejected
    clean = _conversation(messages, texts, takes_system=takes_system)
    return rejected if clean == messages else message_dicts(clean)
