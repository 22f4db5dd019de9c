"""Stages one after the other, each row accounted for: what a build does, and a command that runs a stage alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curate.build.human_decisions import Decisions
from curate.build.stage_cache import CachedResult, StageCache
from curate.core.console import progress
from curate.core.manifest import StageCount
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context, Measured, Stage, StageResult


@dataclass
class StagesRun:
    """What the stages have come to so far."""

    rows: RowSelection
    rejections: Rejections
    counts: list[StageCount] = field(default_factory=list)
    """For each stage, the reading first, what `count_stage` says of it."""
    ties: list[dict[str, str]] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    reports: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    repetitions: dict[str, int] = field(default_factory=dict)
    before_composing: RowSelection | None = None
    """The rows before people decided on them and before the first stage that takes out good ones on purpose."""

    def __post_init__(self) -> None:
        if not self.counts:
            read = len(self.rows) + len(self.rejections)
            self.counts.append(count_stage("read", read, StageResult(self.rows, self.rejections)))

    def take_in(self, stage: Stage, result: StageResult) -> None:
        """Go on from what a stage did."""
        self.counts.append(count_stage(stage.name, len(self.rows), result))
        self.rows, self.rejections = result.kept, self.rejections + result.rejections
        self.ties.append(result.ties)
        if isinstance(stage, Decisions) and stage.compared:
            self.conflicts.clear()  # edits may have made some and settled others
        self.conflicts += result.conflicts
        if self.conflicts and len(result.rejections):
            self.conflicts = _still_there(self.conflicts, self.rows)
        if result.report is not None:
            self.reports[stage.name] = result.report
        self.warnings += result.warnings
        self.files |= result.files
        self.measured |= result.measured
        self.repetitions |= result.repetitions


def _still_there(conflicts: Sequence[Sequence[str]], rows: RowSelection) -> list[list[str]]:
    """The conflicts among these rows alone: one of which a single row is left is settled."""
    there = set(rows.take(rows.find({name for names in conflicts for name in names})).ids())
    left = ([name for name in names if name in there] for names in conflicts)
    return [names for names in left if len(names) > 1]


def run_stages(
    run: StagesRun,
    stages: Sequence[Stage],
    context: Context,
    *,
    decisions: Decisions | None = None,
    after_each: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the stages one after the other. What people decided is applied before those that compose.

    `after_each` is called with the name of what is done: `read`, then each stage.
    """
    after_each("read")
    steps = with_decisions(stages, decisions)
    with progress("curate", len(steps)) as advance:
        for stage in steps:
            if (stage.composes or stage is decisions) and run.before_composing is None:
                run.before_composing = run.rows
            result = _result_of(stage, run.rows, context, run.measured, decisions)
            check_account(stage.name, run.rows, result)
            run.take_in(stage, result)
            after_each(stage.name)
            advance(1, stage.name)


def with_decisions(stages: Sequence[Stage], decisions: Decisions | None) -> list[Stage]:
    """The stages with the human decisions after those that look for faults and before those that compose."""
    if decisions is None:
        return list(stages)
    first = next((at for at, stage in enumerate(stages) if stage.composes), len(stages))
    return [*stages[:first], decisions, *stages[first:]]


def _result_of(
    stage: Stage, rows: RowSelection, context: Context, measured: Measured, decisions: Decisions | None
) -> StageResult:
    """What the stage does to the rows: worked out, or kept from an earlier build; then what people overruled of it."""
    cache, key = context.cache, stage.cache_key(context)
    assert cache is None or isinstance(cache, StageCache)
    if cache is None or key is None:
        result = stage.run(rows, context, measured)
    else:
        named = cache.key(stage.name, key.settings, key.kinds)
        known = cache.read(named, CachedResult)
        if known is not None:
            result = known.result(rows, stage.name)
        else:
            result = stage.run(rows, context, measured)
            cache.write(named, CachedResult.of(rows, result))
    if decisions is not None:
        result = decisions.take_back(stage, rows, result, context)
    if cache is not None:
        cache.follow(rows, result.kept)
    return result


def check_account(name: str, rows: RowSelection, result: StageResult) -> None:
    """Raises: RuntimeError where kept and rejected together are not exactly what went in.

    A row that a stage made of another counts for the one that it is derived from.
    """
    rejected = result.rejections.numbers()
    if rejected is not None:
        after = rows.given(np.concatenate([result.kept.numbers, rejected]))
        if np.array_equal(np.sort(after), np.sort(rows.numbers)):
            return
    kept, gone = len(result.kept), len(result.rejections)
    raise RuntimeError(f"stage {name}: {len(rows)} rows went in, {kept} kept and {gone} rejected came out")


def count_stage(name: str, rows_in: int, result: StageResult) -> StageCount:
    """What a manifest says of a stage: rows in, kept, rejected, and why."""
    counts: Counter[str] = Counter()
    for (_, reason), count in result.rejections.reasons().items():
        counts[reason] += count
    return StageCount(
        name=name,
        rows_in=rows_in,
        kept=len(result.kept),
        rejected=len(result.rejections),
        reasons=dict(sorted(counts.items())),
        **result.counts,
    )
