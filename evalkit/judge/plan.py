"""What a judge would be asked, and what that costs at most, before a token is spent."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from curate.core.rows.row import Row
from evalkit.judge.canaries import DISGUISES
from evalkit.judge.judging import questions
from evalkit.judge.prompt import ask
from evalkit.judge.scoring import Judge
from evalkit.records.lines import Generation
from evalkit.suite.suite import Suite

_BYTES_PER_TOKEN = 4  # of English text; a judge's tokenizer isn't here to ask
_TOKENS_PER_S = 50  # of one reply at a hosted model


def plan_judge(
    judge: Judge, items: Mapping[str, Row], answers: Sequence[Generation], suite: Suite
) -> dict[str, Any] | None:
    """The judge's questions on these answers, canaries included; None for recorded judgments, which ask nothing.

    Answers that aren't known yet stand in by a text as long as they may be. Units: seconds; `cost` in the currency of
    the endpoint's price, `at_most` if every question took every try and every reply were as long as allowed. Replies
    that are kept cost nothing, and are not known before the answers are.
    """
    config = judge.config
    if config.judgments is not None:
        return None
    put = list(questions(config, items, answers, suite.seed))
    lengths = [len(msgspec.json.encode(ask(judge.criterion, one, suite.seed))) // _BYTES_PER_TOKEN for one in put]
    canaries = min(config.canaries, len(put)) * len(DISGUISES) if config.against is None else 0
    count = len(put) + canaries
    tokens = round(sum(lengths) / len(put) * count) if put else 0
    reply_s = config.max_tokens / _TOKENS_PER_S
    return {
        "name": config.name,
        "questions": count,
        "canaries": canaries,
        "tries": config.tries,
        "prompt_tokens": tokens,
        "estimated": True,
        "cost": _cost(judge, tokens, count),
        "seconds": count * reply_s / suite.running.concurrency if config.model else None,
        "timed": False,
    }


def describe_judge(plan: Mapping[str, Any]) -> str:
    """A judge's plan in a sentence."""
    return (
        f"judge {plan['name']}: {plan['questions']:,} questions at most, {plan['canaries']:,} of them canaries, about "
        f"{plan['prompt_tokens']:,} prompt tokens; {plan['tries']} tries each where a reply can't be read"
    )


def _cost(judge: Judge, prompt_tokens: int, count: int) -> dict[str, Any] | None:
    config = judge.config
    price = config.model.price if config.model else None
    if price is None:
        return None
    at_most = price.cost(config.tries * prompt_tokens, config.tries * count * config.max_tokens)
    limit = config.budget.cost if config.budget else None
    return {
        "currency": price.currency,
        "as_of": price.as_of.isoformat(),
        "at_most": at_most if limit is None else min(at_most, limit),
        "expected": None,
    }
