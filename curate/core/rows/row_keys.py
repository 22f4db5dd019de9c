"""Keys under which equal rows meet, and what stands beside the text by which near duplicates are compared.

What a person would have to read as something else counts: the scene (system prompts, tools, parts that are not text,
names of speakers), the answer with its case and lines, its reasoning and tool calls, the rejected answer, the label.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from curate.core.digests import canonical_json
from curate.core.rows.row import REJECTED, SCENE, Message, Row
from curate.core.rows.row_text import exact_key, message_text, normalized, text_key

BESIDE = 3
"""How many numbers `beside` gives."""
SHORT_WORDS = 8
"""Answers of fewer words are the same or not: between them nothing is near."""
GAP = b"\xff"
"""Parts the pieces of a row: no text has this byte, so that different rows give different bytes."""
_ALL = (1 << 64) - 1
_LONG_DIGITS = 19  # JSON is written of integers of 64 bits
_BLANKS = " \t\n\v\f\r"
_LINE_ENDS = re.compile(r"[ \t\v\f\r]+\n")
_BETWEEN_WORDS = re.compile(r"(?<=[^ \t\n\v\f\r])[ \t\v\f\r]+")
_WORDS = re.compile(r"[^ \t\n\v\f\r]+")
_INDENTS = re.compile(r"\n[ \t]+(?=[^ \t\n])")
# Thai to Tibetan, Burmese, Khmer, kana, Han: scripts without spaces, of which each character counts as a word.
_ALONE = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U00033fff]"
)


def make_keys(row: Row) -> bytes:
    """The key of a row, then `text_key` of its prompt.

    Rows with one key say the same: prompts up to case and whitespace, answers up to blanks that indent nothing.
    """
    parts: list[bytes] = []
    prompt = []
    asked = len(row.prompt)
    for at, message in enumerate(row.messages):
        parts += [role_head(message.role).encode(), *_said(message)]
        if at < asked and message.role not in SCENE:
            text = normalized(message_text(message))
            if text:
                prompt.append(text)
    # Texts that are normalised one by one and joined by a blank are their lines normalised as one text.
    return exact_key(GAP.join([*parts, *_tail(row)])) + exact_key(" ".join(prompt))


def row_tail(tools: object, label: str | None) -> bytes:
    """What the tools and the label of a row add to what its key is made of."""
    return b"".join(GAP + canonical_json(one) for one in (tools or None, label) if one is not None)


def beside(row: Row) -> tuple[int, int, int]:
    """Numbers of 64 bits for what stands beside the compared text of a row: its scene, what is fixed, and its answer.

    Rows with different scenes are never compared. What is fixed (the label, tool calls, reasoning, a short answer, ...)
    must be equal for one row to repeat another. The answer is 0 where it is short, and so among what is fixed; else it
    must be equal or near.
    """
    last = len(row.prompt)
    answer = row.messages[last] if last < len(row.messages) else None
    fixed = label_number(row.label)
    if REJECTED in row.meta:
        fixed += number_of(b"rejected", canonical_json(_last_turn(row.meta[REJECTED])))
    if answer is None:
        return scene_number(row), fixed & _ALL, 0
    if more := _more(answer):
        fixed += number_of(b"answer", *more)
    form = answer_form(answer.text)
    same = number_of(form.encode("utf-8", "surrogatepass"))
    if is_short(form):
        return scene_number(row), (fixed + same) & _ALL, 0
    return scene_number(row), (fixed + layout_number(form)) & _ALL, same or 1


def scene_number(row: Row) -> int:
    """A number for all that sets the scene of a row, 0 where nothing does."""
    parts: list[bytes] = []
    asked = len(row.prompt)
    for at, message in enumerate(row.messages):
        if message.role in SCENE:
            more = _more(message)
            if more or message.text.strip():
                parts += [role_head(message.role).encode(), scene(message.text).encode(), *more]
        elif at < asked and (more := _more(message, calls=False)):
            parts += [b"%d" % at, *more]
    if row.tools:
        parts.append(canonical_json(row.tools))
    return number_of(*parts) if parts else 0


def answer_form(text: str) -> str:
    """The same text for answers that differ in blanks around them, at the ends of lines and between words alone."""
    return _BETWEEN_WORDS.sub(" ", _LINE_ENDS.sub("\n", text.strip(_BLANKS)))


def is_short(form: str) -> bool:
    """Has an answer fewer words than can be near?"""
    count = sum(1 for _ in zip(range(SHORT_WORDS), _WORDS.finditer(form), strict=False))
    return count < SHORT_WORDS and (form.isascii() or count + len(_ALONE.findall(form)) < SHORT_WORDS)


def label_number(label: str | None) -> int:
    """A number for a label, 0 for none."""
    return 0 if label is None else number_of(b"label", label.encode("utf-8", "surrogatepass"))


def layout_number(form: str) -> int:
    """A number for how the lines of an answer are indented, 0 where none is: code may mean something else by it."""
    indents = _INDENTS.findall(form)
    return number_of(b"layout", "".join(indents).encode()) if indents else 0


def number_of(*parts: bytes) -> int:
    """A number of 64 bits for some bytes."""
    return int.from_bytes(hashlib.blake2b(GAP.join(parts), digest_size=8).digest(), "little")


@functools.lru_cache(maxsize=64)
def role_head(role: str) -> str:
    """A form of the role without line ends."""
    return repr(role)


@functools.lru_cache(maxsize=256)
def scene(text: str) -> str:
    """What stands for a system prompt: whole sources share a few, and they can be long."""
    return text_key(text).hex()


def is_plain(row: Row) -> bool:
    """Does the row say nothing beside the texts of its messages, its tools and its label?"""
    return REJECTED not in row.meta and not any(map(_more, row.messages))


def _said(message: Message) -> list[bytes]:
    text = message.text
    if message.role in SCENE:
        form = scene(text)
    else:
        form = answer_form(text) if message.role == "assistant" else normalized(text)
    return [form.encode("utf-8", "surrogatepass"), *_more(message)]


def _more(message: Message, *, calls: bool = True) -> list[bytes]:
    """What a message says beside its text; nothing for most."""
    content = message.content
    if isinstance(content, str) and not (message.name or message.reasoning_content or message.tool_calls):
        return []
    media = [part for part in content if not isinstance(part.get("text"), str)] if isinstance(content, list) else []
    thought = answer_form(message.reasoning_content) if message.reasoning_content else None
    made = [_without_id(call) for call in message.tool_calls or ()] if calls else []
    found = {"media": media, "name": message.name, "reasoning": thought, "calls": made}
    return [canonical_json(found)] if any(found.values()) else []


def _without_id(call: dict[str, Any]) -> object:
    """A tool call without the id that was drawn for it, its arguments read where they are text."""
    function = call.get("function")
    if not isinstance(function, dict):
        return {name: value for name, value in call.items() if name not in {"id", "index"}}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, parse_int=_integer)
        except (ValueError, RecursionError):
            arguments = normalized(arguments)
    return {"name": function.get("name"), "arguments": arguments}


def _integer(digits: str) -> int | list[str]:
    return int(digits) if len(digits) < _LONG_DIGITS else [digits]


def _last_turn(rejected: object) -> object:
    """The rejected answer, which a pair may give with the conversation before it."""
    last = rejected[-1] if isinstance(rejected, list) and rejected else rejected
    if isinstance(last, dict) and set(last) <= {"role", "content"}:
        last = last.get("content")
    return answer_form(last) if isinstance(last, str) else last


def _tail(row: Row) -> Iterable[bytes]:
    tail = row_tail(row.tools, row.label)
    if tail:
        yield tail.removeprefix(GAP)
    if REJECTED in row.meta:
        yield canonical_json({"rejected": _last_turn(row.meta[REJECTED])})
