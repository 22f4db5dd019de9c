"""What each rule of a gate comes to: pass, fail, or inconclusive, and why."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from curate.core.digests import digest_file
from curate.core.errors import AcidtestError
from curate.core.paths import find_path
from evalkit.gate import rules as kinds
from evalkit.gate.bounds import (
    RuleBounds,
    corrected_bounds,
    decide,
    difference_bounds,
    items_to_decide,
    mean_bounds,
)
from evalkit.gate.evidence import Evidence
from evalkit.gate.traits import Trait, in_common, slices
from evalkit.gate.verdict_file import GateOutcome
from evalkit.judge.card import STATES, VOTES
from evalkit.stats.arrays import Floats, Mask
from evalkit.stats.corrected import corrected_difference, corrected_mean
from evalkit.stats.in_words import percent, points
from evalkit.stats.interval import among

_SHOWN = 50  # broken items that a verdict names


class RuleOutcome(msgspec.Struct, frozen=True):
    """One rule's outcome. Bounds are one-sided; `broke` are the items on which the contender is worse or fails."""

    name: str
    rule: str
    outcome: GateOutcome
    because: str
    metric: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    missing: int | None = None
    items_to_decide: int | None = None
    broke: tuple[str, ...] = ()
    slices: tuple[Trait, ...] = ()
    in_common: tuple[Trait, ...] = ()


def find(rule: kinds.GateRule, evidence: Evidence) -> RuleOutcome:
    """The rule's outcome. What can't be measured is inconclusive, never a pass."""
    name = rule.name or _name(rule)
    try:
        finding = _FINDERS[type(rule)](rule, evidence)
    except AcidtestError as error:
        finding = _open(f"{error.what} ({error.where})" if error.where else error.what)
    return msgspec.structs.replace(finding, name=name, rule=rule.rule, metric=getattr(rule, "metric", None))


def _open(because: str) -> RuleOutcome:
    return RuleOutcome("", "", "inconclusive", because)


def _name(rule: kinds.GateRule) -> str:
    parts = [rule.rule, getattr(rule, "metric", "")]
    parts += [f"{field} {value}" for field, value in getattr(rule, "where", {}).items()]
    return " ".join(filter(None, parts))


def _compare(rule: kinds.Superior | kinds.NonInferior, evidence: Evidence) -> RuleOutcome:
    ours = evidence.values(rule.metric)
    theirs = evidence.baseline_values(rule.metric) if rule.than is None else evidence.values(rule.metric, rule.than)
    if isinstance(ours, str) or isinstance(theirs, str):
        return _open(ours if isinstance(ours, str) else str(theirs))
    mask = evidence.mask(rule.where)
    if not mask.any():
        return _open("no item has these values")
    limit = _limit(rule, evidence)
    if limit is None:
        return _open("neither the rule nor the suite names a margin: run the suite again")
    bounds = _difference(rule, evidence, ours[mask], theirs[mask], mask)
    if isinstance(bounds, str):
        return _open(bounds)
    loss_below = max(rule.by, 0.0) if isinstance(rule, kinds.Superior) else 0.0
    outcome = decide(bounds, limit, loss_below)
    wanted = (
        f"better by more than {_plain(rule.by)}" if rule.rule == "superior" else f"worse by less than {_plain(limit)}"
    )
    changes = np.nan_to_num(ours - theirs, nan=0.0) * mask
    finding = _finding(
        bounds, outcome, f"{_difference_in_words(bounds)}; wanted: {wanted} points", limit, loss_below, evidence
    )
    return _with_broken(finding, rule.metric, evidence, changes)


def _limit(rule: kinds.Superior | kinds.NonInferior, evidence: Evidence) -> float | None:
    """The difference that has to be exceeded."""
    if isinstance(rule, kinds.Superior):
        return rule.by
    margin = evidence.margin if rule.margin is None else rule.margin
    return None if margin is None else -margin


def _difference(
    rule: kinds.Superior | kinds.NonInferior, evidence: Evidence, ours: Floats, theirs: Floats, mask: Mask
) -> RuleBounds | str:
    clusters = _clusters(evidence, mask)
    alpha = evidence.rules.alpha
    standing = evidence.judge(rule.metric)
    if standing is None:
        return difference_bounds(ours, theirs, clusters, alpha)
    other = standing if rule.than else evidence.baseline_judge(rule.metric)
    if standing.state == other.state == "voting":
        return difference_bounds(ours, theirs, clusters, alpha)
    for one in (standing, other):
        if one.state not in VOTES or one.labels is None:
            return one.because if one.state not in VOTES else f"{one.because}, and has no labels to be corrected by"
    their_name = rule.than or evidence.rules.baseline or evidence.rules.contender
    labels = [
        evidence.labelled(rule.metric, name, one.labels)[mask]
        for name, one in ((evidence.rules.contender, standing), (their_name, other))
        if one.labels
    ]
    found = corrected_difference((ours, labels[0]), (theirs, labels[1]), clusters, 2 * alpha)
    return corrected_bounds(found, ours.size) if found else "too few of these items have labels of both contenders"


def _level(rule: kinds.AtLeast | kinds.AtMost, evidence: Evidence) -> RuleOutcome:
    values = evidence.values(rule.metric)
    if isinstance(values, str):
        return _open(values)
    mask = evidence.mask(rule.where)
    if not mask.any():
        return _open("no item has these values")
    bounds = _mean(rule.metric, evidence, values[mask], mask)
    if isinstance(bounds, str):
        return _open(bounds)
    least = rule.rule == "at-least"
    # At most 3 % wrong is at least 97 % right: one way of deciding for both.
    turned = bounds if least else _turned(bounds)
    limit = rule.value if least else 1 - rule.value
    outcome = decide(turned, limit, limit)
    wanted = f"at {'least' if least else 'most'} {percent(rule.value)}"
    finding = _finding(turned, outcome, f"{_mean_in_words(bounds)}; wanted: {wanted}", limit, limit, evidence)
    finding = msgspec.structs.replace(finding, estimate=bounds.estimate, low=bounds.low, high=bounds.high)
    full = 1.0 if least else 0.0
    changes = -np.abs(np.nan_to_num(values, nan=full) - full) * mask
    return _with_broken(finding, rule.metric, evidence, changes)


def _mean(metric: str, evidence: Evidence, values: Floats, mask: Mask) -> RuleBounds | str:
    clusters, alpha = _clusters(evidence, mask), evidence.rules.alpha
    standing = evidence.judge(metric)
    if standing is None or standing.state == "voting":
        return mean_bounds(values, clusters, alpha)
    if standing.state != "voting-corrected" or standing.labels is None:
        return standing.because
    labels = evidence.labelled(metric, evidence.rules.contender, standing.labels)[mask]
    found = corrected_mean(values, labels, clusters, 2 * alpha)
    return corrected_bounds(found, values.size) if found else "too few of these items have labels"


def _must_pass(rule: kinds.MustPass, evidence: Evidence) -> RuleOutcome:
    values = evidence.values(rule.metric)
    if isinstance(values, str):
        return _open(values)
    if evidence.judge(rule.metric) is not None:
        return _open("must-pass is for checks that are always right, and a judge is not")
    mask = evidence.mask(rule.where)
    if rule.items is not None:
        ids = [item.id for item in evidence.items]
        absent = sorted(set(rule.items) - set(ids))
        if absent:
            return _open(f"{len(absent)} of the named items were not asked: {', '.join(absent[:5])}")
        mask &= np.isin(ids, rule.items)
    if not mask.any():
        return _open("no item has these values")
    unscored = int(np.isnan(values[mask]).sum())
    changes = np.where(mask & (values < 1), values - 1, 0.0)
    broke = int((changes < 0).sum())
    n = int(mask.sum())
    if broke:
        finding = RuleOutcome("", "", "fail", f"{broke} of {n} broke", n=n, missing=unscored)
        return _with_broken(finding, rule.metric, evidence, changes)
    if unscored:
        return msgspec.structs.replace(_open(f"{unscored} of {n} have no score"), n=n, missing=unscored)
    return RuleOutcome("", "", "pass", f"all {n} pass", n=n, missing=0)


def _judge_card(rule: kinds.JudgeCard, evidence: Evidence) -> RuleOutcome:
    standing = evidence.judge(rule.metric)
    if standing is None:
        return _open(f"no judge measured {rule.metric}")
    if STATES.index(standing.state) < STATES.index(rule.state):
        return _open(f"{standing.because}; wanted: {rule.state}")
    canaries = evidence.ours.judges[rule.metric].canaries
    if canaries and canaries.rate is not None:
        raised = f"{canaries.raised} of {canaries.decided} canaries raised a grade"
        if canaries.rate > rule.canaries:
            return RuleOutcome("", "", "fail", f"{raised}: {', '.join(canaries.disguises)}")
        return RuleOutcome("", "", "pass", f"{standing.because}; {raised}")
    return RuleOutcome("", "", "pass", f"{standing.because}; canaries were not tried")


def _contamination(rule: kinds.Contamination, evidence: Evidence) -> RuleOutcome:
    result = evidence.ours.results.result
    if rule.train is not None:
        path = find_path(rule.train, evidence.folder)
        if not path.is_file():
            return _open(f"the training rows are not here ({path})")
        if digest_file(path) != result.chain.dataset.train:
            return _open(f"{path} is not what the results were compared with")
    found = result.contamination
    if found is None:
        return _open("the items were not looked for in the training rows: the suite names none, or turned it off")
    because = f"{found.touched} of {found.items} items are given away by the {found.train_rows} training rows"
    because += f"; wanted: {percent(rule.at_most)} at most"
    outcome: GateOutcome = "pass" if found.touched <= rule.at_most * found.items else "fail"
    items = dict.fromkeys(one.item for one in found.finds)
    return RuleOutcome("", "", outcome, because, n=found.items, broke=tuple(items)[:_SHOWN])


def _budget(rule: kinds.TokenBudget, evidence: Evidence) -> RuleOutcome:
    answers = [one for one in evidence.ours.answers[evidence.rules.contender] if one.error is None]
    if not answers:
        return _open("there are no answers to count")
    parts, within = [], True
    for name in ("prompt_tokens", "completion_tokens"):
        limit = getattr(rule, name)
        if limit is not None:
            mean = sum(getattr(one, name) for one in answers) / len(answers)
            within &= mean <= limit
            parts.append(f"{mean:,.0f} {name.replace('_', ' ')} an answer, wanted: {limit:,.0f} at most")
    return RuleOutcome("", "", "pass" if within else "fail", "; ".join(parts), n=len(answers))


def _latency(rule: kinds.Latency, evidence: Evidence) -> RuleOutcome:
    answers = evidence.ours.answers[evidence.rules.contender]
    # An answer that never came was not in time.
    in_time = np.array([float(one.error is None and one.latency_ms <= rule.at_most_ms) for one in answers])
    bounds = mean_bounds(in_time, None, evidence.rules.alpha)
    outcome = decide(bounds, rule.share, rule.share)
    because = (
        f"{percent(bounds.estimate or 0)} of {bounds.n} answers within {rule.at_most_ms:,.0f} ms, at least "
        f"{percent(bounds.low)} with confidence; wanted: {percent(rule.share)}"
    )
    return _finding(bounds, outcome, because, rule.share, rule.share, evidence)


_FINDERS: Mapping[type[Any], Callable[[Any, Evidence], RuleOutcome]] = {
    kinds.Superior: _compare,
    kinds.NonInferior: _compare,
    kinds.AtLeast: _level,
    kinds.AtMost: _level,
    kinds.MustPass: _must_pass,
    kinds.JudgeCard: _judge_card,
    kinds.Contamination: _contamination,
    kinds.TokenBudget: _budget,
    kinds.Latency: _latency,
}


def _finding(
    bounds: RuleBounds, outcome: GateOutcome, because: str, limit: float, loss_below: float, evidence: Evidence
) -> RuleOutcome:
    items = None
    if outcome == "inconclusive":
        items = items_to_decide(bounds, limit, loss_below, evidence.rules.alpha)
        because += f"; about {items:,} items would decide it, there are {bounds.n:,}" if items else ""
    return RuleOutcome(
        "",
        "",
        outcome,
        because,
        estimate=bounds.estimate,
        low=bounds.low,
        high=bounds.high,
        n=bounds.n,
        missing=bounds.missing,
        items_to_decide=items,
    )


def _with_broken(finding: RuleOutcome, metric: str, evidence: Evidence, changes: Floats) -> RuleOutcome:
    """The finding with the items that broke, the slices that cost most, and what these items have in common."""
    broken = changes < 0
    if finding.outcome == "pass" or not broken.any():
        return finding
    name = evidence.rules.contender
    answers = {one.item: one for one in evidence.ours.answers[name] if not one.repeat}
    scores = {one.item: one for one in evidence.ours.results.scores if (one.contender, one.scorer) == (name, metric)}
    items = evidence.items
    return msgspec.structs.replace(
        finding,
        broke=tuple(item.id for item, lost in zip(items, broken, strict=True) if lost)[:_SHOWN],
        slices=tuple(slices(items, changes)),
        in_common=tuple(in_common(items, broken, answers, scores)),
    )


def _clusters(evidence: Evidence, mask: Mask) -> list[str] | None:
    return among(evidence.clusters(), mask)


def _turned(bounds: RuleBounds) -> RuleBounds:
    estimate = None if bounds.estimate is None else 1 - bounds.estimate
    return replace(bounds, estimate=estimate, low=1 - bounds.high, high=1 - bounds.low)


def _plain(difference: float) -> str:
    """A size in points, without a sign."""
    return points(abs(difference)).lstrip("+")


def _difference_in_words(bounds: RuleBounds) -> str:
    if bounds.estimate is None:
        return f"none of {bounds.n} items has a score of both"
    return (
        f"{points(bounds.estimate)} points on {bounds.n} items, at least {points(bounds.low)} and at most "
        f"{points(bounds.high)}{_missing(bounds)}"
    )


def _mean_in_words(bounds: RuleBounds) -> str:
    if bounds.estimate is None:
        return f"none of {bounds.n} items has a score"
    return (
        f"{percent(bounds.estimate)} of {bounds.n} items, at least {percent(bounds.low)} and at most "
        f"{percent(bounds.high)}{_missing(bounds)}"
    )


def _missing(bounds: RuleBounds) -> str:
    method = f" ({bounds.method})" if bounds.method.startswith("judge") else ""
    return method + (f", {bounds.missing} without a score counted against it" if bounds.missing else "")
