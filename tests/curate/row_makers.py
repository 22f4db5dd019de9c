"""Rows, selections of them and recipes for the tests of curation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.core.rows.row import Message, Row
from curate.core.sources.records import Input
from curate.core.sources.source import Source
from curate.read import chunks
from curate.recipe.recipe import Recipe
from curate.table.rejections import Rejection
from curate.table.selection import RowRef, RowSelection
from curate.table.stage import Context


def make_row(prompt: str, answer: str = "yes", **more: Any) -> Row:
    messages = [Message("user", prompt), Message("assistant", answer)]
    return Row(**{"id": f"{prompt}/{answer}", "messages": messages, **more})


def select(rows: Sequence[Row]) -> RowSelection:
    """The rows in a table of their own."""
    return RowSelection.of_rows(rows, "made", "made.jsonl")


def read_source(source: Source, inputs: Sequence[Input], folder: Path) -> list[RowRef | Rejection]:
    """What reading makes of each record of the source's files, in their order."""
    rows, unread = chunks.read_source(make_context(folder), source, inputs)
    paths = [found.shown for found in inputs]

    def place(item: RowRef | Rejection) -> tuple[int, int]:
        where = item.place if isinstance(item, RowRef) else item
        return paths.index(where.path), where.offset

    return sorted([*rows, *unread], key=place)


def make_context(folder: Path = Path(), threads: int = 1, **settings: Any) -> Context:
    recipe = {
        "name": "n",
        "behaviour": "Answers.",
        "output": "out",
        "sources": [{"name": "made", "path": "made.jsonl"}],
        **settings,
    }
    return Context(Recipe.model_validate(recipe), folder, threads, read=chunks.read_earlier)


def chat(prompt: str, answer: str = "yes", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], **more}


def write_recipe(folder: Path, records: Sequence[object], settings: Mapping[str, Any] | None = None) -> Path:
    """A recipe over one file of records; an element that is bytes stands there as it is."""
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in records]
    (folder / "rows.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    recipe = {
        "name": "small",
        "behaviour": "Answers questions.",
        "output": "out",
        "sources": [{"name": "rows", "path": "rows.jsonl"}],
        **(settings or {}),
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path
