"""Suites: which contenders answer which items, how answers are scored, and what would count as better.

Everything that decides the verdict (primary metric, useful effect, alpha) is fixed here, before the run.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config
from curate.core.spending import Budget
from evalkit.backends.endpoint import Prices, Running
from evalkit.scorers.judge import JudgeConfig
from evalkit.scorers.registry import AnyScorerConfig
from evalkit.suite.contenders import Contender, CoveringExamples, Name, NearestExamples


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


class LookFor(Config):
    """How hard to look for items in the training rows."""

    ngram: int = Field(default=13, ge=5, le=64)
    """A run of this many words that a row shares with an item is evidence."""
    near: float | None = Field(default=0.5, gt=0, le=1)
    """The similarity of characters from which a row counts as a near copy; none: not looked for."""
    paraphrase: float | None = Field(default=0.8, gt=0, le=1)
    """The cosine of embeddings from which a row counts as rephrased; none: not looked for."""


class Suite(Config):
    """An evaluation."""

    name: Name
    behaviour: str = ""
    """What the adapter is to learn, in a sentence: what the items measure."""
    base: str = "embedded:smollm2-135m"
    chat_template_kwargs: dict[str, Any] | None = None
    """Settings for the base's chat template, such as `{enable_thinking: false}`; by default those of the runs."""
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
    scorers: list[Annotated[AnyScorerConfig | JudgeConfig, Field(discriminator="kind")]] = Field(min_length=1)
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
        if self.generation.temperature and any(c.is_local for c in self.contenders):
            raise ValueError("generation.temperature: local contenders answer greedily; it has to be 0 beside them")
        prices = {c.name: c.endpoint.price for c in self.contenders if c.endpoint}
        judges = [scorer.model.price for scorer in self.scorers if isinstance(scorer, JudgeConfig) and scorer.model]
        if len({price.currency for price in (*prices.values(), *judges) if price}) > 1:
            raise ValueError("the endpoints' prices are in different currencies")
        unpriced = [name for name, price in prices.items() if price is None]
        if self.budget and self.budget.cost is not None and unpriced:
            raise ValueError(f"budget.cost: the endpoint of {unpriced[0]!r} has no price")

    @property
    def plain_scorers(self) -> list[AnyScorerConfig]:
        """The scorers that need no judge."""
        return [config for config in self.scorers if not isinstance(config, JudgeConfig)]

    def facts(self) -> dict[str, Any]:
        """What result.json says about the suite."""
        return self.model_dump(mode="json")
