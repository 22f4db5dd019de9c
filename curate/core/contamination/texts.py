"""The texts of rows in which items are looked for, each distinct one once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from curate.core.normalize import message_text
from curate.core.rows import SCENE, Row

Field = Literal["scene", "question", "answer", "turn"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A row that holds a text, in which field, and the number of each message in it with the offset where it starts."""

    row: int
    field: Field
    messages: tuple[tuple[int, int], ...]

    def place(self, start: int) -> tuple[int, int]:
        """The message in which character `start` of the text stands, and the text's offset where that one starts."""
        return next((number, offset) for number, offset in reversed(self.messages) if offset <= start)


@dataclass(frozen=True, slots=True)
class Texts:
    """Distinct texts, and for each the rows that hold it."""

    texts: list[str]
    holders: list[list[Holder]]

    def having(self, fields: frozenset[Field]) -> list[int]:
        """The numbers of the texts that stand in one of these fields of some row."""
        return [n for n, holders in enumerate(self.holders) if any(holder.field in fields for holder in holders)]


def collect_texts(rows: Sequence[Row]) -> Texts:
    """The texts of all rows: scenes, questions (all that is said before the answer), their single turns, answers."""
    found: dict[str, list[Holder]] = {}
    for number, row in enumerate(rows):
        for name, parts in _fields(row):
            text, messages, offset = "", [], 0
            for index, part in parts:
                messages.append((index, offset))
                offset += len(part) + 1
            text = "\n".join(part for _, part in parts)
            if text:
                found.setdefault(text, []).append(Holder(number, name, tuple(messages)))
    return Texts(list(found), list(found.values()))


def _fields(row: Row) -> Iterator[tuple[Field, list[tuple[int, str]]]]:
    last = next((n for n in range(len(row.messages) - 1, -1, -1) if row.messages[n].role == "assistant"), None)
    scene, question = [], []
    for index, message in enumerate(row.messages):
        if message.role in SCENE:  # items can hide there too, as worked examples, but a scene is no row's question
            scene.append((index, message_text(message)))
        elif index != last:
            question.append((index, message_text(message)))
    yield "scene", scene
    yield "question", question
    if last is not None:
        yield "answer", [(last, message_text(row.messages[last]))]
    if len(question) > 1:
        for index, text in question:
            if row.messages[index].role == "user":
                yield "turn", [(index, text)]
