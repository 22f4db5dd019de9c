"""Suites: which contenders answer which items, how answers are scored, and what would count as better.

Everything that decides the verdict (primary metric, useful effect, alpha) is fixed here, before the run.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config
from curate.core.spending import Budget
from evalkit.contamination import LookFor
from evalkit.documents.config import DocumentsConfig
from evalkit.economics import Prices
from evalkit.endpoint import Endpoint, Running
from evalkit.judge.settings import JudgeConfig
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

    `endpoint` names a model elsewhere instead of the base, `replay` a file of recorded answers instead of a model. With
    `run`, recorded answers are said to be those of that run's adapter; nothing shows it, so the result says so.
    """

    name: Name
    description: str = ""
    system: str | None = None
    """Takes the place of the items' own system message."""
    examples: Examples | None = None
    documents: DocumentsConfig | None = None
    """Passages of these go before each question."""
    run: str | None = None
    """A run folder of `trainer fit`, whose adapter answers."""
    endpoint: Endpoint | None = None
    """A model behind an OpenAI-compatible endpoint, which gets the messages and renders them itself."""
    replay: str | None = None
    rung: Rung | None = None
    """Where on the ladder it stands; by default what the other fields say."""

    @property
    def place(self) -> Rung:
        """Its rung: `fine-tune` with a run, `rag` with what retrieval finds, `prompt` with any other addition."""
        if self.rung:
            return self.rung
        if self.run:
            return "fine-tune"
        if self.documents or isinstance(self.examples, NearestExamples):
            return "rag"
        return "prompt" if self.examples or self.system is not None else "base"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.replay and (self.examples or self.documents or self.system is not None):
            raise ValueError("`replay` answers from a file: it takes no system, examples or documents")
        if self.endpoint and (self.run or self.replay):
            raise ValueError("`endpoint` answers elsewhere: it takes no run or replay; name its rung with `rung`")
        return self


class GenerationConfig(Config):
    """How answers are made: greedily, the likeliest token each time, unless endpoints are told otherwise."""

    max_tokens: int = Field(default=256, ge=1, le=32768)
    temperature: float = Field(default=0, ge=0, le=2)
    """Above 0 for contenders at endpoints only."""
    repeats: int = Field(default=1, ge=1, le=64)
    """How often an endpoint answers each item, each time with another seed; the scores of an item are averaged."""
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """Processor threads; auto: one per core. Changes no answer."""


class Claim(Config):
    """A comparison that is declared before the run: `a` against `b`, on the primary metric unless another is named."""

    a: Name
    b: Name
    metric: Name | None = None


class Assumed(Config):
    """What is taken for granted where a plan says how many items are needed."""

    discordance: float = Field(default=0.3, gt=0, le=1)
    """The share of items that two contenders answer differently, for scores that are right or wrong."""
    spread: float | None = Field(default=None, gt=0, le=1)
    """The standard deviation of the differences, for graded scores."""
    likeness: float = Field(default=0.5, ge=0, le=1)
    """How alike items of a cluster are: 0 not at all, 1 as copies of one another."""


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
    """The rows that were trained on and that examples are taken from; an item among them is shown as contaminated."""
    output: str
    seed: int = 0
    embedder: str = "embedded:minilm"
    contenders: list[Contender] = Field(min_length=1)
    generation: GenerationConfig = GenerationConfig()
    scorers: list[Annotated[RuleConfig | JudgeConfig, Field(discriminator="kind")]] = Field(min_length=1)
    primary: str
    """The scorer that decides the verdict."""
    useful_effect: float = Field(gt=0, lt=1)
    """The smallest difference worth a costlier rung, as a share: 0.1 is 10 points."""
    margin: float = Field(default=0.05, gt=0, lt=1)
    """The largest loss that counts as none, as a share: for regression suites, and gate rules that name no other."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    power: float = Field(default=0.8, ge=0.5, lt=1)
    """The chance that is wanted of finding the useful effect where it is there."""
    assumed: Assumed = Assumed()
    family: list[Claim] = Field(default_factory=list)
    """The comparisons that p-values are adjusted over; by default all on the primary metric."""
    cluster: Literal["group", "label", "source"] | None = None
    """The field whose equal values tie items together; they are resampled together."""
    min_quality: float | None = Field(default=None, ge=0, le=1)
    slices: list[str] = Field(default=["label", "source", "length", "cluster"])
    """What items are also looked at apart by: `label`, `source`, `length`, `cluster`, `group`, `origin`, `meta.KEY`."""
    contamination: LookFor | None = LookFor()
    """How items that the training rows give away are looked for; null: only those that are there word for word."""
    prices: Prices = Prices()
    regression: Regression | None = None
    """Set by `evalkit regression make`."""
    max_errors: float = Field(default=0.05, ge=0, le=1)
    """The largest share of a contender's items that may lack an answer; above it the verdict is `inconclusive`."""
    running: Running = Running()
    budget: Budget | None = None

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
        self._check_family()
        if self.train is None and any(
            isinstance(contender.examples, CoveringExamples | NearestExamples) for contender in self.contenders
        ):
            raise ValueError("train: missing, and a contender takes its examples from it")
        self._check_endpoints()
        return self

    def _check_family(self) -> None:
        names = {contender.name for contender in self.contenders}
        scorers = {scorer.name for scorer in self.scorers}
        for claim in self.family:
            strays = [name for name in (claim.a, claim.b) if name not in names]
            strays += [claim.metric] if claim.metric and claim.metric not in scorers else []
            if strays or claim.a == claim.b:
                fault = f"no {strays[0]!r} in this suite" if strays else "nothing to compare against itself"
                raise ValueError(f"family: {claim.a!r} against {claim.b!r}: {fault}")

    def _check_endpoints(self) -> None:
        if self.generation.temperature and any(c.endpoint is None and c.replay is None for c in self.contenders):
            raise ValueError("generation.temperature: local contenders answer greedily; it has to be 0 beside them")
        prices = {c.name: c.endpoint.price for c in self.contenders if c.endpoint}
        judges = [scorer.model.price for scorer in self.scorers if isinstance(scorer, JudgeConfig) and scorer.model]
        if len({price.currency for price in (*prices.values(), *judges) if price}) > 1:
            raise ValueError("the endpoints' prices are in different currencies")
        unpriced = [name for name, price in prices.items() if price is None]
        if self.budget and self.budget.cost is not None and unpriced:
            raise ValueError(f"budget.cost: the endpoint of {unpriced[0]!r} has no price")

    @property
    def rules(self) -> list[RuleConfig]:
        """The scorers that need no judge."""
        return [config for config in self.scorers if not isinstance(config, JudgeConfig)]

    def facts(self) -> dict[str, Any]:
        """What result.json says about the suite."""
        return self.model_dump(mode="json")
