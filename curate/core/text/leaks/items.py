"""What is looked for: the items of evaluation suites, a question and an answer each."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from curate.core.rows.row import Row
from curate.core.rows.row_text import answer_text, chosen_text

_FENCED = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_SPACELESS = 0x0E00  # from here on, scripts that put no spaces between words


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a suite. Without an id of its own it is known by its file's line or its position, from 1."""

    suite: str
    id: str
    question: str
    answer: str = ""


_OWN_WORDS = 6  # a value of fewer words is a label or a name, which other answers have too


def own_answer(answer: str) -> str:
    """What of an answer is its own: of JSON, the long texts in it; its keys and labels stand in every such answer."""
    text = answer.strip()
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    if not text.startswith(("{", "[")):
        return answer
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return answer
    return "\n".join(_long_texts(value))


def _long_texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if len(value.split()) >= _OWN_WORDS or any(ord(letter) >= _SPACELESS for letter in value[:1]):
            yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _long_texts(inner)


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite's items, the files they came from with their digests, and what could not be read, with where and why."""

    name: str
    files: dict[str, str]
    items: list[Item]
    unreadable: list[str]


def suite_of_rows(name: str, rows: Sequence[Row]) -> Suite:
    """The suite whose items are these rows."""
    items = [Item(name, row.id, chosen_text(row, "prompt"), answer_text(row)) for row in rows]
    return Suite(name, {}, items, [])
