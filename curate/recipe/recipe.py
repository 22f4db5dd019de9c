"""The recipe: what a dataset is made of and how."""

from collections import Counter
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from curate.core.config_file import Config
from curate.core.manifest import Manifest
from curate.core.sources.source import Source
from curate.core.text.leaks.settings import Decontaminate
from curate.recipe.balance_mix import Balance, Mix
from curate.recipe.canaries import Canaries
from curate.recipe.guards import Guards
from curate.recipe.rule_ids import RULES, Severity
from curate.recipe.screens import Screens

# Shares are typed by hand with a few digits: 0.33 + 0.33 + 0.33 is a slip, 1/3 written to six places is not.
_SHARE_TOLERANCE = 1e-4


def _differently_named(sources: list[Source]) -> list[Source]:
    repeated = sorted(name for name, count in Counter(source.name for source in sources).items() if count > 1)
    if repeated:
        raise ValueError(f"two sources are named {', '.join(repeated)}")
    return sources


class Validate(Config):
    """What rows have to satisfy beyond being conversations that end in an answer."""

    target_schema: str | None = None
    """The JSON schema of answers: a .json file, or `meta.KEY` for one that each row carries."""

    fix: bool = False
    """Repair what can be repaired mechanically before the rules are applied; the manifest counts each repair."""
    severity: dict[str, Severity] = Field(default_factory=dict)
    """Per rule `error` (rejects the row), `warning` (counts it) or `off`, where it should not be the rule's own."""
    max_tokens: int | None = Field(default=None, ge=1)
    """The longest row that fits, in tokens of the recipe's `base`."""

    @field_validator("severity")
    @classmethod
    def _known_rules(cls, value: dict[str, Severity]) -> dict[str, Severity]:
        if unknown := sorted(value.keys() - RULES.keys()):
            raise ValueError(f"no rule is called {', '.join(unknown)}; there are {', '.join(RULES)}")
        return value

    @field_validator("target_schema")
    @classmethod
    def _file_or_meta(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith(".json") and not (value.startswith("meta.") and value[5:]):
            raise ValueError("name a .json file, or meta.KEY for a schema in each row")
        return value


class Semantic(Config):
    """Duplicates in meaning: cosine similarity of embeddings. Needs acidtest[eval]."""

    threshold: float = Field(default=0.95, gt=0, le=1)
    """Of pairs of user requests (clinc150) from 0.9 on one in 2,000 means another thing, such as its negation; of those
    from 0.95 on none of 1,568."""
    embedder: str = "embedded:minilm"


class Dedup(Config):
    """Near duplicates. The chance that a pair at similarity s is compared is 1 - (1 - s^rows)^bands."""

    on: Literal["prompt", "answer", "conversation"] = "prompt"
    """What is compared, among rows with the same system messages and tools."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=3, ge=1, le=16)
    unit: Literal["auto", "word", "character"] = "auto"
    """What n-grams are made of. `auto` is words, and single characters where a script writes without spaces."""
    min_shingles: int = Field(default=1, ge=1)
    """Texts with fewer n-grams than this are compared as a whole: they are the same or not."""
    ignored_share: float | None = Field(default=None, gt=0, lt=1)
    """N-grams that more than this share of the texts have are ignored: templates say nothing about a row.

    Without it, what most rows of a source share is ignored where a sample of them shows that there is some.
    """
    conflicts: Literal["report", "drop", "error"] = "report"
    """What becomes of rows that are like a better one but for their answer or label: they stay, go, or end the build.
    """
    bands: int = Field(default=32, ge=1, le=256)
    rows: int = Field(default=4, ge=1, le=32)
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    prefer: list[Literal["gold", "longest", "shortest", "newest", "score"]] = Field(default=["gold", "longest"])
    """Which of several similar rows stays; gold rows come before synthetic ones, named here or not."""
    newest_by: str = "meta.date"
    """Where `newest` finds a row's date: an ISO 8601 date or a number. Rows without one come last."""
    score_by: str = "meta.score"
    """Where `score` finds a row's number, the higher the better. Rows without one come last."""
    against: list[Source] = Field(default_factory=list)
    """Earlier datasets, or indexes of them: rows that repeat one of theirs are dropped because of it.

    An index, made by `curate index create`, compares by its own settings.
    """

    semantic: Semantic | None = None
    """After near duplicates, also drop rows that say the same in other words."""

    @field_validator("newest_by", "score_by")
    @classmethod
    def _in_meta(cls, value: str) -> str:
        if not value.removeprefix("meta.") or not value.startswith("meta."):
            raise ValueError("name a field under meta, such as meta.date")
        return value

    @field_validator("against")
    @classmethod
    def _names_differ(cls, value: list[Source]) -> list[Source]:
        return _differently_named(value)

    def chance(self, similarity: float) -> float:
        """The probability that two rows of this similarity are compared."""
        return 1.0 - (1.0 - similarity**self.rows) ** self.bands


class Shares(Config):
    """How much of the rows each side gets."""

    train: float = Field(default=0.8, ge=0, le=1)
    val: float = Field(default=0.1, ge=0, le=1)
    test: float = Field(default=0.1, ge=0, le=1)

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
    given: str | None = Field(default=None, alias="from", min_length=1)
    """The field that says which side a row is on, in place of a draw: `split`, `meta.KEY`, or a row's own."""

    @field_validator("by", mode="before")
    @classmethod
    def _not_a_field(cls, value: object) -> object:
        if isinstance(value, str) and value not in ("group", "row"):
            raise ValueError(f"it is group or row; to keep the sides that rows name, write `from: {value}`")
        return value

    @model_validator(mode="after")
    def _drawn_or_given(self) -> "Split":
        if self.given is not None and self.shares != Shares():
            raise ValueError("`from` keeps the sides that rows name, and `shares` draws them: keep one")
        return self


class Recipe(Config):
    """A recipe file."""

    name: str = Field(min_length=1)
    behaviour: str
    """One sentence: what a model trained on this does differently."""
    output: str
    base: str | None = None
    """The base model whose chat template and tokenizer every row has to get through: as in a training file."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Settings for the base's chat template, as `{enable_thinking: false}`: the same in training."""
    history: Literal["error", "last", "split"] = "error"
    """What becomes of rows whose earlier turns the base's template rewrites once later ones follow, as in training: an
    error, or a sample of the last answer, or one of each answer. The rows stay whole; it is the template check's."""
    seed: int = 0
    sources: list[Source] = Field(min_length=1)
    checks: Validate = Field(default=Validate(), alias="validate")
    dedup: Dedup | None = Dedup()
    screens: Screens = Screens()
    decontaminate: Decontaminate | None = None
    balance: Balance | None = None
    mix: Mix | None = None
    split: Split = Split()
    parquet: bool = False
    """Write train, val and test as Parquet too. The JSON Lines stay: they are what training and evaluation read."""
    canaries: Canaries | None = None
    """Unique strings planted in train rows, so that it can be tested later whether a model leaks them."""
    guards: Guards = Guards()

    @field_validator("behaviour")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say in one sentence what should change")
        return value

    @model_validator(mode="after")
    def _tokens_of_a_base(self) -> "Recipe":
        if self.checks.max_tokens is not None and self.base is None:
            raise ValueError("validate.max_tokens counts tokens of a base model: name it in `base`")
        return self

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, value: list[Source]) -> list[Source]:
        return _differently_named(value)


def recipe_of(manifest: Manifest) -> Recipe:
    """The recipe that a dataset was built by."""
    return Recipe.model_validate(manifest.recipe)
