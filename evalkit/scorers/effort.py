"""What an answer takes: time, and tokens or money. Right or wrong by a limit; medians and sums stand in the result."""

from typing import Literal, Self

from pydantic import Field, model_validator

from curate.core.rows.row import Row
from evalkit.backends.endpoint import Price
from evalkit.records.lines import Generation
from evalkit.scorers.types import GenerationScorer, Mark, ScorerConfig, Unscored, missed, passed


class LatencyConfig(ScorerConfig):
    """1 where the answer took at most so many milliseconds; a local model's time is that of the whole batch."""

    kind: Literal["latency"]
    at_most_ms: float = Field(gt=0)


class CostConfig(ScorerConfig):
    """1 where prompt and answer took at most so many tokens, or at a price at most so much money."""

    kind: Literal["cost"]
    at_most_tokens: int | None = Field(default=None, ge=1)
    at_most: float | None = Field(default=None, gt=0)
    """In the price's currency, for one answer."""
    price: Price | None = None

    @model_validator(mode="after")
    def _limits_one(self) -> Self:
        if (self.at_most is None) == (self.at_most_tokens is None):
            raise ValueError("at_most_tokens or at_most: give one of the two")
        if (self.at_most is None) != (self.price is None):
            raise ValueError("at_most and price: one needs the other")
        return self


def latency(config: LatencyConfig) -> GenerationScorer:
    """The scorer. Unscored where no time was taken."""

    def score(item: Row, generation: Generation) -> Mark | Unscored:  # noqa: ARG001 - every rule takes the item
        if generation.latency_ms <= 0:
            return Unscored("no time was taken")
        return passed() if generation.latency_ms <= config.at_most_ms else missed(f"{generation.latency_ms:.0f} ms")

    return GenerationScorer(score)


def cost(config: CostConfig) -> GenerationScorer:
    """The scorer. Unscored where no tokens were counted."""

    def score(item: Row, generation: Generation) -> Mark | Unscored:  # noqa: ARG001 - every rule takes the item
        tokens = generation.prompt_tokens + generation.completion_tokens
        if not tokens:
            return Unscored("no tokens were counted")
        if config.price is None or config.at_most is None:
            return passed() if tokens <= (config.at_most_tokens or 0) else missed(f"{tokens} tokens")
        spent = config.price.cost(generation.prompt_tokens, generation.completion_tokens)
        return passed() if spent <= config.at_most else missed(f"{spent:.3g} {config.price.currency}")

    return GenerationScorer(score)
