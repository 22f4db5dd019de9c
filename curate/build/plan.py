"""The stages of a build in their order, each as a step: rows in, rows and rejections out, and what it has to tell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from curate.recipe.balance_mix import Balance, BalanceRule
from curate.recipe.recipe import Recipe
from curate.table.class_of_row import Columns
from curate.table.row_ref import Context, Entry, Outcome, Rows, Stage

# Steps that take out good rows on purpose: what they leave is no sign that something is wrong.
COMPOSING = frozenset({"balance", "mix"})
# Steps whose rejections repeat another row, and say which.
DUPLICATES = ("exact", "index", "near", "semantic")


@dataclass(frozen=True, slots=True)
class Done:
    """What a step did. `report` goes into the manifest, `files` beside the dataset: name -> content.

    `columns` are values by row id for later steps; `times` says which rows training sees more than once.
    """

    outcome: Outcome
    report: Any = None
    warnings: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage by its name, ready to run on rows and on the columns of earlier steps.

    Where it costs something and only takes rows out, `depends` is what it depends on beside the rows: its settings, and
    the kinds of its input files. Then what it decided is kept for later builds.
    """

    name: str
    run: Callable[[Sequence[Entry], Context, Columns], Done]
    depends: Callable[[Context], tuple[object, frozenset[str]]] | None = None


def run_step(step: Step, entries: Sequence[Entry], context: Context, columns: Columns) -> Done:
    """What the step does to the rows: worked out, or kept from an earlier build; then what people overruled of it."""
    kept = context.kept
    if kept is None or step.depends is None:
        done = step.run(entries, context, columns)
    else:
        from curate.build.stage_cache import Decided

        key = kept.key(step.name, *step.depends(context))
        decided = kept.read(key, Decided)
        if decided is not None:
            done = Done(decided.outcome(entries, step.name), decided.report, decided.warnings, decided.files)
        else:
            done = step.run(entries, context, columns)
            kept.write(key, Decided.of(entries, done.outcome, done.report, done.warnings, done.files))
    if context.decisions is not None:
        done = context.decisions.take_back(step.name, entries, done, context)
    if kept is not None:
        kept.follow(entries, done.outcome.kept)
    return done


def make_steps(recipe: Recipe, folder: Path) -> list[Step]:
    """The steps that the recipe asks for; its paths start at `folder`."""
    # Imported here, because numba and jsonschema take a second to load and `--help` must not.
    from curate.dedup import earlier_index as known
    from curate.dedup import exact, near
    from curate.validate import stage as validate

    steps = [_plain(validate.STAGE, validate.validate), _plain(exact.STAGE, exact.drop_exact)]
    if wants_screens(recipe):
        steps.append(_screen_step())
    if recipe.decontaminate is not None:
        steps.append(_decontaminate_step())
    if known.names_index(recipe.dedup, folder):
        steps.append(_plain(known.STAGE, known.drop_known, _duplicates_depend_on("index")))
    steps.append(_plain(near.STAGE, near.drop_near, _duplicates_depend_on("against", "adapter", "join")))
    if recipe.dedup is not None and recipe.dedup.semantic is not None:
        from curate.dedup import semantic as meaning

        steps.append(_plain(meaning.STAGE, meaning.drop_same_meaning, _meaning_depends))
    if recipe.balance is not None:
        steps.append(_balance_step(recipe.balance))
    if recipe.mix is not None:
        steps.append(_mix_step())
    return steps


def wants_screens(recipe: Recipe) -> bool:
    """Does the recipe name any screen?"""
    return any(getattr(recipe.screens, name) for name in type(recipe.screens).model_fields)


def _plain(name: str, stage: Stage, depends: Callable[[Context], tuple[object, frozenset[str]]] | None = None) -> Step:
    return Step(name, lambda entries, context, _: Done(stage(entries, context)), depends)


def _duplicates_depend_on(*kinds: str) -> Callable[[Context], tuple[object, frozenset[str]]]:
    def depends(context: Context) -> tuple[object, frozenset[str]]:
        recipe = context.recipe
        dedup = recipe.dedup.model_dump(mode="json", by_alias=True, exclude={"semantic"}) if recipe.dedup else None
        return [dedup, recipe.seed], frozenset(kinds)

    return depends


def _meaning_depends(context: Context) -> tuple[object, frozenset[str]]:
    from curate.core.text.embedding import find_embedder

    dedup = context.recipe.dedup
    assert dedup is not None
    assert dedup.semantic is not None
    settings = [dedup.on, dedup.prefer, dedup.newest_by, dedup.score_by, dedup.semantic.threshold]
    return [*settings, find_embedder(dedup.semantic.embedder, context.folder).digest], frozenset()


def _suites_depends(context: Context) -> tuple[object, frozenset[str]]:
    from curate.core.text.embedding import find_embedder

    settings = context.recipe.decontaminate
    assert settings is not None
    embedder = find_embedder(settings.paraphrases.embedder, context.folder).digest if settings.paraphrases else None
    return [settings.model_dump(mode="json", by_alias=True), embedder], frozenset({"suite"})


def _screen_step() -> Step:
    from curate.screen import stage

    def run(entries: Sequence[Entry], context: Context, _: Columns) -> Done:
        side_folder = None if context.kept is None else context.kept.screens
        screened = stage.screen(
            entries, context.recipe.screens, context.folder, side_folder=side_folder, threads=context.threads
        )
        ids = screened.columns["id"].to_list()
        columns = {
            name: dict(zip(ids, screened.columns[name].to_list(), strict=True))
            for name in screened.columns.columns
            if name != "id"
        }
        return Done(screened.outcome, msgspec.to_builtins(screened.summaries), columns=columns)

    return Step(stage.STAGE, run)


def _decontaminate_step() -> Step:
    from curate.core.text.leaks.evidence import EVIDENCE_FILE, TOUCHED_FILE
    from curate.decontaminate import stage

    def run(entries: Sequence[Entry], context: Context, _: Columns) -> Done:
        settings = context.recipe.decontaminate
        assert settings is not None
        outcome, findings = stage.decontaminate(entries, settings, folder=context.folder, threads=context.threads)
        warnings = [f"{len(suite.unreadable)} items of {suite.name} can't be read" for suite in findings.suites
                    if suite.unreadable]  # fmt: skip
        files = {EVIDENCE_FILE: _lines(findings.evidence), TOUCHED_FILE: _lines(findings.touched)}
        return Done(outcome, findings.summary(settings), warnings, files)

    return Step(stage.STAGE, run, _suites_depends)


def _balance_step(settings: Balance) -> Step:
    from curate.compose.balance import STAGE, balance_rows

    def run(entries: Sequence[Entry], context: Context, columns: Columns) -> Done:
        if any(_counts_tokens(rule) for rule in settings.rules):
            columns = {**columns, "tokens": count_tokens(entries, context, STAGE)}
        balanced = balance_rows(entries, settings, context.recipe.seed, columns)
        return Done(balanced.outcome, msgspec.to_builtins(balanced.report), balanced.report.warnings)

    return Step(STAGE, run)


def _mix_step() -> Step:
    from curate.compose.mix import STAGE, mix_rows

    def run(entries: Sequence[Entry], context: Context, _: Columns) -> Done:
        settings = context.recipe.mix
        assert settings is not None
        wants_tokens = settings.unit == "tokens" and context.recipe.base is not None
        tokens = count_tokens(entries, context, STAGE) if wants_tokens else None
        mixed = mix_rows(entries, settings, context.recipe.seed, tokens)
        return Done(mixed.outcome, msgspec.to_builtins(mixed.report), mixed.report.warnings, times=mixed.times)

    return Step(STAGE, run)


def count_tokens(entries: Sequence[Entry], context: Context, stage: str) -> dict[str, int]:
    """Row id -> its length in tokens of the recipe's base; empty without one. Rows that don't render count 1."""
    base, kept = context.recipe.base, context.kept
    if base is None:
        return {}
    from curate.validate.rules.template import token_counts

    if kept is None:
        counts = token_counts(Rows(entries), context)
    else:
        key = kept.key(f"{stage} tokens", base, {"base"})
        found = kept.read(key, list[int])
        counts = found if found is not None else token_counts(Rows(entries), context)
        if found is None:
            kept.write(key, counts)
    return {entry.id: count for entry, count in zip(entries, counts, strict=True)}


def _counts_tokens(rule: BalanceRule) -> bool:
    return rule.length_in == "tokens" or rule.by == "tokens"


def _lines(items: Sequence[msgspec.Struct]) -> bytes:
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)
