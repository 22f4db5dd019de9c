"""A source: where rows come from, and how its records are read."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from curate.core.config_file import Config
from curate.core.rows.formats.mapped import fault_of
from curate.core.rows.row import Origin
from curate.core.sources.layout import Layout

FormatName = Literal[
    "preference", "chat", "sharegpt", "gemini", "alpaca", "dolly", "prompt-completion", "input-output",
    "xlam", "glaive", "pairs",
]  # fmt: skip  # the keys of curate.core.rows.formats.registry.FORMATS


class Join(Config):
    """A second file whose records are put beside the source's: the one that has the same value under `on`."""

    path: str
    on: str = "id"


class FieldMap(Config):
    """Where a row's fields are in a record: dotted paths, such as `meta.question` or `turns.0.text`, or templates.

    A template is text with paths in braces: `"{subject}\\n\\n{body}"`; `{{` and `}}` are braces. A paragraph or line
    of it is left out where all of its values are missing or empty.
    """

    prompt: str | None = None
    """Text, or messages."""
    answer: str | None = None
    system: str | None = None
    """Goes first, where the record has one."""
    messages: str | None = None
    history: str | None = None
    """Earlier turns: pairs or messages."""
    choices: str | None = None
    """What there is to choose from: lettered lines below the prompt; the answer becomes the letter."""
    reasoning: str | None = None
    """What the model thought before the answer."""
    tools: str | None = None
    tool_calls: str | None = None
    """The answer's calls."""
    rejected: str | None = None
    """The answer that is worse than `answer`: kept in `meta.rejected`, as preference rows have it."""
    id: str | None = None
    label: str | None = None
    group: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _makes_a_conversation(self) -> "FieldMap":
        answered = self.answer is not None or self.tool_calls is not None
        if (self.prompt is None) == (self.messages is None) or (self.prompt is not None and not answered):
            raise ValueError("name either `prompt` and `answer`, or `messages`")
        if self.choices is not None and (self.prompt is None or self.answer is None):
            raise ValueError("`choices` stand beside `prompt` and `answer`")
        for value in self.model_dump(exclude_none=True).values():
            if (fault := fault_of(value)) is not None:
                raise ValueError(fault)
        return self


class Source(Config):
    """Where rows come from. Without an adapter each record is a row already."""

    names_rows: ClassVar[bool] = True
    """Is its name the source of its rows? What a row calls its source itself goes to `meta.source` then."""

    name: str = Field(min_length=1)
    path: str | list[str]
    """A file, a folder, a glob, `package:NAME/inner/path`, or `hf:OWNER/NAME` of the Hugging Face Hub, with
    `@REVISION` and a pattern for its files where needed; relative ones start at the recipe's folder."""
    adapter: str | None = None
    """`file.py:function`, called with each record (joined ones under their key).

    It returns a row as a dict, a list of rows, or None or an empty list for a record to leave out.
    """
    at: str | None = None
    """Where in each line or file the records are: a dotted path, `*` for every item: `data`, `data.*.paragraphs.*`."""
    format: FormatName | None = None
    """What the records look like. Left out, it is found out from each file's first records; the manifest says."""
    map: FieldMap | None = None
    """Which keys of a record the row's fields come from, for records in no known format."""
    join: dict[str, Join] = Field(default_factory=dict)
    origin: Origin = "gold"
    label: str | None = None
    license: str | None = None
    """Under which licence the rows may be used, as its SPDX id or in words; manifest, card and runs repeat it."""
    encoding: str | None = None
    """What the files' text is written in, such as cp1252 or utf-16; left out, it is UTF-8 or found out."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """What stands between the fields of CSV files; left out, it is found out."""
    header: bool | list[str] = True
    """Whether CSV files and workbooks name their columns in the first line; a list gives the names that they lack."""
    sheet: str | None = None
    """Which sheet of a workbook is read; left out, the first."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                "".encode(value)
        except LookupError as error:
            raise ValueError(f"{error}: name one such as cp1252, latin-1, utf-16, shift_jis") from error
        return value

    @field_validator("header")
    @classmethod
    def _different_names(cls, value: bool | list[str]) -> bool | list[str]:
        if isinstance(value, list) and (not value or len(set(value)) < len(value)):
            raise ValueError("name each column once")
        return value

    @model_validator(mode="after")
    def _one_way_to_read(self) -> "Source":
        if self.at is not None and not all(self.at.split(".")):
            raise ValueError(f"at: {self.at!r} is no dotted path, such as data or data.*.turns")
        given = [name for name in ("adapter", "format", "map") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: each says how to read a record")
        return self

    @property
    def layout(self) -> Layout:
        """What the source says of how its files are laid out."""
        header = self.header if isinstance(self.header, bool) else tuple(self.header)
        return Layout(self.encoding, self.delimiter, header, self.sheet)

    @property
    def paths(self) -> list[str]:
        """The paths as a list."""
        return [self.path] if isinstance(self.path, str) else self.path


class LooseFiles(Source):
    """Files that no recipe names: rows keep the source that they name themselves."""

    names_rows: ClassVar[bool] = False
