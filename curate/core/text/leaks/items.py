"""What is looked for: the items of evaluation suites, a question and an answer each."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.core.rows.row import Row
from curate.core.rows.row_text import answer_text, chosen_text


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a suite. Without an id of its own it is known by its file's line or its position, from 1."""

    suite: str
    id: str
    question: str
    answer: str = ""


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
