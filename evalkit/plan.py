"""What an evaluation would ask, cost and take, before a token is spent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import msgspec

from evalkit.ask.requests import Questions
from evalkit.backends.endpoint import Endpoint
from evalkit.backends.types import Answer, Request
from evalkit.judge.plan import describe_judge
from evalkit.results.build_result import cluster_names
from evalkit.results.result_record import ResultRecord
from evalkit.stats.in_words import percent, points
from evalkit.suite.contenders import Contender
from evalkit.suite.inputs import Inputs
from evalkit.suite.suite import Suite

_BYTES_PER_TOKEN = 4  # of English text; an endpoint's tokenizer isn't here to ask
_TOKENS_PER_S = 50  # of one answer at a hosted model, where none was timed yet


def plan_contender(
    questions: Questions, kept: Mapping[str, Answer], suite: Suite, earlier: ResultRecord | None = None
) -> dict[str, Any]:
    """What one contender would be asked, and what that costs and takes.

    Args:
        questions: all its requests, answered or not.
        kept: the answers that are there already, by key.
        suite: the limits that costs and times are worked out by.
        earlier: a result of this suite; the latencies in it are all that is known of local contenders.

    Returns: counts and token numbers; `cost` in the currency of the endpoint's price, `at_most` if every answer were as
    long as allowed and `expected` by the kept answers' lengths; `seconds` at an endpoint; `local_seconds`, an upper
    bound, since local contenders answer in batches. None stands where nobody knows.
    """
    contender = questions.contender
    lengths = [_length(request, contender.endpoint) for request in questions.requests]
    known = [kept[request.key] for request in questions.requests if request.key in kept]
    open_tokens = sum(
        length for length, request in zip(lengths, questions.requests, strict=True) if request.key not in kept
    )
    count = len(questions.requests) - len(known)
    return {
        "name": contender.name,
        "rung": contender.place,
        "questions": len(questions.requests),
        "prompt_tokens": sum(lengths),
        "longest_prompt": max(lengths, default=0),
        "estimated": contender.endpoint is not None,
        "cannot_be_asked": len(questions.faults),
        "answers_kept": len(known),
        "cost": _cost(contender.endpoint, open_tokens, count, known, suite),
        "seconds": _seconds(contender.endpoint, count, known, suite),
        "timed": bool(known),
        "local": contender.is_local,
        "local_seconds": _local_seconds(contender, count, earlier),
    }


def plan_items(inputs: Inputs) -> dict[str, Any]:
    """What the items can tell about the useful effect, how many it needs, and what was assumed to say so."""
    from evalkit.stats.power import Assumed, plan_power

    suite = inputs.suite
    clusters = cluster_names(inputs.items, suite.cluster)
    aim = {"effect": suite.useful_effect, "alpha": suite.alpha, "power": suite.power}
    found = plan_power(clusters, len(inputs.items), **aim, assumed=Assumed(**suite.assumed.model_dump()))
    return {**asdict(found), "wanted": suite.power, "assumed": suite.assumed.model_dump()}


def total(asked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The costs and times of contenders and judges together; None where none has one."""
    costs = [one["cost"] for one in asked if one["cost"]]
    seconds = [one["seconds"] for one in asked if one["seconds"] is not None]
    cost = None
    if costs:
        expected = [found["expected"] for found in costs]
        cost = {
            "currency": costs[0]["currency"],
            "at_most": sum(found["at_most"] for found in costs),
            "expected": sum(expected) if None not in expected else None,
        }
    local = [one["local_seconds"] for one in asked if one.get("local_seconds") is not None]
    return {
        "cost": cost,
        "seconds": sum(seconds) if seconds else None,
        "local_seconds": sum(local) if local else None,
    }


def describe_total(plan: Mapping[str, Any]) -> list[str]:
    """The costs and times of a plan in sentences."""
    lines = [*map(describe_judge, plan["judges"]), _describe_power(plan["power"])]
    if cost := plan["total"]["cost"]:
        expected = "" if cost["expected"] is None else f", about {cost['expected']:,.4g} by the answers that are kept"
        lines.append(f"cost: at most {cost['at_most']:,.4g} {cost['currency']}{expected}")
    if (seconds := plan["total"]["seconds"]) is not None:
        remote = [one for one in (*plan["contenders"], *plan["judges"]) if one["seconds"] is not None]
        timed = all(contender["timed"] or not contender["seconds"] for contender in remote)
        basis = "by the answers that are kept" if timed else f"if answers come at {_TOKENS_PER_S} tokens a second"
        lines.append(f"time at the endpoints: about {seconds:,.0f} s, {basis}")
    lines += _describe_local(plan)
    if plan["budget"]:
        limits = ", ".join(f"{name} {value:g}" for name, value in plan["budget"].items() if value is not None)
        lines.append(f"budget: {limits}")
    return lines


def _describe_local(plan: Mapping[str, Any]) -> list[str]:
    lines = []
    if seconds := plan["total"]["local_seconds"]:
        lines.append(
            f"time in this process: at most about {seconds:,.0f} s, by how long the last result's questions took"
            " one at a time; answers in batches come sooner"
        )
    unknown = [
        contender["name"]
        for contender in plan["contenders"]
        if contender["local"] and contender["local_seconds"] is None
    ]
    if unknown:
        lines.append(
            f"time in this process: unknown for {', '.join(unknown)}, until a run here has timed them;"
            " `evalkit run --limit 5` is enough"
        )
    return lines


def _describe_power(power: Mapping[str, Any]) -> str:
    """What the items can tell, in a sentence that names what it assumes."""
    assumed = power["assumed"]
    spread = assumed["spread"]
    basis = f"{percent(assumed['discordance'])} of the items differ" if spread is None else f"a spread of {spread:g}"
    if power["clusters"] < power["items"]:
        basis += f" and items of a cluster are alike to {percent(assumed['likeness'])}"
    text = (
        f"items: {power['items']:,} find a difference of {points(power['effect'])} points with a chance of"
        f" {percent(power['power'])}, if {basis};"
    )
    if power["needed"] is not None:
        text += f" {power['needed']:,} would for {percent(power['wanted'])}"
    if power["detectable"] is not None:
        text += f"; with these, {points(power['detectable'])} points is the least that is found so often"
    return text


def _length(request: Request, endpoint: Endpoint | None) -> int:
    if endpoint is None:
        return len(request.prompt_ids)
    size = len(msgspec.json.encode(request.messages)) + (
        len(msgspec.json.encode(request.tools)) if request.tools else 0
    )
    return size // _BYTES_PER_TOKEN


def _cost(
    endpoint: Endpoint | None, prompt_tokens: int, count: int, known: Sequence[Answer], suite: Suite
) -> dict[str, Any] | None:
    if endpoint is None or endpoint.price is None:
        return None
    price = endpoint.price
    expected = price.cost(prompt_tokens, round(count * fmean(a.completion_tokens for a in known))) if known else None
    return {
        "currency": price.currency,
        "as_of": price.as_of.isoformat(),
        "at_most": price.cost(prompt_tokens, count * suite.generation.max_tokens),
        "expected": expected,
    }


def _seconds(endpoint: Endpoint | None, count: int, known: Sequence[Answer], suite: Suite) -> float | None:
    if endpoint is None:
        return None
    each_s = fmean(a.latency_ms for a in known) / 1000 if known else suite.generation.max_tokens / _TOKENS_PER_S
    return count * each_s / suite.running.concurrency


def _local_seconds(contender: Contender, count: int, earlier: ResultRecord | None) -> float | None:
    if not contender.is_local:
        return None
    if not count:
        return 0.0
    for found in earlier.contenders if earlier else ():
        latency = found.latency_ms
        if found.name == contender.name and latency.alone and latency.p50 is not None:
            return count * latency.p50 / 1000
    return None
