"""The body of result.json: each contender's scores, how they compare, the ladder verdict, where it all came from."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError
from curate.core.rows.row import Row
from evalkit.classes import class_tables
from evalkit.contamination import Overlap, held_to_clean
from evalkit.economics import Expense, economics
from evalkit.endpoint import Price
from evalkit.findings import Asked, Findings, conclude, metric
from evalkit.ladder import Rules, Rung, climb_order
from evalkit.records import Generation, Score
from evalkit.score_table import ScoreTable, is_graded, tabulate
from evalkit.scoring import ConstantAnswer
from evalkit.slices import find_slices, slice_results
from evalkit.stats.compare import Comparison, Level, compare_all
from evalkit.stats.family import adjust_over

Floats = NDArray[np.float64]

SCHEMA = 1
SLICES = ("label", "source", "length", "cluster")
_DECIMALS = 6  # statistics are rounded so that the last bit of another processor's arithmetic changes no byte
_STATISTICS = (
    "ladder",
    "contenders",
    "comparisons",
    "constant_answer",
    "slices",
    "contamination",
    "economics",
)  # the keys whose numbers are rounded
_REASONS_SHOWN = 10  # reasons hold free text; a record lists the frequent ones


@dataclass(frozen=True, slots=True)
class ContenderInfo:
    """What the record says about one contender besides its scores."""

    name: str
    rung: Rung
    description: str = ""
    training_seconds: float | None = None
    adapter: bool = False
    price: Price | None = None
    training_cost: float | None = None
    trained_tokens: int | None = None
    retrieval: Mapping[str, Any] | None = None
    canary: Mapping[str, Any] | None = None
    alone_ms: Sequence[float] = ()
    """Latencies of requests that were asked one at a time."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What scores are held against: one answer given to every item, and the items that the training rows give away."""

    constant: ConstantAnswer | None = None
    overlap: Overlap | None = None


NOTHING_BESIDE = Beside()


def build_result(
    *,
    suite: Mapping[str, Any],
    items: Sequence[Row],
    generations: Sequence[Generation],
    scores: Sequence[Score],
    chain: Mapping[str, Any],
    contenders: Sequence[ContenderInfo],
    beside: Beside = NOTHING_BESIDE,
) -> dict[str, Any]:
    """The body of result.json, unsealed. `suite` holds name, behaviour, primary, useful_effect, alpha, seed, cluster
    and min_quality; `chain` the digests of what went in.

    Raises: DataError where scores or generations name unknown items or contenders, or the same one twice.
    """
    names = [contender.name for contender in contenders]
    if not contenders or not items or len(set(names)) != len(names):
        raise DataError("a result needs items and contenders, each contender with a name of its own")
    primary = str(suite["primary"])
    table = tabulate(items, names, scores, primary)
    answers = _by_contender(items, names, generations)
    clusters = cluster_names(items, suite.get("cluster"))
    level = Level(metric=primary, alpha=float(suite["alpha"]), seed=int(suite["seed"]), clusters=clusters)
    in_order = [contenders[index] for index in climb_order([contender.rung for contender in contenders])]
    values = {info.name: table.values[primary][info.name] for info in in_order}
    asked = Asked(
        rungs={info.name: info.rung for info in in_order},
        errors={info.name: answers[info.name].error_share for info in in_order},
        level=level,
        rules=_rules(suite, values),
        constant=beside.constant,
    )
    found = conclude(values, asked)
    contamination = _contamination(beside.overlap, values, asked)
    classes = class_tables(scores, level.alpha)
    sections = [
        _contender(info, table, answers[info.name], level, found) | classes.get(info.name, {}) for info in in_order
    ]
    body: dict[str, Any] = {
        "kind": "result",
        "schema": SCHEMA,
        "suite": dict(suite),
        "primary": primary,
        "ladder": held_to_clean(found.ladder, contamination).as_dict(),
        "contenders": sections,
        "comparisons": [asdict(one) for one in _declared(suite, table, level, found.comparisons)],
        "constant_answer": {"text": beside.constant.text, **asdict(found.constant)}
        if beside.constant and found.constant
        else None,
        "slices": _slices(suite, items, values, asked, found),
        "contamination": contamination,
        "economics": economics(
            [_expense(info, section, primary) for info, section in zip(in_order, sections, strict=True)],
            values,
            clusters,
            level.alpha,
        ),
        "chain": dict(chain),
    }
    return {key: _rounded(value) if key in _STATISTICS else value for key, value in body.items()}


def _slices(
    suite: Mapping[str, Any], items: Sequence[Row], values: Mapping[str, Floats], asked: Asked, found: Findings
) -> list[dict[str, Any]]:
    """The last step of the ladder on each part of the items."""
    step = found.ladder.steps[-1]
    if step.against is None:
        return []
    slices = find_slices(items, suite.get("slices", SLICES), asked.level.clusters)
    return slice_results(slices, values, (step.contender, step.against), asked.level)


def _rules(suite: Mapping[str, Any], values: Mapping[str, Floats]) -> Rules:
    return Rules(
        useful=float(suite["useful_effect"]),
        alpha=float(suite["alpha"]),
        floor=suite.get("min_quality"),
        graded=is_graded(values.values()),
        power=float(suite.get("power", 0.8)),
        max_errors=float(suite.get("max_errors", 1.0)),
    )


def _contamination(overlap: Overlap | None, values: Mapping[str, Floats], asked: Asked) -> dict[str, Any] | None:
    """What was found, and what the scores come to on the items that no training row gives away."""
    if overlap is None:
        return None
    record: dict[str, Any] = {**overlap.record, "clean": None}
    clean = ~overlap.touched
    if overlap.touched.any() and clean.any():
        found = conclude(values, asked, clean)
        record["clean"] = {
            "items": int(clean.sum()),
            "verdict": found.ladder.verdict,
            "because": found.ladder.because,
            "contenders": dict(found.metrics),
            "comparisons": [
                {key: getattr(one, key) for key in ("a", "b", "metric", "difference", "low", "high", "p", "n")}
                for one in found.comparisons
            ],
        }
    return record


def _expense(info: ContenderInfo, section: Mapping[str, Any], primary: str) -> Expense:
    return Expense(
        name=info.name,
        rung=info.rung,
        mean=section["metrics"][primary]["mean"],
        requests=sum(section["finish_reasons"].values()) - section["errors"],
        prompt_tokens=section["tokens"]["prompt"],
        completion_tokens=section["tokens"]["completion"],
        price=info.price,
        training=info.training_cost,
        training_seconds=info.training_seconds,
        trained_tokens=info.trained_tokens,
    )


def _declared(
    suite: Mapping[str, Any], table: ScoreTable, level: Level, comparisons: list[Comparison]
) -> list[Comparison]:
    """The comparisons with those that the suite's family adds on other metrics, adjusted over the family if it has one.

    A claim about a contender that was not asked this time is left out.
    """
    primary = level.metric
    claims = [(claim["a"], claim["b"], claim.get("metric") or primary) for claim in suite.get("family", ())]
    claims = [claim for claim in claims if claim[0] in table.values[primary] and claim[1] in table.values[primary]]
    if not claims:
        return comparisons
    there = {(one.a, one.b, one.metric) for one in comparisons}
    added = [
        compare_all(table.values[metric], [(a, b)], replace(level, metric=metric))[0]
        for a, b, metric in dict.fromkeys(claims)
        if (a, b, metric) not in there
    ]
    return adjust_over([*comparisons, *added], set(claims))


def cluster_names(items: Sequence[Row], field: str | None) -> list[str] | None:
    """The cluster of each item: the value of this field of the row; an item without one is a cluster of its own."""
    if field is None:
        return None
    # Named by position, an item that stands alone can't meet a cluster whose name is its id.
    found = (getattr(item, field, None) for item in items)
    return [f"={value}" if value is not None else f"#{index}" for index, value in enumerate(found)]


@dataclass(slots=True)
class _Tally:
    """What one contender's answers took and how they ended. Units: tokens, milliseconds."""

    finish_reasons: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latencies_ms: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, answer: Generation) -> None:
        self.finish_reasons[answer.finish_reason] += 1
        self.errors += answer.error is not None
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        if answer.error is None and answer.latency_ms:
            self.latencies_ms.append(answer.latency_ms)

    @property
    def error_share(self) -> float:
        return self.errors / self.finish_reasons.total() if self.finish_reasons else 0.0


def _by_contender(items: Sequence[Row], names: Sequence[str], generations: Sequence[Generation]) -> dict[str, _Tally]:
    known = {item.id for item in items}
    answers = {name: _Tally() for name in names}
    for generation in generations:
        if generation.item not in known or generation.contender not in answers:
            raise DataError(
                "an answer for an item or a contender that is not in this run",
                where=f"{generation.item} / {generation.contender}",
                fix="run the evaluation again",
            )
        answers[generation.contender].add(generation)
    return answers


def _contender(
    info: ContenderInfo,
    table: ScoreTable,
    answers: _Tally,
    level: Level,
    found: Findings,
) -> dict[str, Any]:
    primary = level.metric
    values = table.values[primary][info.name]
    reasons = table.reasons[primary][info.name]
    latencies = list(info.alone_ms) or answers.latencies_ms
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
        "metrics": {
            scorer: found.metrics[info.name]
            if scorer == primary
            else metric(table.values[scorer][info.name], level.clusters, level.alpha)
            for scorer in table.scorers
        },
        # `alone`: one request at a time; else while others were in flight, or as recorded.
        "latency_ms": {"p50": p50, "p95": p95, "n": len(latencies), "alone": bool(info.alone_ms)},
        "tokens": {"prompt": answers.prompt_tokens, "completion": answers.completion_tokens},
        "errors": answers.errors,
        "finish_reasons": dict(sorted(answers.finish_reasons.items())),
    }
    if info.canary is not None:
        section["canary"] = dict(info.canary)
    if info.retrieval is not None:
        section["retrieval"] = dict(info.retrieval)
    if info.training_seconds is not None:
        section["environment"] = {"training_seconds": info.training_seconds}
    return section


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        # + 0.0 turns a negative zero into zero. p-values keep their size, whatever it is.
        return float(f"{value:.{_DECIMALS}g}") if abs(value) < 10**-_DECIMALS else round(float(value), _DECIMALS) + 0.0
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
