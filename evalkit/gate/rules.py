"""The rules of a gate, fixed before the run: what has to be shown, by which metric, against whom."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config
from evalkit.results.judge_account import CardState

Share = Annotated[float, Field(ge=0, le=1)]


class _Measured(Config):
    """What rules on a metric share. `where` narrows a rule to items with these values of label, source or meta."""

    name: str = ""
    metric: str
    where: dict[str, str] = Field(default_factory=dict)


class Superior(_Measured):
    """The contender is better than `than` by more than `by`."""

    rule: Literal["superior"]
    than: str | None = None
    """A contender of the same results; by default the baseline's."""
    by: Share = 0.0


class NonInferior(_Measured):
    """The contender is worse than `than` by less than `margin`, if at all; by default the suite's margin."""

    rule: Literal["non-inferior"]
    than: str | None = None
    margin: Annotated[float, Field(gt=0, le=1)] | None = None


class AtLeast(_Measured):
    """The metric's mean is at least `value`."""

    rule: Literal["at-least"]
    value: Share


class AtMost(_Measured):
    """The metric's mean is at most `value`; `unscored` and `errors` are metrics too."""

    rule: Literal["at-most"]
    value: Share


class MustPass(_Measured):
    """Every item, or each of these, has full marks: for checks of which none may break."""

    rule: Literal["must-pass"]
    items: list[str] | None = None


class JudgeCard(Config):
    """The judge behind a metric has a card that holds and admits it, and its canaries raised few grades."""

    rule: Literal["judge-card"]
    name: str = ""
    metric: str
    state: CardState = "voting-corrected"
    canaries: Share = 0.05
    """The largest share of canaries that may have raised a grade."""


class Contamination(Config):
    """No more than this share of the items is given away by the training rows, as the run found."""

    rule: Literal["contamination"]
    name: str = ""
    at_most: Share = 0.0
    train: str | None = None
    """The rows that were trained on; where named, they have to be those that the run looked through."""


class TokenBudget(Config):
    """What an answer may use on average."""

    rule: Literal["budget"]
    name: str = ""
    prompt_tokens: float | None = Field(default=None, gt=0)
    completion_tokens: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.prompt_tokens is None and self.completion_tokens is None:
            raise ValueError("name prompt_tokens or completion_tokens")
        return self


class Latency(Config):
    """So large a share of the answers takes so long at most."""

    rule: Literal["latency"]
    name: str = ""
    at_most_ms: float = Field(gt=0)
    share: Annotated[float, Field(gt=0, lt=1)] = 0.95


GateRule = Annotated[
    Superior | NonInferior | AtLeast | AtMost | MustPass | JudgeCard | Contamination | TokenBudget | Latency,
    Field(discriminator="rule"),
]


class LabelledCard(Config):
    """A judge's card, and the labels that it rests on: needed where the judge is corrected by them."""

    card: str
    labels: str | None = None


class JudgeFiles(LabelledCard):
    """The card and labels of these results, and those of the baseline's answers where they lie in other results."""

    baseline: LabelledCard | None = None


class GateRules(Config):
    """A gate. All rules have to pass."""

    contender: str
    """Whose release is decided."""
    baseline: str | None = None
    """The contender of the baseline's results that it is compared with; by default of the same name."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """One-sided: the chance that a rule passes at its limit."""
    judges: dict[str, JudgeFiles] = Field(default_factory=dict)
    """By metric."""
    rules: list[GateRule] = Field(min_length=1)
