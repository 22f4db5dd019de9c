"""Suites: which contenders answer which items, how answers are scored, and what would count as better.

Everything that decides the verdict (primary metric, useful effect, alpha) is fixed here, before the run.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config
from evalkit.ladder import Rung
from evalkit.rules import RuleConfig

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
Count = Annotated[int, Field(ge=1, le=64)]  # more examples than this fit no small model's context


class CoveringExamples(Config):
    """The same solved train rows for every item, taken from each label in turn; the seed decides which."""

    choose: Literal["covering"]
    count: Count = 4


class NearestExamples(Config):
    """The solved train rows whose prompts are nearest to the item's, the nearest of them last."""

    choose: Literal["nearest"]
    count: Count = 4


class FileExamples(Config):
    """The solved rows of a file, in its order, for every item."""

    choose: Literal["file"]
    path: str


Examples = Annotated[CoveringExamples | NearestExamples | FileExamples, Field(discriminator="choose")]


class Contender(Config):
    """One way to answer an item: the base model with this system message and these examples, or what a run trained.

    `replay` names a file of recorded answers instead of a model. With `run`, they are said to be those of that run's
    adapter; nothing shows it, so the result says that they were recorded.
    """

    name: Name
    description: str = ""
    system: str | None = None
    """Takes the place of the items' own system message."""
    examples: Examples | None = None
    run: str | None = None
    """A run folder of `trainer fit`, whose adapter answers."""
    replay: str | None = None
    rung: Rung | None = None
    """Where on the ladder it stands; by default what the other fields say."""

    @property
    def place(self) -> Rung:
        """Its rung: `fine-tune` with a run, `rag` with retrieved examples, `prompt` with any other addition."""
        if self.rung:
            return self.rung
        if self.run:
            return "fine-tune"
        if isinstance(self.examples, NearestExamples):
            return "rag"
        return "prompt" if self.examples or self.system is not None else "base"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.replay and (self.examples or self.system is not None):
            raise ValueError("`replay` answers from a file: it takes no system and no examples")
        return self


class GenerationConfig(Config):
    """How answers are made: always greedily, the likeliest token each time."""

    max_tokens: int = Field(default=256, ge=1, le=32768)
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Processor threads; auto: one per core. Changes no answer."""


class Regression(Config):
    """What a regression suite is judged by: `control` got every item right and runs again beside its successors."""

    control: Name
    margin: float = Field(gt=0, lt=1)
    """The largest loss that is tolerated, as a share."""
    must_pass: list[str] = Field(default_factory=list)
    """Ids of items that no successor may break."""


class Suite(Config):
    """An evaluation."""

    name: Name
    behaviour: str = ""
    """What the adapter is to learn, in a sentence: what the items measure."""
    base: str = "embedded:smollm2-135m"
    quantisation: Literal["none", "nf4"] | None = None
    """Of the base's weights; by default what the run trained on, so that all contenders share one base."""
    items: str
    train: str | None = None
    """The rows that examples are taken from, and that no item may be among."""
    output: str
    seed: int = 0
    embedder: str = "embedded:minilm"
    contenders: list[Contender] = Field(min_length=1)
    generation: GenerationConfig = GenerationConfig()
    scorers: list[RuleConfig] = Field(min_length=1)
    primary: str
    """The scorer that decides the verdict."""
    useful_effect: float = Field(gt=0, lt=1)
    """The smallest difference worth a costlier rung, as a share: 0.1 is 10 points."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    cluster: Literal["group", "label", "source"] | None = None
    """The field whose equal values tie items together; they are resampled together."""
    min_quality: float | None = Field(default=None, ge=0, le=1)
    regression: Regression | None = None
    """Set by `evalkit regression make`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("contenders", [contender.name for contender in self.contenders]),
            ("scorers", [scorer.name for scorer in self.scorers]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what} are called {twice[0]!r}")
        if self.primary not in {scorer.name for scorer in self.scorers}:
            raise ValueError(f"primary: no scorer is called {self.primary!r}")
        if self.train is None and any(
            isinstance(contender.examples, CoveringExamples | NearestExamples) for contender in self.contenders
        ):
            raise ValueError("train: missing, and a contender takes its examples from it")
        return self

    def facts(self) -> dict[str, Any]:
        """What result.json says about the suite."""
        return self.model_dump(mode="json")
