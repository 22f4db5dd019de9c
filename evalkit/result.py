"""The body of result.json: each contender's scores, how they compare, the ladder verdict, where it all came from."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError
from curate.core.rows import Row
from curate.core.visible import visible
from evalkit.ladder import Constant, Rules, Rung, Standing, climb_order, decide
from evalkit.records import Generation, Score
from evalkit.scoring import ConstantAnswer
from evalkit.stats.compare import Level, compare_all
from evalkit.stats.interval import is_binary, mean_interval

Floats = NDArray[np.float64]

SCHEMA = 1
_CONSTANT = "(constant answer)"  # in brackets: no contender is called so
_DECIMALS = 6  # statistics are rounded so that the last bit of another processor's arithmetic changes no byte
_SHOWN_ANSWER = 60  # characters of an answer inside a sentence
_STATISTICS = ("ladder", "contenders", "comparisons", "constant_answer")  # the keys whose numbers are rounded
_REASONS_SHOWN = 10  # reasons hold free text; a record lists the frequent ones


@dataclass(frozen=True, slots=True)
class ContenderInfo:
    """What the record says about one contender besides its scores."""

    name: str
    rung: Rung
    description: str = ""
    training_seconds: float | None = None
    adapter: bool = False


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores by scorer and contender, aligned with the items; NaN where unscored, with the reasons counted."""

    scorers: tuple[str, ...]
    values: Mapping[str, Mapping[str, Floats]]
    reasons: Mapping[str, Mapping[str, Counter[str]]]


def build_result(
    *,
    suite: Mapping[str, Any],
    items: Sequence[Row],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    chain: Mapping[str, Any],
    contenders: Sequence[ContenderInfo],
    constant: ConstantAnswer | None = None,
) -> dict[str, Any]:
    """The body of result.json, unsealed. `suite` holds name, behaviour, primary, useful_effect, alpha, seed, cluster
    and min_quality; `chain` the digests of what went in; `constant` what one answer for every item reaches.

    Raises: DataError where scores or generations name unknown items or contenders, or the same one twice.
    """
    names = [contender.name for contender in contenders]
    if not contenders or not items or len(set(names)) != len(names):
        raise DataError("a result needs items and contenders, each contender with a name of its own")
    primary = str(suite["primary"])
    alpha = float(suite["alpha"])
    table = tabulate(items, names, scores, primary)
    answers = _by_contender(items, names, generations)
    clusters = cluster_names(items, suite.get("cluster"))
    ladder_order = [contenders[index] for index in climb_order([contender.rung for contender in contenders])]

    sections = {
        contender.name: _contender(contender, table, answers[contender.name], clusters, (primary, alpha))
        for contender in ladder_order
    }
    in_order = [contender.name for contender in ladder_order]
    pairs = [(a, b) for position, a in enumerate(in_order) for b in in_order[:position]]
    level = Level(metric=primary, alpha=alpha, seed=int(suite["seed"]), clusters=clusters)
    comparisons = compare_all(table.values[primary], pairs, level)
    standings = [_standing(contender, sections[contender.name], primary) for contender in ladder_order]
    rules = Rules(
        useful=float(suite["useful_effect"]),
        alpha=alpha,
        floor=suite.get("min_quality"),
        graded=_is_graded(table.values[primary].values()),
        max_errors=float(suite.get("max_errors", 1.0)),
    )
    floor = _constant(constant, table.values[primary], level) if constant else None
    body: dict[str, Any] = {
        "kind": "result",
        "schema": SCHEMA,
        "suite": dict(suite),
        "primary": primary,
        "ladder": decide(standings, comparisons, rules, floor).as_dict(),
        "contenders": list(sections.values()),
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "constant_answer": {"text": constant.text, **asdict(floor)} if constant and floor else None,
        "chain": dict(chain),
    }
    rounded: dict[str, Any] = {key: _rounded(value) if key in _STATISTICS else value for key, value in body.items()}
    return rounded


def _constant(answer: ConstantAnswer, values: Mapping[str, Floats], level: Level) -> Constant:
    scores = np.array([np.nan if value is None else value for value in answer.values])
    pairs = [(name, _CONSTANT) for name in values]
    against = compare_all({**values, _CONSTANT: scores}, pairs, level)
    return Constant(visible(answer.text, _SHOWN_ANSWER), float(np.nanmean(scores)), tuple(against))


def tabulate(items: Sequence[Row], contenders: Sequence[str], scores: Sequence[Score], primary: str) -> ScoreTable:
    """The scores as arrays; an item's is the mean over its repeats that have one.

    A value outside [0, 1] is unscored, and so is an item that has no score at all.

    Raises: DataError for unknown items or contenders, or two scores for the same answer by one scorer.
    """
    place = {item.id: index for index, item in enumerate(items)}
    if len(place) != len(items):
        raise DataError("two items have the same id", fix="give every item an id of its own")
    scorers = tuple(dict.fromkeys([primary, *(score.scorer for score in scores)]))
    values = {scorer: {name: np.full(len(items), np.nan) for name in contenders} for scorer in scorers}
    counts = {scorer: {name: np.zeros(len(items)) for name in contenders} for scorer in scorers}
    unscored: dict[tuple[str, str, int], str] = {}
    seen: set[tuple[str, str, str, int]] = set()
    for score in scores:
        key = (score.item, score.contender, score.scorer, score.repeat)
        if score.item not in place or score.contender not in values[primary] or key in seen:
            fault = "given twice" if key in seen else "for an item or a contender that is not in this run"
            raise DataError(f"a score {fault}", where=" / ".join(key[:3]), fix="run the evaluation again")
        seen.add(key)
        at = place[score.item]
        reason = score.unscored or _fault(score.value)
        if reason is None and score.value is not None:
            count = counts[score.scorer][score.contender]
            before = values[score.scorer][score.contender][at] * count[at] if count[at] else 0.0
            count[at] += 1
            values[score.scorer][score.contender][at] = (before + score.value) / count[at]
        else:
            unscored.setdefault((score.scorer, score.contender, at), reason or "no value")
    reasons: dict[str, dict[str, Counter[str]]] = {
        scorer: {name: Counter() for name in contenders} for scorer in scorers
    }
    for (scorer, name, at), why in unscored.items():
        if not counts[scorer][name][at]:
            reasons[scorer][name][why] += 1
    for name in contenders:
        missing = int(np.isnan(values[primary][name]).sum()) - reasons[primary][name].total()
        if missing:
            reasons[primary][name]["no score"] += missing
    return ScoreTable(scorers, values, reasons)


def cluster_names(items: Sequence[Row], field: str | None) -> list[str] | None:
    """The cluster of each item: the value of this field of the row; an item without one is a cluster of its own."""
    if field is None:
        return None
    # Named by position, an item that stands alone can't meet a cluster whose name is its id.
    found = (getattr(item, field, None) for item in items)
    return [f"={value}" if value is not None else f"#{index}" for index, value in enumerate(found)]


def _fault(value: float | None) -> str | None:
    if value is None:
        return "no value"
    return None if math.isfinite(value) and 0 <= value <= 1 else "a score outside 0 to 1"


def _is_graded(arrays: Iterable[Floats]) -> bool:
    return any(not is_binary(array[~np.isnan(array)]) for array in arrays)


def _by_contender(
    items: Sequence[Row], names: Sequence[str], generations: Sequence[Generation]
) -> dict[str, list[Generation]]:
    known = {item.id for item in items}
    answers: dict[str, list[Generation]] = {name: [] for name in names}
    for generation in generations:
        if generation.item not in known or generation.contender not in answers:
            raise DataError(
                "an answer for an item or a contender that is not in this run",
                where=f"{generation.item} / {generation.contender}",
                fix="run the evaluation again",
            )
        answers[generation.contender].append(generation)
    return answers


def _contender(
    info: ContenderInfo,
    table: ScoreTable,
    answers: Sequence[Generation],
    clusters: list[str] | None,
    measure: tuple[str, float],
) -> dict[str, Any]:
    primary, alpha = measure
    values = table.values[primary][info.name]
    reasons = table.reasons[primary][info.name]
    latencies = [answer.latency_ms for answer in answers if answer.error is None]
    p50, p95 = np.percentile(latencies, [50, 95]) if latencies else (None, None)
    section: dict[str, Any] = {
        "name": info.name,
        "rung": info.rung,
        "description": info.description,
        "adapter": info.adapter,
        "n": int((~np.isnan(values)).sum()),
        "unscored": reasons.total(),
        "unscored_reasons": dict(sorted(reasons.most_common(_REASONS_SHOWN))),
        # The primary metric's mean if every missing score were 0, and if it were 1.
        "bounds": {
            "worst": float(np.nan_to_num(values, nan=0.0).mean()),
            "best": float(np.nan_to_num(values, nan=1.0).mean()),
        },
        "metrics": {scorer: _metric(table.values[scorer][info.name], clusters, alpha) for scorer in table.scorers},
        "latency_ms": {"p50": p50, "p95": p95},
        "tokens": {
            "prompt": sum(answer.prompt_tokens for answer in answers),
            "completion": sum(answer.completion_tokens for answer in answers),
        },
        "errors": sum(answer.error is not None for answer in answers),
        "finish_reasons": dict(sorted(Counter(answer.finish_reason for answer in answers).items())),
    }
    if info.training_seconds is not None:
        section["environment"] = {"training_seconds": info.training_seconds}
    return section


def _metric(values: Floats, clusters: list[str] | None, alpha: float) -> dict[str, Any]:
    scored = ~np.isnan(values)
    kept = None if clusters is None else [name for name, is_scored in zip(clusters, scored, strict=True) if is_scored]
    count = int(scored.sum())
    if not count:
        return {"mean": None, "low": 0.0, "high": 1.0, "n": 0}
    interval = mean_interval(values[scored], kept, alpha)
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high, "n": count}


def _standing(info: ContenderInfo, section: Mapping[str, Any], primary: str) -> Standing:
    metric = section["metrics"][primary]
    mean = metric["mean"] if metric["mean"] is not None else 0.0
    answers = sum(section["finish_reasons"].values())
    errors = section["errors"] / answers if answers else 0.0
    return Standing(info.name, info.rung, mean, metric["low"], metric["high"], metric["n"], errors)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        # + 0.0 turns a negative zero into zero. p-values keep their size, whatever it is.
        return float(f"{value:.{_DECIMALS}g}") if abs(value) < 10**-_DECIMALS else round(float(value), _DECIMALS) + 0.0
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
