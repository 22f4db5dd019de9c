"""What quality costs: how much of training's gain is had without it, what a request costs, when training pays back.

Costs of requests come from prices that the suite states with a date; without prices they are counted in tokens.
Training is paid back by requests that are cheaper than the baseline's (a shorter prompt), and by nothing else here:
what a better answer is worth only its user knows.

Without prices, work is compared in tokens: a training token costs three times a prompt's, one pass forward and a
backward pass of twice that. Source: Kaplan et al. 2020 (arXiv:2001.08361), section 2.1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curate.core.config_file import Config
from evalkit.endpoint import Price
from evalkit.ladder import Rung
from evalkit.stats.interval import among, cluster_codes
from evalkit.stats.share import share_of

Floats = NDArray[np.float64]

_TRAINING_WORK = 3  # see above
GOAL = 0.8  # the field's question is whether prompting and retrieval get 80 % of the way
RULE = "Behaviour (form, style, when to do what) is what fine-tuning teaches; facts are what retrieval brings."


class Prices(Config):
    """What requests and training cost, where endpoints don't say it themselves."""

    tokens: Price | None = None
    """For every contender without a price of its own."""
    contenders: dict[str, Price] = Field(default_factory=dict)
    training: float | None = Field(default=None, ge=0)
    """What the training cost, in the same currency."""
    training_per_hour: float | None = Field(default=None, ge=0)
    """What an hour of its machine costs; used where `training` is not given."""


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
    training_seconds: float | None = None
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


@dataclass(frozen=True, slots=True)
class BreakEven:
    """After how many requests training is paid back by requests that are cheaper than `against`'s; None: never."""

    contender: str
    against: str
    requests: int | None
    unit: str
    because: str


def economics(
    expenses: Sequence[Expense], values: Mapping[str, Floats], clusters: Sequence[str] | None, alpha: float
) -> dict[str, Any]:
    """The record: costs of each contender, shares of the gain, break-even. What training time decides is volatile."""
    prices = [one.price for one in expenses if one.price]
    return {
        "currency": prices[0].currency if prices else None,
        "as_of": max((str(price.as_of) for price in prices), default=None),
        "contenders": [_costs(one) for one in expenses],
        "gain": gain(expenses, values, clusters, alpha),
        "rule": RULE,
        "environment": {
            "training": {one.name: one.training for one in expenses if one.training is not None},
            "break_even": [asdict(one) for one in break_even(expenses)],
        },
    }


def gain(
    expenses: Sequence[Expense], values: Mapping[str, Floats], clusters: Sequence[str] | None, alpha: float
) -> dict[str, Any] | None:
    """The share of the best trained contender's gain over the base that each cheaper rung's best reaches already.

    None without a base, a trained contender or a gain.
    """
    base = next((one for one in expenses if one.rung == "base"), None)
    trained = _best(expenses, "fine-tune")
    if base is None or trained is None or (trained.mean or 0) <= (base.mean or 0):
        return None
    shares = []
    for rung in ("prompt", "rag"):
        best = _best(expenses, rung)
        if best is None:
            continue
        parts = np.stack([values[best.name] - values[base.name], values[trained.name] - values[base.name]])
        there = np.asarray(~np.isnan(parts).any(axis=0))
        kept = among(clusters, there)
        found = share_of(parts[0, there], parts[1, there], cluster_codes(kept, int(there.sum())), alpha)
        if found is not None:
            share, low, high = found
            shares.append({"rung": rung, "contender": best.name, "share": share, "low": low, "high": high,
                           "reaches_goal": bool(low >= GOAL)})  # fmt: skip
    return {"contender": trained.name, "over": base.name, "goal": GOAL, "reached": shares} if shares else None


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


def _costs(one: Expense) -> dict[str, Any]:
    each, right = one.cost_each, one.mean or 0.0
    tokens = one.tokens_each
    return {
        "name": one.name,
        "requests": one.requests,
        "prompt_tokens_each": one.prompt_tokens / one.requests if one.requests else None,
        "completion_tokens_each": one.completion_tokens / one.requests if one.requests else None,
        "cost_per_1000": None if each is None else 1000 * each,
        "cost_per_correct": each / right if each is not None and right else None,
        "tokens_per_correct": tokens / right if tokens is not None and right else None,
        "trained_tokens": one.trained_tokens,
    }


def _best(expenses: Sequence[Expense], rung: str) -> Expense | None:
    fit = [one for one in expenses if one.rung == rung and one.mean is not None]
    return max(fit, key=lambda one: one.mean or 0.0, default=None)
