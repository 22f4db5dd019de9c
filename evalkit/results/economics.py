"""What quality costs: how much of training's gain is had without it, what a request costs, when training pays back.

Costs of requests come from prices that the suite states with a date; without prices they are counted in tokens.
Training is paid back by requests that are cheaper than the baseline's (a shorter prompt), and by nothing else here:
what a better answer is worth only its user knows.

Without prices, work is compared in tokens: a training token costs three times a prompt's, one pass forward and a
backward pass of twice that. Source: Kaplan et al. 2020 (arXiv:2001.08361), section 2.1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from evalkit.backends.endpoint import Price
from evalkit.stats.arrays import Floats
from evalkit.stats.interval import among, cluster_codes
from evalkit.stats.share import share_of
from evalkit.suite.contenders import Rung

_TRAINING_WORK = 3  # see above
GOAL = 0.8  # the field's question is whether prompting and retrieval get 80 % of the way
RULE = "Behaviour (form, style, when to do what) is what fine-tuning teaches; facts are what retrieval brings."


@dataclass(frozen=True, slots=True)
class Expense:
    """What is known about one contender's costs. Units: tokens of all requests; seconds; the price's currency."""

    name: str
    rung: Rung
    mean: float | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    price: Price | None = None
    training: float | None = None
    trained_tokens: int | None = None

    @property
    def tokens_each(self) -> float | None:
        """Tokens of one request, prompt and answer."""
        return (self.prompt_tokens + self.completion_tokens) / self.requests if self.requests else None

    @property
    def cost_each(self) -> float | None:
        """The cost of one request; None without a price."""
        if self.price is None or not self.requests:
            return None
        return self.price.cost(self.prompt_tokens, self.completion_tokens) / self.requests


class BreakEven(msgspec.Struct, frozen=True):
    """After how many requests training is paid back by requests that are cheaper than `against`'s; None: never."""

    contender: str
    against: str
    requests: int | None
    unit: str
    because: str


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender's requests take; None where there is no price, or nothing to divide by."""

    name: str
    requests: int
    prompt_tokens_each: float | None
    completion_tokens_each: float | None
    cost_per_1000: float | None
    """Of 1,000 requests."""
    cost_per_correct: float | None
    tokens_per_correct: float | None
    trained_tokens: int | None


class ReachedShare(msgspec.Struct, frozen=True, kw_only=True):
    """The share of training's gain that a cheaper rung's best contender reaches, with its interval."""

    rung: Rung
    contender: str
    share: float
    low: float
    high: float
    reaches_goal: bool


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """The best trained contender's gain over the base, and what cheaper rungs reach of it."""

    contender: str
    over: str
    goal: float
    reached: list[ReachedShare]


class TrainingCosts(msgspec.Struct, frozen=True):
    """What training cost by contender, and when requests pay it back: both depend on how long training took."""

    training: dict[str, float]
    break_even: list[BreakEven]


class Economics(msgspec.Struct, frozen=True, kw_only=True):
    """What quality costs. `currency` and `as_of` are the prices', None without any."""

    currency: str | None
    as_of: str | None
    contenders: list[Costs]
    gain: Gain | None
    rule: str
    environment: TrainingCosts


def economics(
    expenses: Sequence[Expense], values: Mapping[str, Floats], clusters: Sequence[str] | None, alpha: float
) -> Economics:
    """The record: costs of each contender, shares of the gain, break-even. What training time decides is volatile."""
    prices = [one.price for one in expenses if one.price]
    training = {one.name: one.training for one in expenses if one.training is not None}
    return Economics(
        currency=prices[0].currency if prices else None,
        as_of=max((str(price.as_of) for price in prices), default=None),
        contenders=[_costs(one) for one in expenses],
        gain=gain(expenses, values, clusters, alpha),
        rule=RULE,
        environment=TrainingCosts(training, break_even(expenses)),
    )


def gain(
    expenses: Sequence[Expense], values: Mapping[str, Floats], clusters: Sequence[str] | None, alpha: float
) -> Gain | None:
    """The share of the best trained contender's gain over the base that each cheaper rung's best reaches already.

    None without a base, a trained contender or a gain.
    """
    base = next((one for one in expenses if one.rung == "base"), None)
    trained = _best(expenses, "fine-tune")
    if base is None or trained is None or (trained.mean or 0) <= (base.mean or 0):
        return None
    shares: list[ReachedShare] = []
    rungs: tuple[Rung, ...] = ("prompt", "rag")
    for rung in rungs:
        best = _best(expenses, rung)
        if best is None:
            continue
        parts = np.stack([values[best.name] - values[base.name], values[trained.name] - values[base.name]])
        there = np.asarray(~np.isnan(parts).any(axis=0))
        kept = among(clusters, there)
        found = share_of(parts[0, there], parts[1, there], cluster_codes(kept, int(there.sum())), alpha)
        if found is not None:
            share, low, high = found
            reaches = bool(low >= GOAL)
            shares.append(
                ReachedShare(rung=rung, contender=best.name, share=share, low=low, high=high, reaches_goal=reaches)
            )
    return Gain(contender=trained.name, over=base.name, goal=GOAL, reached=shares) if shares else None


def break_even(expenses: Sequence[Expense]) -> list[BreakEven]:
    """For each trained contender against each cheaper one that adds to the prompt: when training is paid back."""
    baselines = [one for one in expenses if one.rung in ("prompt", "rag")]
    return [
        _break_even(trained, baseline)
        for trained in expenses
        if trained.rung == "fine-tune" and (trained.training is not None or trained.trained_tokens)
        for baseline in baselines
    ]


def _break_even(trained: Expense, baseline: Expense) -> BreakEven:
    ours, theirs, spent, unit = trained.cost_each, baseline.cost_each, trained.training, "money"
    if ours is None or theirs is None or spent is None:
        ours, theirs, unit = trained.tokens_each, baseline.tokens_each, "tokens"
        spent = None if trained.trained_tokens is None else float(_TRAINING_WORK * trained.trained_tokens)
    if ours is None or theirs is None or spent is None:
        return BreakEven(trained.name, baseline.name, None, unit, "neither prices nor tokens of both are known")
    if ours >= theirs:
        return BreakEven(trained.name, baseline.name, None, unit, "its requests cost as much or more")
    return BreakEven(trained.name, baseline.name, math.ceil(spent / (theirs - ours)), unit, "its requests cost less")


def _costs(one: Expense) -> Costs:
    each, right = one.cost_each, one.mean or 0.0
    tokens = one.tokens_each
    return Costs(
        name=one.name,
        requests=one.requests,
        prompt_tokens_each=one.prompt_tokens / one.requests if one.requests else None,
        completion_tokens_each=one.completion_tokens / one.requests if one.requests else None,
        cost_per_1000=None if each is None else 1000 * each,
        cost_per_correct=each / right if each is not None and right else None,
        tokens_per_correct=tokens / right if tokens is not None and right else None,
        trained_tokens=one.trained_tokens,
    )


def _best(expenses: Sequence[Expense], rung: str) -> Expense | None:
    fit = [one for one in expenses if one.rung == rung and one.mean is not None]
    return max(fit, key=lambda one: one.mean or 0.0, default=None)
