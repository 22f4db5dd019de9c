"""The recipe: what a dataset is made of and how."""

from collections import Counter
from typing import Literal

from pydantic import Field, field_validator, model_validator

from curate.core.config_file import Config
from curate.core.rows import Origin

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")
# Shares are typed by hand with a few digits: 0.33 + 0.33 + 0.33 is a slip, 1/3 written to six places is not.
_SHARE_TOLERANCE = 1e-4


class Join(Config):
    """A second file whose records are put beside the source's: the one that has the same value under `on`."""

    path: str
    on: str = "id"


class Source(Config):
    """Where rows come from. Without an adapter each record is a row already."""

    name: str = Field(min_length=1)
    path: str | list[str]
    """A file, a folder, a glob, or `package:NAME/inner/path`; relative ones start at the recipe's folder."""
    adapter: str | None = None
    """`file.py:function`, called with each record (a dict, joined ones under their key); returns a row as a dict."""
    join: dict[str, Join] = Field(default_factory=dict)
    origin: Origin = "gold"
    label: str | None = None

    @property
    def paths(self) -> list[str]:
        """The paths as a list."""
        return [self.path] if isinstance(self.path, str) else self.path


class Validate(Config):
    """What rows have to satisfy beyond being conversations that end in an answer."""

    target_schema: str | None = None
    """The JSON schema of answers: a .json file, or `meta.KEY` for one that each row carries."""

    @field_validator("target_schema")
    @classmethod
    def _file_or_meta(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith(".json") and not (value.startswith("meta.") and value[5:]):
            raise ValueError("name a .json file, or meta.KEY for a schema in each row")
        return value


class Dedup(Config):
    """Near duplicates. The chance that a pair at similarity s is compared is 1 - (1 - s^rows)^bands."""

    on: Literal["prompt", "answer", "conversation"] = "prompt"
    """What is compared; system messages are left out, because templates would glue whole sources together."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=3, ge=1, le=16)
    bands: int = Field(default=32, ge=1, le=256)
    rows: int = Field(default=4, ge=1, le=32)
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    prefer: list[Literal["gold", "longest", "shortest"]] = Field(default=["gold", "longest"])
    """Which of several similar rows stays; gold rows come before synthetic ones, named here or not."""

    def chance(self, similarity: float) -> float:
        """The probability that two rows of this similarity are compared."""
        return 1.0 - (1.0 - similarity**self.rows) ** self.bands


class Shares(Config):
    """How much of the rows each side gets."""

    train: float = Field(default=0.8, gt=0, le=1)
    val: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _make_one(self) -> "Shares":
        total = self.train + self.val + self.test
        if abs(total - 1) > _SHARE_TOLERANCE:
            raise ValueError(f"train, val and test make {total:g}, not 1")
        return self


class Split(Config):
    """How rows are divided. A group's side depends on its name and the seed alone, so new rows move no old ones."""

    by: Literal["group", "row"] = "group"
    shares: Shares = Shares()
    seed: int | None = None


class Recipe(Config):
    """A recipe file."""

    name: str = Field(min_length=1)
    behaviour: str
    """One sentence: what a model trained on this does differently."""
    output: str
    seed: int = 0
    sources: list[Source] = Field(min_length=1)
    checks: Validate = Field(default=Validate(), alias="validate")
    dedup: Dedup | None = Dedup()
    split: Split = Split()

    @field_validator("behaviour")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say in one sentence what should change")
        return value

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, value: list[Source]) -> list[Source]:
        repeated = sorted(name for name, count in Counter(source.name for source in value).items() if count > 1)
        if repeated:
            raise ValueError(f"two sources are named {', '.join(repeated)}")
        return value
