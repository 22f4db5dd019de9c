"""A source: where rows come from, and how its records are read."""

from typing import Literal

from pydantic import Field, model_validator

from curate.core.config_file import Config
from curate.core.rows.row import Origin

FormatName = Literal[
    "preference", "chat", "sharegpt", "gemini", "alpaca", "dolly", "prompt-completion", "input-output"
]  # the keys of curate.core.rows.formats.registry.FORMATS


class Join(Config):
    """A second file whose records are put beside the source's: the one that has the same value under `on`."""

    path: str
    on: str = "id"


class FieldMap(Config):
    """Where a row's fields are in a record: dotted paths, such as `meta.question` or `turns.0.text`."""

    prompt: str | None = None
    answer: str | None = None
    system: str | None = None
    messages: str | None = None
    tools: str | None = None
    id: str | None = None
    label: str | None = None
    group: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _makes_a_conversation(self) -> "FieldMap":
        pair = self.prompt is not None and self.answer is not None
        if pair == (self.messages is not None) or (self.messages is not None and (self.prompt or self.answer)):
            raise ValueError("name either `prompt` and `answer`, or `messages`")
        return self


class Source(Config):
    """Where rows come from. Without an adapter each record is a row already."""

    name: str = Field(min_length=1)
    path: str | list[str]
    """A file, a folder, a glob, or `package:NAME/inner/path`; relative ones start at the recipe's folder."""
    adapter: str | None = None
    """`file.py:function`, called with each record (a dict, joined ones under their key); returns a row as a dict."""
    format: FormatName | None = None
    """What the records look like. Left out, it is found out from each file's first records; the manifest says."""
    map: FieldMap | None = None
    """Which keys of a record the row's fields come from, for records in no known format."""
    join: dict[str, Join] = Field(default_factory=dict)
    origin: Origin = "gold"
    label: str | None = None

    @model_validator(mode="after")
    def _one_way_to_read(self) -> "Source":
        given = [name for name in ("adapter", "format", "map") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: each says how to read a record")
        return self

    @property
    def paths(self) -> list[str]:
        """The paths as a list."""
        return [self.path] if isinstance(self.path, str) else self.path
