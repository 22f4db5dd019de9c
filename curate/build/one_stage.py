"""One stage on its own: files in, the rows that it keeps and those that it doesn't."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.build.dataset_folder import check_writable
from curate.build.plan import Step, make_steps, wants_screens
from curate.core.config_file import load_config
from curate.core.cpu_count import usable_processors
from curate.core.errors import ConfigError, DataError
from curate.core.files import atomic_write
from curate.files.records import find_inputs
from curate.read.chunks import read_source
from curate.recipe.recipe import Recipe
from curate.table.dataset_lines import blocks
from curate.table.rejections import Rejections, count_reasons, rejected_lines
from curate.table.row_ref import Context, Entry, Outcome, Rejection
from curate.table.selection import names as ids_of

SOURCE = "input"


@dataclass(frozen=True, slots=True)
class Given:
    """What a command works on: rows, what could not be read, and the settings."""

    entries: Sequence[Entry]
    unread: list[Rejection]
    context: Context


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. `tables` are what the stage has to tell; `files` is what `write_result` writes."""

    read: int
    kept: Sequence[Entry]
    rejections: Sequence[Rejection]
    stages: list[dict[str, Any]]
    reports: dict[str, Any]
    warnings: list[str]
    files: dict[str, Iterable[bytes | memoryview]]

    def summary(self) -> dict[str, Any]:
        """The counts and reports, for `--json`."""
        return {
            "read": self.read,
            "kept": len(self.kept),
            "rejected": len(self.rejections),
            "stages": self.stages,
            "reports": self.reports,
            "warnings": self.warnings,
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
    context = Context(made, folder, usable_processors())
    entries, unread = read_source(context, made.sources[0], shown)
    return Given(entries, unread, context)


def run_stages(given: Given, names: Sequence[str]) -> Result:
    """Those of the named stages that the settings ask for, in their order, on the rows.

    Raises: ConfigError where that is none.
    """
    steps = [step for step in make_steps(given.context.recipe, given.context.folder) if step.name in names]
    if not steps:
        raise ConfigError(f"the recipe has no settings for {', '.join(names)}", fix="add its block, or use the options")
    return run_steps(given, steps)


def run_steps(given: Given, steps: Sequence[Step]) -> Result:
    """These steps, one after the other, on the rows. Rows that could not be read are rejections too."""
    # Imported here: the pipeline is what one stage alone doesn't need, but its account holds for both.
    from curate.build.row_accounts import check_account, count_stage

    entries: Sequence[Entry] = given.entries
    rejections: Sequence[Rejection] = given.unread
    read = len(entries) + len(rejections)
    stages = [count_stage("read", read, Outcome(entries, rejections))]
    reports: dict[str, Any] = {}
    warnings: list[str] = []
    files: dict[str, bytes] = {}
    for step in steps:
        done = step.run(entries, given.context, {})
        check_account(step.name, entries, done.outcome)
        stages.append(count_stage(step.name, len(entries), done.outcome))
        entries, rejections = done.outcome.kept, Rejections(rejections, done.outcome.rejections)
        if done.report is not None:
            reports[step.name] = done.report
        warnings += done.warnings
        files |= done.files
        if done.outcome.conflicts:
            warnings.append(f"{len(done.outcome.conflicts)} prompts have different answers")
    recipe = given.context.recipe
    if wants_screens(recipe):
        from curate.screen.redact_ids import redact_rejections

        rejections = redact_rejections(rejections, recipe.screens, given.context.folder)
    parts: dict[str, Iterable[bytes | memoryview]] = {name: (content,) for name, content in files.items()}
    parts |= {"kept.jsonl": blocks(entries), "rejected.jsonl": rejected_lines(rejections)}
    return Result(read, entries, rejections, stages, reports, warnings, parts)


def split_result(given: Given) -> tuple[dict[str, dict[str, int]], dict[str, Iterable[bytes | memoryview]]]:
    """How many rows of each label fall to each side, and the files of the sides."""
    from curate.compose.sides import merge_ties
    from curate.compose.split import count_labels, split_rows
    from curate.dedup.near import drop_near

    recipe = given.context.recipe
    repeated = [row for row, count in Counter(ids_of(given.entries)).items() if count > 1]
    if repeated:
        raise DataError(
            f"{len(repeated)} ids stand on several rows", where=min(repeated), fix="run `curate dedup` on them first"
        )
    # Near duplicates stay here, and stay on one side: a row dropped from a cluster leaves a tie all the same.
    near = drop_near(given.entries, given.context) if recipe.dedup is not None else Outcome(given.entries, [])
    instead = {
        item.id: item.because_of.id for item in near.rejections if item.id is not None and item.because_of is not None
    }
    pairs = {row: f"kept\0{kept}" for row, kept in instead.items()}
    links = {kept: f"kept\0{kept}" for kept in instead.values()}
    sides = split_rows(given.entries, recipe.split, recipe.seed, merge_ties(near.ties, pairs, links))
    files: dict[str, Iterable[bytes | memoryview]] = {f"{side}.jsonl": blocks(rows) for side, rows in sides.items()}
    return count_labels(sides), {**files, "rejected.jsonl": rejected_lines(given.unread)}


def write_files(files: Mapping[str, Iterable[bytes | memoryview]], output: Path) -> None:
    """Write the files into the folder, each whole or not at all. Raises: DataError where it can't be written to."""
    check_writable(output)
    for name, content in files.items():
        with atomic_write(output / name) as file:
            file.writelines(content)


def reasons(result: Result) -> list[tuple[str, str, int]]:
    """(stage, reason, rows) of all rejections, the commonest first."""
    return [(stage, reason, count) for (stage, reason), count in count_reasons(result.rejections).most_common()]


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
