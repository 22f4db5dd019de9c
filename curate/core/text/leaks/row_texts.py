"""The texts of rows in which items are looked for, each distinct one once."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.rows.preference_pair import is_pair, rejected_conversation
from curate.core.rows.row import SCENE, Row
from curate.core.rows.row_text import KEY_BYTES, exact_key, first_of_each, message_text

Field = Literal["scene", "question", "answer", "turn", "reasoning", "rejected"]
FIELDS: tuple[Field, ...] = ("scene", "question", "answer", "turn", "reasoning", "rejected")


@dataclass(frozen=True, slots=True)
class Holder:
    """A row that holds a text, in which field, and the number of each message in it with the offset where it starts."""

    row: int
    field: Field
    messages: tuple[tuple[int, int], ...]

    def place(self, start: int) -> tuple[int, int]:
        """The message in which character `start` of the text stands, and the text's offset where that one starts."""
        return next((number, offset) for number, offset in reversed(self.messages) if offset <= start)


class Texts(Sequence[str]):
    """Distinct texts, each read from the first row that holds it when it is asked for, and where each stands."""

    def __init__(self, rows: Sequence[Row], places: NDArray[np.int64], keys: NDArray[np.uint8]) -> None:
        """`places` are row, field (its number in FIELDS) and message of every text; equal texts have equal keys."""
        firsts = first_of_each(keys, np.arange(len(keys)))
        heads = np.flatnonzero(firsts == np.arange(firsts.size))
        numbers = np.searchsorted(heads, firsts)
        self._rows, self._heads = rows, places[heads]
        self._places = places[np.argsort(numbers, kind="stable")]
        self._ends = np.cumsum(np.bincount(numbers, minlength=heads.size))

    def __len__(self) -> int:
        return len(self._heads)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if not isinstance(at, slice):
            return self[at : at + 1][0]
        last, row, found = -1, None, list[str]()
        for number, field, message in self._heads[at].tolist():
            if row is None or number != last:
                last, row = number, self._rows[number]
            parts = next(
                parts for name, parts in _fields(row) if parts and (name, parts[0][0]) == (FIELDS[field], message)
            )
            found.append(_joined(parts))
        return found

    def holders(self, text: int) -> Iterator[Holder]:
        """The rows that hold a text, and how."""
        first = int(self._ends[text - 1]) if text else 0
        for number, field, message in self._places[first : int(self._ends[text])].tolist():
            for name, parts in _fields(self._rows[number]):
                if parts and (name, parts[0][0]) == (FIELDS[field], message):
                    offsets = accumulate((len(part) + 1 for _, part in parts[:-1]), initial=0)
                    yield Holder(number, name, tuple(zip((index for index, _ in parts), offsets, strict=True)))

    def answers(self) -> dict[int, int]:
        """Of each text that is an answer, by its number, how many rows with different questions give it."""
        numbers = np.repeat(np.arange(len(self)), np.diff(self._ends, prepend=0))
        field = self._places[:, 1]
        asked = np.full(len(self._rows), -1)
        asked[self._places[field == FIELDS.index("question"), 0]] = numbers[field == FIELDS.index("question")]
        chosen = field == FIELDS.index("answer")
        pairs = np.unique(np.column_stack([numbers[chosen], asked[self._places[chosen, 0]]]), axis=0)
        texts, counts = np.unique(pairs[:, 0], return_counts=True)
        return dict(zip(texts.tolist(), counts.tolist(), strict=True))

    def having(self, fields: frozenset[Field]) -> list[int]:
        """The numbers of the texts that stand in one of these fields of some row."""
        wanted = np.isin(self._places[:, 1], [FIELDS.index(field) for field in fields])
        numbers = np.repeat(np.arange(len(self)), np.diff(self._ends, prepend=0))
        found: list[int] = np.unique(numbers[wanted]).tolist()
        return found


def collect_texts(rows: Sequence[Row]) -> Texts:
    """The texts of all rows: scenes, questions (all that is said before the answer), their single turns, answers,
    reasoning, rejected answers.
    """
    places, keys = array("q"), bytearray()
    for number, row in enumerate(rows):
        for name, parts in _fields(row):
            if text := _joined(parts):
                places.extend((number, FIELDS.index(name), parts[0][0]))
                keys += exact_key(text)
    return Texts(
        rows, np.array(places, np.int64).reshape(-1, 3), np.frombuffer(bytes(keys), np.uint8).reshape(-1, KEY_BYTES)
    )


def _joined(parts: Sequence[tuple[int, str]]) -> str:
    return "\n".join(part for _, part in parts)


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
    # A model learns what it thinks before an answer, and from what an answer is told apart.
    for index, message in enumerate(row.messages):
        if message.reasoning_content:
            yield "reasoning", [(index, message.reasoning_content)]
    if last is not None and is_pair(row):
        yield "rejected", [(last, _rejected_text(row))]


def _rejected_text(row: Row) -> str:
    """What the rejected side says and the chosen one doesn't."""
    try:
        own = [message for message in rejected_conversation(row) if message not in row.messages]
    except (msgspec.MsgspecError, TypeError):
        return ""  # the rule `no-rejected-answer` judges it
    return "\n".join(filter(None, (text for one in own for text in (one.reasoning_content, message_text(one)))))
