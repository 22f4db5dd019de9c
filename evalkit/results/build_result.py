"""The body of result.json: each contender's scores, how they compare, the ladder verdict, where it all came from."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
import numpy as np

from curate.core.errors import DataError
from curate.core.rows.row import Row
from evalkit.backends.endpoint import Price
from evalkit.records.lines import Generation, Score
from evalkit.records.typed import ABSENT
from evalkit.results.class_table import ClassTable, class_tables
from evalkit.results.compare_contenders import LadderFindings, LadderTerms, conclude, metric
from evalkit.results.contamination import CleanItems, ContaminationRecord, Overlap, PairFigures, held_to_clean
from evalkit.results.economics import Expense, economics
from evalkit.results.ladder import LadderRules, climb_order
from evalkit.results.result_record import (
    AppliedAdapter,
    ConstantAnswerRecord,
    ContenderSection,
    Extremes,
    Latency,
    ResultRecord,
    RetrievalFigures,
    SuiteTerms,
    Tokens,
    TrainingTime,
)
from evalkit.results.score_table import ScoreTable, is_graded, tabulate
from evalkit.results.slices import SliceFigures, find_slices, slice_results
from evalkit.scorers.score_all import ConstantAnswer
from evalkit.stats.arrays import Floats
from evalkit.stats.compare import Comparison, ComparisonTerms, adjust_over, compare_all
from evalkit.suite.chain import ResultChain
from evalkit.suite.contenders import Rung

T = TypeVar("T")

_DECIMALS = 6  # statistics are rounded so that the last bit of another processor's arithmetic changes no byte
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
    retrieval: RetrievalFigures | None = None
    canary: AppliedAdapter | None = None
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
    chain: ResultChain,
    contenders: Sequence[ContenderInfo],
    beside: Beside = NOTHING_BESIDE,
) -> ResultRecord:
    """The record of a result, unsealed.

    Args:
        suite: every setting, as the suite states it; see `SuiteTerms` for those that decide.
        items, generations, scores: what was asked, answered and scored, in any order.
        chain: the digests of what went in.
        contenders: what the record says about each besides its scores.
        beside: what scores are held against.

    Raises: DataError where scores or generations name unknown items or contenders, or the same one twice.
    """
    names = [contender.name for contender in contenders]
    if not contenders or not items or len(set(names)) != len(names):
        raise DataError("a result needs items and contenders, each contender with a name of its own")
    terms = msgspec.convert(suite, SuiteTerms)
    primary = terms.primary
    table = tabulate(items, names, scores, primary)
    answers = _by_contender(items, names, generations)
    clusters = cluster_names(items, terms.cluster)
    level = ComparisonTerms(metric=primary, alpha=terms.alpha, seed=terms.seed, clusters=clusters)
    in_order = [contenders[index] for index in climb_order([contender.rung for contender in contenders])]
    values = {info.name: table.values[primary][info.name] for info in in_order}
    asked = LadderTerms(
        rungs={info.name: info.rung for info in in_order},
        errors={info.name: answers[info.name].error_share for info in in_order},
        level=level,
        rules=_rules(terms, values),
        constant=beside.constant,
    )
    found = conclude(values, asked)
    contamination = _contamination(beside.overlap, values, asked)
    classes = class_tables(scores, level.alpha)
    sections = [
        _contender(info, table, answers[info.name], level, found, classes.get(info.name, ABSENT)) for info in in_order
    ]
    expenses = [_expense(info, section, primary) for info, section in zip(in_order, sections, strict=True)]
    return ResultRecord(
        suite=dict(suite),
        primary=primary,
        ladder=_rounded(held_to_clean(found.ladder, contamination)),
        contenders=_rounded(sections),
        comparisons=_rounded(_declared(terms, table, level, found.comparisons)),
        constant_answer=_rounded(_constant(beside.constant, found)),
        slices=_rounded(_slices(terms, items, values, asked, found)),
        contamination=_rounded(contamination),
        economics=_rounded(economics(expenses, values, clusters, level.alpha)),
        chain=chain,
    )


def _constant(answer: ConstantAnswer | None, found: LadderFindings) -> ConstantAnswerRecord | None:
    if answer is None or found.constant is None:
        return None
    return ConstantAnswerRecord(answer.text, found.constant.name, found.constant.mean, found.constant.against)


def _slices(
    terms: SuiteTerms, items: Sequence[Row], values: Mapping[str, Floats], asked: LadderTerms, found: LadderFindings
) -> list[SliceFigures]:
    """The last step of the ladder on each part of the items."""
    step = found.ladder.steps[-1]
    if step.against is None:
        return []
    slices = find_slices(items, terms.slices, asked.level.clusters)
    return slice_results(slices, values, (step.contender, step.against), asked.level)


def _rules(terms: SuiteTerms, values: Mapping[str, Floats]) -> LadderRules:
    return LadderRules(
        useful=terms.useful_effect,
        alpha=terms.alpha,
        floor=terms.min_quality,
        graded=is_graded(values.values()),
        power=terms.power,
        max_errors=terms.max_errors,
    )


def _contamination(
    overlap: Overlap | None, values: Mapping[str, Floats], asked: LadderTerms
) -> ContaminationRecord | None:
    """What was found, and what the scores come to on the items that no training row gives away."""
    if overlap is None:
        return None
    here = ~overlap.touched
    if here.all() or not here.any():
        return overlap.record
    found = conclude(values, asked, here)
    clean = CleanItems(
        items=int(here.sum()),
        verdict=found.ladder.verdict,
        because=found.ladder.because,
        contenders=dict(found.metrics),
        comparisons=[
            PairFigures(**{key: getattr(one, key) for key in PairFigures.__struct_fields__})
            for one in found.comparisons
        ],
    )
    return msgspec.structs.replace(overlap.record, clean=clean)


def _expense(info: ContenderInfo, section: ContenderSection, primary: str) -> Expense:
    return Expense(
        name=info.name,
        rung=info.rung,
        mean=section.metrics[primary].mean,
        requests=section.answered,
        prompt_tokens=section.tokens.prompt,
        completion_tokens=section.tokens.completion,
        price=info.price,
        training=info.training_cost,
        trained_tokens=info.trained_tokens,
    )


def _declared(
    terms: SuiteTerms, table: ScoreTable, level: ComparisonTerms, comparisons: list[Comparison]
) -> list[Comparison]:
    """The comparisons with those that the suite's family adds on other metrics, adjusted over the family if it has one.

    A claim about a contender that was not asked this time is left out.
    """
    primary = level.metric
    claims = [(claim.a, claim.b, claim.metric or primary) for claim in terms.family]
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
    level: ComparisonTerms,
    found: LadderFindings,
    classes: dict[str, ClassTable],
) -> ContenderSection:
    primary = level.metric
    values = table.values[primary][info.name]
    reasons = table.reasons[primary][info.name]
    latencies = list(info.alone_ms) or answers.latencies_ms
    p50, p95 = np.percentile(latencies, [50, 95]) if latencies else (None, None)
    return ContenderSection(
        name=info.name,
        rung=info.rung,
        description=info.description,
        adapter=info.adapter,
        n=int((~np.isnan(values)).sum()),
        unscored=reasons.total(),
        unscored_reasons=dict(sorted(reasons.most_common(_REASONS_SHOWN))),
        bounds=Extremes(
            float(np.nan_to_num(values, nan=0.0).mean()),
            float(np.nan_to_num(values, nan=1.0).mean()),
        ),
        metrics={
            scorer: found.metrics[info.name]
            if scorer == primary
            else metric(table.values[scorer][info.name], level.clusters, level.alpha)
            for scorer in table.scorers
        },
        latency_ms=Latency(p50, p95, len(latencies), alone=bool(info.alone_ms)),
        tokens=Tokens(answers.prompt_tokens, answers.completion_tokens),
        errors=answers.errors,
        finish_reasons=dict(sorted(answers.finish_reasons.items())),
        canary=info.canary or ABSENT,
        retrieval=info.retrieval or ABSENT,
        environment=ABSENT if info.training_seconds is None else TrainingTime(info.training_seconds),
        classes=classes,
    )


def _rounded(value: T) -> T:
    """The value with all numbers in it rounded."""
    rounded: T = _rounded_deeply(value)
    return rounded


def _rounded_deeply(value: Any) -> Any:
    if isinstance(value, float):
        # + 0.0 turns a negative zero into zero. p-values keep their size, whatever it is.
        return float(f"{value:.{_DECIMALS}g}") if abs(value) < 10**-_DECIMALS else round(float(value), _DECIMALS) + 0.0
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: _rounded_deeply(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, dict):
        return {key: _rounded_deeply(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded_deeply, value))
    return value
