"""The build: records through the stages into train, val and test, with every row accounted for."""

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.build.dataset_folder import KEPT_FOLDER, Dataset, check_writable, current_manifest, write_dataset
from curate.build.human_decisions import STAGE as REVIEW
from curate.build.human_decisions import find_decisions, with_review
from curate.build.plan import COMPOSING, Done, Step, make_steps, run_step, wants_screens
from curate.build.row_accounts import check_account, count_stage
from curate.build.stage_inputs import find_stage_files
from curate.core.config_file import load_config
from curate.core.console import progress
from curate.core.cpu_count import usable_processors
from curate.core.digests import digest_json
from curate.core.errors import DataError
from curate.core.gc_pause import collector_paused
from curate.core.paths import find_path
from curate.core.records import environment, versions
from curate.read.sources import InputFile, find_files
from curate.recipe.recipe import Recipe, Side
from curate.table.large_arrays import give_back_memory
from curate.table.row_ref import Context, Entry, Outcome, Rows

if TYPE_CHECKING:
    from curate.build.guards import Signs
    from curate.read.chunks import Reading
    from curate.table.rejections import Rejections

_SHOWN_REJECTIONS = 3  # enough to see what is wrong with a source, few enough to read


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to: the manifest, where it is, and whether it was there already."""

    manifest: dict[str, Any]
    output: Path
    up_to_date: bool
    warnings: list[str]


@collector_paused()
def build(
    recipe_path: Path,
    *,
    output: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    fix: bool = False,
    memory: int | None = None,
) -> Built:
    """Build the dataset of a recipe, or find that it is built already. A dry run writes nothing; `fix` repairs rows.

    Past `memory` bytes, what grows with the rows goes into temporary files; the dataset is the same.

    Raises: ConfigError for the recipe, DataError for sources, ServiceError for a disk that is full.
    """
    started = time.monotonic()
    recipe = load_config(recipe_path, Recipe)
    if fix:
        recipe = recipe.model_copy(update={"checks": recipe.checks.model_copy(update={"fix": True})})
    if memory is not None:
        give_back_memory()
    context = Context(recipe, recipe_path.parent, usable_processors(), memory)
    target = output if output is not None else find_path(recipe.output, context.folder)
    decisions, journals = find_decisions(target)
    context = replace(context, decisions=decisions)
    files = find_files(context) + find_stage_files(context) + journals
    input_digest = _input_digest(recipe, files)
    if not dry_run:
        if not force and (manifest := current_manifest(target, input_digest)) is not None:
            return Built(manifest, target, True, manifest["warnings"])
        check_writable(target)
        if force:
            shutil.rmtree(target / KEPT_FOLDER, ignore_errors=True)
    dataset = curate_rows(context, files, None if dry_run else target / KEPT_FOLDER)
    body = {**dataset.facts, "input_digest": input_digest}
    facts = replace(dataset, facts=body)
    seconds = round(time.monotonic() - started, 3)
    manifest = write_dataset(facts, None if dry_run else target, environment(seconds=seconds))
    return Built(manifest, target, False, manifest["warnings"])


@dataclass
class _Run:
    """What the steps have come to so far."""

    entries: Sequence[Entry]
    rejections: "Rejections"
    counts: list[dict[str, Any]]
    ties: list[dict[str, str]] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    reports: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    filtered: Sequence[Entry] = field(default_factory=list)
    """The rows before balancing and mixing."""


def curate_rows(context: Context, files: Sequence[InputFile], folder: Path | None = None) -> Dataset:
    """The rows of every source through every stage; what stages decide is kept in `folder`, and looked for there.

    Raises: DataError where no row is left for train, or where a guard stops the build.
    """
    # Imported here: what finds a dataset up to date needs none of these.
    from curate.build.guards import check_guards, idle_filters, refuse
    from curate.build.stage_cache import Kept
    from curate.compose.balance import dominant_class
    from curate.compose.sides import compose, describe_added, merge_ties
    from curate.compose.split import count_labels
    from curate.dedup.cluster_table import ClusterTable, parquet_bytes, renamed
    from curate.report.facts import describe_facts
    from curate.table.rejections import Rejections
    from curate.table.selection import together

    recipe = context.recipe
    run, lines, inputs_read = _read_all(context, files)
    read = {source.name: lines[source.name] for source in recipe.sources}
    kept = Kept(folder, recipe, files, run.entries) if folder is not None else None
    steps = with_review(make_steps(recipe, context.folder), context.decisions)
    _run_steps(run, steps, replace(context, kept=kept))
    if kept is not None:
        kept.tidy(screens=wants_screens(recipe))
    signs = check_guards(recipe.guards, read, _by_source(run.filtered), run.rejections)
    refuse(signs)
    ties = merge_ties(*run.ties, _seed_ties(run.entries))
    sides = compose(run.entries, recipe, ties, run.times)
    if not sides.rows["train"]:
        raise DataError(
            f"all {len(run.entries)} rows fell to val and test", fix="give train a larger share, or more rows"
        )
    written = sum(map(len, sides.rows.values())) - sum(sides.added.values())
    if written + len(run.rejections) != sum(read.values()):
        raise RuntimeError(f"{sum(read.values())} rows read, {written} kept and {len(run.rejections)} rejected")
    clusters = ClusterTable(run.entries, run.rejections, merge_ties(*run.ties)).pieces()
    fit = describe_facts(Rows(together(list(sides.rows.values()))))
    if wants_screens(recipe):
        from curate.screen.redact_ids import redact_ids, redact_rejections

        run.rejections = Rejections(redact_rejections(run.rejections, recipe.screens, context.folder))
        clusters = (renamed(some, lambda ids: redact_ids(ids, recipe.screens, context.folder)) for some in clusters)
        _hide_ids(run, fit, signs, context)
    run.files["clusters.parquet"] = parquet_bytes(clusters)
    facts = _facts(recipe, run, read)
    facts["inputs"] = [_describe(file, lines) for file in files]
    facts["split"] = count_labels(sides.rows)
    facts |= describe_added(sides)
    facts["fit"] = fit
    warned = [
        *signs.warnings,
        *idle_filters(recipe, run.counts, run.reports),
        *_warnings(facts, sides.rows),
        *run.warnings,
    ]
    if recipe.balance is None and (text := dominant_class(run.entries)):
        warned.append(text)
    facts["warnings"] = warned
    return Dataset(sides.rows, run.rejections, facts, {**run.files, **sides.files}, inputs_read.check)


def _hide_ids(run: _Run, fit: dict[str, Any], signs: "Signs", context: Context) -> None:
    """Let no id that holds what a screen keeps out be seen in the manifest, the card, the report or the evidence."""
    from curate.core.text.leaks.evidence import EVIDENCE_FILE, Evidence
    from curate.screen.redact_ids import redact_ids

    evidence = msgspec.json.Decoder(Evidence).decode_lines(run.files.get(EVIDENCE_FILE, b""))
    named = [*(name for names in run.conflicts for name in names), *fit["listed"], *signs.rows]
    hidden = redact_ids([*named, *(one.row for one in evidence)], context.recipe.screens, context.folder)
    run.conflicts = [sorted(hidden.get(name, name) for name in names) for names in run.conflicts]
    fit["listed"] = [name for name in fit["listed"] if name not in hidden]  # examples: others do as well
    for row in filter(hidden.__contains__, signs.rows):
        signs.warnings[:] = [text.replace(row, hidden[row]) for text in signs.warnings]
    if EVIDENCE_FILE in run.files:
        shown = [msgspec.structs.replace(one, row=hidden.get(one.row, one.row)) for one in evidence]
        run.files[EVIDENCE_FILE] = msgspec.json.Encoder().encode_lines(shown)


def _run_steps(run: _Run, steps: Sequence[Step], context: Context) -> None:
    """Run the steps one after the other. Raises: DataError where one leaves no row."""
    _check_left(run, "read")
    run.filtered = run.entries
    with progress("curate", len(steps)) as advance:
        for step in steps:
            done = run_step(step, run.entries, context, run.columns)
            check_account(step.name, run.entries, done.outcome)
            _take_in(run, step.name, done)
            _check_left(run, step.name)
            if step.name not in (*COMPOSING, REVIEW):  # both take out good rows on purpose
                run.filtered = run.entries
            advance(1, step.name)


def _take_in(run: _Run, name: str, done: Done) -> None:
    outcome = done.outcome
    run.counts.append(count_stage(name, len(run.entries), outcome))
    run.entries = outcome.kept
    run.rejections.add(outcome.rejections)
    run.ties.append(outcome.ties)
    run.conflicts += outcome.conflicts
    if done.report is not None:
        run.reports[name] = done.report
    run.warnings += done.warnings
    run.files |= done.files
    run.columns |= done.columns
    run.times |= done.times


def _facts(recipe: Recipe, run: _Run, read: dict[str, int]) -> dict[str, Any]:
    kept = _by_source(run.entries)
    return {
        "kind": "manifest",
        "schema": 1,
        "name": recipe.name,
        "behaviour": recipe.behaviour,
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "inputs": [],
        "stages": run.counts,
        "reports": run.reports,
        "sources": [
            {"name": name, "read": total, "kept": kept[name], "rejected": total - kept[name]}
            for name, total in read.items()
        ],
        "split": {},
        "conflicts": run.conflicts,
        "seed": recipe.seed,
        "versions": versions("msgspec", "numba", "numpy"),
    }


def _by_source(entries: Sequence[Entry]) -> Counter[str]:
    from curate.table.selection import sources

    return Counter({name: int(at.size) for name, at in sources(entries).items()})


def _seed_ties(entries: Sequence[Entry]) -> dict[str, str]:
    from curate.table.selection import synthesized

    if not synthesized(entries):
        return {}
    from curate.synthesize.job import seed_ties

    return seed_ties(entries)


def _read_all(context: Context, files: Sequence[InputFile]) -> tuple[_Run, Counter[str], "Reading"]:
    """The rows and rejections, how many records each source and each of its files (`source\\0path`) has."""
    # Imported here, as above.
    from curate.read.chunks import reading
    from curate.table.rejections import Rejections

    run = _Run([], Rejections(), [])
    lines: Counter[str] = Counter()
    total = sum(file.input.path.stat().st_size for file in files if file.kind == "source")
    with reading(context, total) as read, progress("read", total) as advance:
        for source in context.recipe.sources:
            inputs = [file.input for file in files if file.kind == "source" and file.name == source.name]
            for part in read.read(source, inputs):
                advance(part.size)
                run.rejections.add(part.rejections)
                lines[f"{source.name}\0{part.input.shown}"] += part.records
                lines[source.name] += part.records
    run.entries = read.rows.all()
    run.counts.append(count_stage("read", len(run.entries) + len(run.rejections), Outcome(run.entries, run.rejections)))
    return run, lines, read


def _describe(file: InputFile, lines: Counter[str]) -> dict[str, Any]:
    described = {"name": file.name, "kind": file.kind, "path": file.input.shown, "digest": file.digest}
    if file.kind != "source":
        return described
    return {**described, "lines": lines[f"{file.name}\0{file.input.shown}"], "format": file.input.format}


def _input_digest(recipe: Recipe, files: Sequence[InputFile]) -> str:
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"output"})
    inputs = [[file.name, file.kind, file.input.shown, file.digest] for file in files]
    return digest_json({"recipe": settings, "inputs": inputs, "versions": versions()})


def _check_left(run: _Run, stage: str) -> None:
    if run.entries:
        return
    from curate.table.rejections import count_reasons

    rejections = run.rejections
    lines = [f"no row is left after stage {stage}: {len(rejections)} rejected"]
    lines += [f"  {count} times {of}: {reason}" for (of, reason), count in count_reasons(rejections).most_common()]
    lines += [f"  {item.path}:{item.line}: {item.detail}" for item in rejections[:_SHOWN_REJECTIONS]]
    raise DataError("\n".join(lines), fix="correct the sources, the adapter or the recipe's rules")


def _warnings(facts: dict[str, Any], sides: dict[Side, Sequence[Entry]]) -> list[str]:
    shares = facts["recipe"]["split"]["shares"]
    wanted: list[Side] = [side for side in sides if shares[side] > 0]
    found = [f"{side} is empty: its share is {shares[side]:g}" for side in wanted if not sides[side]]
    if conflicts := facts["conflicts"]:
        found.append(f"{len(conflicts)} prompts have different answers; manifest.json lists them under `conflicts`")
    if unreadable := facts["stages"][0]["rejected"]:
        found.append(f"{unreadable} records could not be read; rejected.jsonl says which and why")
    return found
