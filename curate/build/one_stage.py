"""One stage on its own: files in, the rows that it keeps and those that it doesn't."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.build.dataset_folder import check_writable
from curate.build.run_stages import StagesRun, run_stages
from curate.build.stages import all_makers, wanted_stages
from curate.compose.split import count_labels, split_rows
from curate.core.config_file import load_config
from curate.core.console import warn
from curate.core.errors import ConfigError, DataError
from curate.core.files import atomic_write
from curate.core.manifest import MANIFEST
from curate.core.output_folder import check_apart, check_unclaimed
from curate.core.sources.records import find_inputs, passed_over, reading_notes
from curate.core.sources.source import LooseFiles
from curate.core.worker_processes import usable_processors
from curate.dedup.near import NearDuplicates
from curate.read.chunks import read_earlier, read_source
from curate.recipe.recipe import Recipe
from curate.recipe.screens import wants_screens
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection
from curate.table.stage import Context
from curate.table.ties import merge_ties

SOURCE = "input"
_LEFT_OUT = "rejected.jsonl"


@dataclass(frozen=True, slots=True)
class Given:
    """What a command works on: rows, what could not be read, the settings, and the files that it was read from."""

    rows: RowSelection
    unread: Rejections
    context: Context
    read: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: how many records were read, and what the stages did. `files` is what `write_files` writes."""

    read: int
    run: StagesRun
    files: dict[str, Iterable[bytes]]

    def summary(self) -> dict[str, Any]:
        """The counts and reports, for `--json`."""
        return {
            "read": self.read,
            "kept": len(self.run.rows),
            "rejected": len(self.run.rejections),
            "stages": msgspec.to_builtins(self.run.counts),
            "reports": self.run.reports,
            "warnings": self.run.warnings,
        }


def read_rows(
    paths: Sequence[str],
    settings: Mapping[str, Any] | None = None,
    *,
    recipe: Path | None = None,
    form: str | None = None,
) -> Given:
    """The rows of these files, folders, globs, or `-`, in any format that a recipe's source can have.

    `settings` are blocks of a recipe; they go over those of the file `recipe`, key by key. Paths start at the current
    folder, those inside the recipe file at its own. Raises: ConfigError, DataError as a build does.
    """
    base: dict[str, Any] = {"name": SOURCE, "behaviour": "One stage.", "output": "."}
    folder = Path()
    if recipe is not None:
        base = load_config(recipe, Recipe).model_dump(mode="json", by_alias=True)
        folder = recipe.parent
    # The files of the command line stand where the user stands, not where the recipe does.
    shown = [path for given in paths for path in find_inputs(given, Path())]
    source = {"name": SOURCE, "path": list(paths), "format": form}
    merged = _over(base, {**(settings or {}), "sources": [source]})
    made = _checked(merged)
    for note in [*filter(None, (passed_over(path, Path()) for path in paths)),
                 *(note for file in shown for note in reading_notes(file, made.sources[0].layout))]:  # fmt: skip
        warn(note)
    context = Context(made, folder, usable_processors(), read=read_earlier)
    loose = LooseFiles.model_validate(made.sources[0].model_dump())
    return Given(*read_source(context, loose, shown, all_makers(context)), context, tuple(file.path for file in shown))


def run_named(given: Given, names: Sequence[str]) -> Result:
    """Those of the named stages that the settings ask for, in their order, on the rows.

    Rows that could not be read are rejections too. Raises: ConfigError where the settings ask for none.
    """
    stages = [stage for stage in wanted_stages(given.context) if stage.name in names]
    if not stages:
        raise ConfigError(f"the recipe has no settings for {', '.join(names)}", fix="add its block, or use the options")
    run = StagesRun(given.rows, given.unread)
    read = len(run.rows) + len(run.rejections)
    run_stages(run, stages, given.context)
    if run.conflicts:
        run.warnings.append(f"{len(run.conflicts)} prompts have different answers")
    screens = given.context.recipe.screens
    if wants_screens(screens):
        from curate.screen.redact_ids import redact_rejections

        run.rejections = redact_rejections(run.rejections, screens, given.context.folder, run.rows.table.spool)
    files: dict[str, Iterable[bytes]] = {name: (content,) for name, content in run.files.items()}
    return Result(read, run, files | {"kept.jsonl": run.rows.blocks(), _LEFT_OUT: run.rejections.lines()})


def split_result(given: Given) -> tuple[dict[str, dict[str, int]], dict[str, Iterable[bytes]], list[str]]:
    """How many rows of each label fall to each side, the files of the sides, and what to look at."""
    recipe = given.context.recipe
    repeated = [row for row, count in Counter(given.rows.ids()).items() if count > 1]
    if repeated:
        raise DataError(
            f"{len(repeated)} ids stand on several rows", where=min(repeated), fix="run `curate dedup` on them first"
        )
    # Near duplicates stay here, and stay on one side: a row dropped from a cluster leaves a tie all the same.
    near = NearDuplicates().run(given.rows, given.context, {})
    instead = {
        item.id: item.because_of.id for item in near.rejections if item.id is not None and item.because_of is not None
    }
    pairs = {row: f"kept\0{kept}" for row, kept in instead.items()}
    links = {kept: f"kept\0{kept}" for kept in instead.values()}
    ties = merge_ties(near.ties, pairs, links)
    warnings: list[str] = []
    sides = split_rows(given.rows, recipe.split, recipe.seed, ties, warnings)
    files: dict[str, Iterable[bytes]] = {f"{side}.jsonl": rows.blocks() for side, rows in sides.items()}
    return count_labels(sides), {**files, _LEFT_OUT: given.unread.lines()}, warnings


def write_files(files: Mapping[str, Iterable[bytes]], output: Path, read: Sequence[Path] = ()) -> None:
    """Write the files into the folder, each whole or not at all.

    Raises: ConfigError where one would take the place of a file that was `read`, or that a stage did not write there;
    DataError where the folder can't be written to.
    """
    check_replaced(files, output, read)
    check_writable(output)
    for name, content in files.items():
        with atomic_write(output / name) as file:
            file.writelines(content)


def check_replaced(names: Iterable[str], output: Path, read: Sequence[Path]) -> None:
    """Raises: ConfigError where a file of these names would replace one that was `read`, or none of a stage's."""
    for name in names:
        check_apart(output / name, read)
    # Every stage writes what it left out; a build does too, and a manifest.
    ours = names if (output / _LEFT_OUT).is_file() and not (output / MANIFEST).exists() else ()
    check_unclaimed(output, names, ours)


def _over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` over it: blocks are merged key by key, None changes nothing."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = _over(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            merged[key] = value
    return merged


def _checked(values: Mapping[str, Any]) -> Recipe:
    from pydantic import ValidationError

    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False)]
        raise ConfigError("\n".join(["these options don't fit", *faults]), fix="see --help") from error
