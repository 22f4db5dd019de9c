"""The build: records through the stages into train, val and test, with every row accounted for."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from msgspec import UNSET

from curate.build.dataset_folder import (
    KEPT_FOLDER,
    Dataset,
    check_own_folder,
    check_writable,
    current_manifest,
    sole_use,
    write_dataset,
)
from curate.build.guards import Signs, check_guards, idle_filters, refuse
from curate.build.human_decisions import Decisions, find_decisions
from curate.build.moved_rows import find_moved, told_moves
from curate.build.run_stages import StagesRun, run_stages
from curate.build.stage_cache import StageCache
from curate.build.stage_inputs import find_files, find_functions
from curate.build.stages import DUPLICATES, all_makers, wanted_stages
from curate.compose.balance import dominant_class
from curate.compose.sides import Sides, compose
from curate.compose.split import count_labels
from curate.core.config_file import load_config
from curate.core.console import progress, say
from curate.core.digests import digest_file, digest_json
from curate.core.errors import DataError
from curate.core.files import json_lines
from curate.core.gc_pause import collector_paused
from curate.core.manifest import (
    MANIFEST,
    CanaryCount,
    FactCount,
    Licenses,
    Manifest,
    ManifestInput,
    SourceCount,
    peek_manifest,
)
from curate.core.parquet import parquet_bytes
from curate.core.paths import find_path
from curate.core.records import environment, versions
from curate.core.sources.record_to_row import key_counts
from curate.core.sources.records import passed_over, reading_notes
from curate.core.worker_processes import usable_processors
from curate.dedup.cluster_table import ClusterTable, renamed
from curate.dedup.near import NearDuplicates
from curate.read.chunks import read_earlier, reading
from curate.recipe.recipe import Recipe
from curate.recipe.screens import wants_screens
from curate.report.facts import describe_facts
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context, InputFile
from curate.table.ties import merge_ties, seed_ties

_SHOWN_REJECTIONS = 3  # enough to see what is wrong with a source, few enough to read


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to: the manifest, where it is, and whether it was there already."""

    manifest: Manifest
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

    Raises: ConfigError for the recipe, or where another build is at work on the output; DataError for sources;
    ServiceError for a disk that is full.
    """
    started = time.monotonic()
    recipe = load_config(recipe_path, Recipe)
    if fix:
        recipe = recipe.model_copy(update={"checks": recipe.checks.model_copy(update={"fix": True})})
    context = Context(recipe, recipe_path.parent, usable_processors(), memory, read=read_earlier)
    target = output if output is not None else find_path(recipe.output, context.folder)
    decisions, journals = find_decisions(target)
    _tell_new_code(context, target)
    files = find_files(context)
    check_own_folder(target, [recipe_path, *(file.input.path for file in files)])
    files += journals
    input_digest = _input_digest(recipe, files)
    with nullcontext() if dry_run else sole_use(target):
        if not dry_run:
            if not force and (manifest := current_manifest(target, input_digest)) is not None:
                return Built(manifest, target, True, manifest.warnings)
            check_writable(target)
            if force:
                shutil.rmtree(target / KEPT_FOLDER, ignore_errors=True)
        dataset = curate_rows(context, files, decisions, None if dry_run else target / KEPT_FOLDER)
        dataset = replace(dataset, manifest=msgspec.structs.replace(dataset.manifest, input_digest=input_digest))
        moved = _shown_ids(find_moved(target, recipe, dataset.sides), context)
        seconds = round(time.monotonic() - started, 3)
        # What stood here before is no input: it leaves the digest as it is.
        told = environment(seconds=seconds, **({"moved": moved} if moved else {}))
        manifest = write_dataset(dataset, None if dry_run else target, told)
        return Built(manifest, target, False, [*([told_moves(moved)] if moved else []), *manifest.warnings])


def _shown_ids(moved: dict[str, str], context: Context) -> dict[str, str]:
    """The same with no id that holds what a screen keeps out."""
    if not moved or not wants_screens(context.recipe.screens):
        return moved
    from curate.screen.redact_ids import redact_ids

    hidden = redact_ids(list(moved), context.recipe.screens, context.folder)
    return {hidden.get(name, name): way for name, way in moved.items()}


def _tell_new_code(context: Context, target: Path) -> None:
    """Say which Python files of the recipe's are about to run that the dataset in `target` was not built with."""
    known = {file.digest for file in old.inputs} if (old := peek_manifest(target / MANIFEST)) is not None else set()
    for function in find_functions(context.recipe):
        path = find_path(function.rpartition(":")[0], context.folder)
        if path.is_file() and (digest := digest_file(path)) not in known:
            say(f"this recipe runs Python code: {function} ({digest}); --no-code refuses it")


def curate_rows(
    context: Context, files: Sequence[InputFile], decisions: Decisions | None = None, folder: Path | None = None
) -> Dataset:
    """The rows of every source through every stage; what stages decide is kept in `folder`, and looked for there.

    Raises: DataError where no row is left for train, or where a guard stops the build.
    """
    recipe = context.recipe
    run, records, kept_keys, check = _read_all(context, files)
    read = {source.name: records[source.name] for source in recipe.sources}
    cache = StageCache(folder, recipe, files, run.rows) if folder is not None else None

    def check_left(stage: str) -> None:
        if not run.rows:
            raise _no_row_left(stage, run.rejections)

    stages = wanted_stages(context)
    run_stages(run, stages, replace(context, cache=cache), decisions=decisions, after_each=check_left)
    if cache is not None:
        cache.tidy(screens=wants_screens(recipe.screens))
    filtered = run.before_composing if run.before_composing is not None else run.rows
    signs = check_guards(recipe.guards, read, _by_source(filtered), run.rejections)
    refuse(signs)
    ties = merge_ties(*run.ties, seed_ties(run.rows))
    sides = compose(run.rows, recipe, ties, run.repetitions)
    if not sides.rows["train"] and recipe.split.shares.train and recipe.split.given is None:
        raise DataError(f"all {len(run.rows)} rows fell to val and test", fix="give train a larger share, or more rows")
    written = sum(map(len, sides.rows.values())) - sum(sides.added.values())
    if written + len(run.rejections) != sum(read.values()):
        raise RuntimeError(f"{sum(read.values())} rows read, {written} kept and {len(run.rejections)} rejected")
    clusters = ClusterTable(run.rows, run.rejections, merge_ties(*run.ties), DUPLICATES).pieces()
    fit = describe_facts(sides.all().rows)
    if wants_screens(recipe.screens):
        from curate.screen.redact_ids import redact_ids, redact_rejections

        spool = run.rows.table.spool
        run.rejections = redact_rejections(run.rejections, recipe.screens, context.folder, spool)
        clusters = (renamed(some, lambda ids: redact_ids(ids, recipe.screens, context.folder)) for some in clusters)
        _hide_ids(run, fit, signs, context)
    run.files["clusters.parquet"] = parquet_bytes(clusters)
    manifest = Manifest(
        name=recipe.name,
        behaviour=recipe.behaviour,
        recipe=recipe.model_dump(mode="json", by_alias=True),
        inputs=[_describe(file, records) for file in files],
        stages=run.counts,
        reports=run.reports,
        sources=_source_counts(run, read, kept_keys),
        licenses=_licenses(recipe, context.folder),
        split=count_labels(sides.rows),
        conflicts=run.conflicts,
        seed=recipe.seed,
        versions=versions("msgspec", "numba", "numpy"),
        added=sides.added or UNSET,
        canaries=UNSET if sides.canaries is None else msgspec.convert(sides.canaries, CanaryCount),
        fit=fit,
        warnings=[
            *signs.warnings,
            *_warnings(recipe, run, sides),
            *_of_files(context, files),
            *_kept_texts(kept_keys),
        ],
    )
    return Dataset(sides.rows, run.rejections, manifest, {**run.files, **sides.files}, check)


def _hide_ids(run: StagesRun, fit: FactCount, signs: Signs, context: Context) -> None:
    """Let no id that holds what a screen keeps out be seen in the manifest, the card, the report or the evidence."""
    from curate.core.text.leaks.evidence import EVIDENCE_FILE, Evidence
    from curate.screen.redact_ids import redact_ids

    evidence = msgspec.json.Decoder(Evidence).decode_lines(run.files.get(EVIDENCE_FILE, b""))
    near = run.reports.get(NearDuplicates.name, {})
    alike, shared = near.get("conflicts", ()), near.get("set_aside", ())
    named = [*(name for names in run.conflicts for name in names), *fit.listed, *signs.rows]
    named += [name for one in alike for name in one["rows"]] + [one["text"] for one in shared]
    hidden = redact_ids([*named, *(one.row for one in evidence)], context.recipe.screens, context.folder)
    run.conflicts = [sorted(hidden.get(name, name) for name in names) for names in run.conflicts]
    for one in alike:
        one["rows"] = [hidden.get(name, name) for name in one["rows"]]
    for one in shared:
        one["text"] = hidden.get(one["text"], one["text"])
    fit.listed[:] = [name for name in fit.listed if name not in hidden]  # examples: others do as well
    for row in filter(hidden.__contains__, signs.rows):
        signs.warnings[:] = [text.replace(row, hidden[row]) for text in signs.warnings]
    if EVIDENCE_FILE in run.files:
        run.files[EVIDENCE_FILE] = json_lines(
            msgspec.structs.replace(one, row=hidden.get(one.row, one.row)) for one in evidence
        )


def _read_all(
    context: Context, files: Sequence[InputFile]
) -> tuple[StagesRun, Counter[str], dict[str, Counter[str]], Callable[[], None]]:
    """What was read; how many records each source and each of its files (`source\\0path`) has; in how many rows of a
    source which key was kept in `meta`, of sources that have any; and a function that raises where a file has changed.
    """
    rejections = Rejections()
    kept_keys: dict[str, Counter[str]] = {}
    records: Counter[str] = Counter()
    total = sum(file.input.path.stat().st_size for file in files if file.kind == "source")
    with reading(context, all_makers(context), total) as reader, progress("read", total) as advance:
        for source in context.recipe.sources:
            inputs = [file.input for file in files if file.kind == "source" and file.name == source.name]
            for chunk in reader.read(source, inputs):
                advance(chunk.size)
                rejections += chunk.unread
                records[f"{source.name}\0{chunk.input.shown}"] += chunk.records
                records[source.name] += chunk.records
                if chunk.kept_keys:
                    kept_keys.setdefault(source.name, Counter()).update(chunk.kept_keys)
    return StagesRun(RowSelection.all_of(reader.table), rejections), records, kept_keys, reader.check


def _licenses(recipe: Recipe, folder: Path) -> Licenses:
    named = {source.name: source.license for source in recipe.sources}
    if recipe.base is None:
        return Licenses(sources=named)
    from curate.core.chat.base_model import find_base  # loads what renders templates

    return Licenses(sources=named, base=find_base(recipe.base, folder).license())


def _source_counts(run: StagesRun, read: dict[str, int], kept_keys: Mapping[str, Counter[str]]) -> list[SourceCount]:
    kept = _by_source(run.rows)
    return [
        SourceCount(
            name=name,
            read=total,
            kept=kept[name],
            rejected=total - kept[name],
            kept_keys=_most_common(kept_keys[name]) if name in kept_keys else UNSET,
        )
        for name, total in read.items()
    ]


def _kept_texts(kept_keys: Mapping[str, Counter[str]]) -> list[str]:
    return [
        f"source {source}: keys kept in meta and not trained on: {key_counts(keys)}"
        for source, keys in kept_keys.items()
    ]


def _most_common(keys: Counter[str]) -> dict[str, int]:
    return dict(sorted(keys.items(), key=lambda item: (-item[1], item[0])))


def _by_source(rows: RowSelection) -> Counter[str]:
    return Counter({name: int(at.size) for name, at in rows.by_source().items()})


def _describe(file: InputFile, records: Counter[str]) -> ManifestInput:
    is_source = file.kind == "source"
    return ManifestInput(
        name=file.name,
        kind=file.kind,
        path=file.input.shown,
        digest=file.digest,
        lines=records[f"{file.name}\0{file.input.shown}"] if is_source else UNSET,
        format=file.input.format if is_source else UNSET,
    )


def _input_digest(recipe: Recipe, files: Sequence[InputFile]) -> str:
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"output"})
    inputs = [[file.name, file.kind, file.input.shown, file.digest] for file in files]
    return digest_json({"recipe": settings, "inputs": inputs, "versions": versions()})


def _no_row_left(stage: str, rejections: Rejections) -> DataError:
    lines = [f"no row is left after stage {stage}: {len(rejections)} rejected"]
    lines += [f"  {count} times {of}: {reason}" for (of, reason), count in rejections.reasons().most_common()]
    lines += [f"  {item.path}:{item.line}: {item.detail}" for item in rejections[:_SHOWN_REJECTIONS]]
    return DataError("\n".join(lines), fix="correct the sources, the adapter or the recipe's rules")


def _of_files(context: Context, files: Sequence[InputFile]) -> Iterator[str]:
    """What was taken for granted in the sources' files, and what stands beside them and was not read."""
    for source in context.recipe.sources:
        yield from filter(None, (passed_over(path, context.folder) for path in source.paths))
        for file in files:
            if file.kind == "source" and file.name == source.name:
                yield from reading_notes(file.input, source.layout)


def _warnings(recipe: Recipe, run: StagesRun, sides: Sides) -> list[str]:
    shares = {side: getattr(recipe.split.shares, side) for side, rows in sides.rows.items() if not rows}
    found = idle_filters(recipe, run.counts, run.reports)
    if (field := recipe.split.given) is not None:
        found += [f"{side} is empty: no row has it in {field}" for side in shares]
    else:
        found += [f"{side} is empty: its share is {share:g}" for side, share in shares.items() if share > 0]
    found += sides.warnings
    if run.conflicts:
        found.append(
            f"{len(run.conflicts)} prompts have different answers; manifest.json lists them under `conflicts`, the card"
            " says what differs, and `dedup: {conflicts: drop}` keeps one of each"
        )
    for one in run.reports.get(NearDuplicates.name, {}).get("set_aside", ()):
        found.append(f"most rows of {one['source']} share text that is set aside in comparing them: {one['text']}")
    if unreadable := run.counts[0].rejected:
        found.append(f"{unreadable} records could not be read; rejected.jsonl says which and why")
    found += run.warnings
    if recipe.balance is None and (text := dominant_class(run.rows)):
        found.append(text)
    return found
