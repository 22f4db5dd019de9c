"""The build: records through the stages into train, val and test, with every row accounted for."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.config import Recipe, Side
from curate.core.config_file import load_config
from curate.core.console import Advance, progress
from curate.core.digests import digest_json
from curate.core.errors import DataError
from curate.core.places import find_path
from curate.core.records import environment, versions
from curate.entries import Context, Entry, Outcome, Rejection, Stage
from curate.outputs import Dataset, check_writable, current_manifest, write_dataset
from curate.sources import InputFile, find_files, read_source
from curate.split import count_labels, split_rows

_SHOWN_REJECTIONS = 3  # enough to see what is wrong with a source, few enough to read


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to: the manifest, where it is, and whether it was there already."""

    manifest: dict[str, Any]
    output: Path
    up_to_date: bool
    warnings: list[str]


def build(recipe_path: Path, *, output: Path | None = None, force: bool = False, dry_run: bool = False) -> Built:
    """Build the dataset of a recipe, or find that it is built already. A dry run writes nothing.

    Raises: ConfigError for the recipe, DataError for sources, ServiceError for a disk that is full.
    """
    started = time.monotonic()
    recipe = load_config(recipe_path, Recipe)
    context = Context(recipe, recipe_path.parent, _usable_processors())
    target = output if output is not None else find_path(recipe.output, context.folder)
    files = find_files(context)
    input_digest = _input_digest(recipe, files)
    if not dry_run:
        if not force and (manifest := current_manifest(target, input_digest)) is not None:
            return Built(manifest, target, True, [])
        check_writable(target)
    dataset = curate_rows(context, files)
    body = {**dataset.facts, "input_digest": input_digest}
    facts = replace(dataset, facts=body)
    seconds = round(time.monotonic() - started, 3)
    manifest = write_dataset(facts, None if dry_run else target, environment(seconds=seconds))
    return Built(manifest, target, False, _warnings(dataset))


def curate_rows(context: Context, files: Sequence[InputFile]) -> Dataset:
    """The rows of every source through every stage. Raises: DataError where no row is left for train."""
    recipe = context.recipe
    entries, rejections, lines = _read_all(context, files)
    counts = [_count("read", len(entries) + len(rejections), Outcome(entries, rejections))]
    read = Counter(entry.place.source for entry in entries)
    sources = {source.name: lines[source.name] for source in recipe.sources}
    ties: dict[str, str] = {}
    conflicts: list[list[str]] = []
    stages = _stages()
    with progress("curate", len(stages)) as advance:
        for name, stage in stages:
            outcome = stage(entries, context)
            check_account(name, entries, outcome)
            counts.append(_count(name, len(entries), outcome))
            entries, rejections = outcome.kept, rejections + outcome.rejections
            ties, conflicts = {**ties, **outcome.ties}, conflicts + outcome.conflicts
            advance(1, name)
    if not entries:
        raise _nothing_left(rejections, sum(read.values()))
    sides = split_rows(entries, recipe.split, recipe.seed, ties)
    if not sides["train"]:
        raise DataError(f"all {len(entries)} rows fell to val and test", fix="give train a larger share, or more rows")
    kept = Counter(entry.place.source for entry in entries)
    facts = {
        "kind": "manifest",
        "schema": 1,
        "name": recipe.name,
        "behaviour": recipe.behaviour,
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "inputs": [_describe(file, lines) for file in files],
        "stages": counts,
        "sources": [
            {"name": name, "read": total, "kept": kept[name], "rejected": total - kept[name]}
            for name, total in sources.items()
        ],
        "split": count_labels(sides),
        "conflicts": conflicts,
        "seed": recipe.seed,
        "versions": versions("msgspec", "numba", "numpy"),
    }
    return Dataset(sides, rejections, facts)


def check_account(name: str, entries: Sequence[Entry], outcome: Outcome) -> None:
    """Raises: RuntimeError where kept and rejected together are not exactly what went in."""
    before = Counter((entry.place.path, entry.place.offset) for entry in entries)
    after = Counter((entry.place.path, entry.place.offset) for entry in outcome.kept)
    after.update((rejection.path, rejection.offset) for rejection in outcome.rejections)
    if before != after:
        kept, rejected = len(outcome.kept), len(outcome.rejections)
        raise RuntimeError(f"stage {name}: {len(entries)} rows went in, {kept} kept and {rejected} rejected came out")


def _stages() -> list[tuple[str, Stage]]:
    # Imported here, because numba and jsonschema take a second to load and `--help` must not.
    from curate import exact, near, validate

    return [
        (validate.STAGE, validate.validate),
        (exact.STAGE, exact.drop_exact),
        (near.STAGE, near.drop_near),
    ]


def _read_all(context: Context, files: Sequence[InputFile]) -> tuple[list[Entry], list[Rejection], Counter[str]]:
    """The rows, the rejections, and how many records each source and each of its files (`source\\0path`) has."""
    entries: list[Entry] = []
    rejections: list[Rejection] = []
    lines: Counter[str] = Counter()
    total = sum(file.input.path.stat().st_size for file in files if file.kind == "source")
    with progress("read", total) as advance:
        for source in context.recipe.sources:
            inputs = [file.input for file in files if file.kind == "source" and file.name == source.name]
            for found, item in _counted(read_source(source, inputs, context.folder), advance):
                lines.update((source.name, f"{source.name}\0{found.shown}"))
                if isinstance(item, Rejection):
                    rejections.append(item)
                else:
                    entries.append(item)
    return entries, rejections, lines


def _counted(items: Any, advance: Advance) -> Any:
    for found, item in items:
        advance(len(item.raw) + 1)
        yield found, item


def _describe(file: InputFile, lines: Counter[str]) -> dict[str, Any]:
    described = {"name": file.name, "kind": file.kind, "path": file.input.shown, "digest": file.digest}
    return {**described, "lines": lines[f"{file.name}\0{file.input.shown}"]} if file.kind == "source" else described


def _count(name: str, rows_in: int, outcome: Outcome) -> dict[str, Any]:
    reasons = Counter(rejection.reason for rejection in outcome.rejections)
    return {
        "name": name,
        "rows_in": rows_in,
        "kept": len(outcome.kept),
        "rejected": len(outcome.rejections),
        "reasons": dict(sorted(reasons.items())),
    }


def _input_digest(recipe: Recipe, files: Sequence[InputFile]) -> str:
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"output"})
    inputs = [[file.name, file.kind, file.input.shown, file.digest] for file in files]
    return digest_json({"recipe": settings, "inputs": inputs, "versions": versions()})


def _nothing_left(rejections: Sequence[Rejection], read: int) -> DataError:
    reasons = Counter(f"{rejection.stage}: {rejection.reason}" for rejection in rejections).most_common()
    lines = [f"no row is left: {len(rejections)} rejected, {read} of them after reading"]
    lines += [f"  {count} times {reason}" for reason, count in reasons]
    lines += [f"  {item.path}:{item.line}: {item.detail}" for item in rejections[:_SHOWN_REJECTIONS]]
    return DataError("\n".join(lines), fix="correct the sources, the adapter or the recipe's rules")


def _warnings(dataset: Dataset) -> list[str]:
    shares = dataset.facts["recipe"]["split"]["shares"]
    wanted: list[Side] = [side for side in dataset.sides if shares[side] > 0]
    found = [f"{side} is empty: its share is {shares[side]:g}" for side in wanted if not dataset.sides[side]]
    if conflicts := dataset.facts["conflicts"]:
        found.append(f"{len(conflicts)} prompts have different answers; manifest.json lists them under `conflicts`")
    if unreadable := dataset.facts["stages"][0]["rejected"]:
        found.append(f"{unreadable} records could not be read; rejected.jsonl says which and why")
    return found


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
