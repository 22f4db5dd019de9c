"""The commands on an index of earlier datasets."""

from pathlib import Path
from typing import Any

import click

from curate.cli.stages import print_table, stage_options, write
from curate.core import console
from curate.core.console import EPILOG, command_options, print_json, say

_INDEX = click.Path(file_okay=False, path_type=Path)
_SHOWN = 20
_folder = click.argument("index", metavar="INDEX", type=_INDEX)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")


@click.group(name="index", epilog=EPILOG)
def index() -> None:
    """Keep an index of earlier datasets, and find the rows of a new one that repeat theirs.

    An index is a folder; with `--storage redis` its buckets are in the Redis that ACIDTEST_REDIS_URL names. A recipe
    uses it under `dedup: {against: [{name: earlier, path: INDEX}]}`.

    \b
    Examples:
      curate index create seen
      curate index add seen january/dataset
      curate index query seen rows.jsonl
    """


@index.command(epilog=EPILOG)
@_folder
@click.option("--on", type=click.Choice(["prompt", "answer", "conversation"]), help="What is compared (prompt).")
@click.option("--threshold", type=float, help="The Jaccard similarity from which rows repeat each other (0.7).")
@click.option("--storage", type=click.Choice(["memory", "redis"]), help="Where the buckets are (memory).")
@click.option("--seed", type=int, help="Decides the permutations (0).")
@_dry_run
@_as_json
@command_options
def create(index: Path, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Make an empty index. Its settings stay as they are: what it stores depends on them.

    \b
    Example:
      curate index create seen --on conversation --threshold 0.8
    """
    from pydantic import ValidationError

    from curate.core.errors import ConfigError
    from curate.dedup.index import IndexSettings, create_index

    try:
        settings = IndexSettings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        faults = [f"  {fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_url=False)]
        raise ConfigError("\n".join(["these options don't fit", *faults]), fix="see --help") from error
    create_index(index, settings, dry_run=dry_run)
    if as_json:
        print_json(settings.model_dump(mode="json"))
    say(f"dry run: would make an index in {index}" if dry_run else f"made an empty index in {index}")
    return 0


@index.command(epilog=EPILOG)
@_folder
@click.argument("paths", nargs=-1, required=True, metavar="FILES...")
@click.option("--name", help="What the rows' dataset is called; the last part of the first path where left out.")
@click.option("--format", "form", help="What the records look like; found out where it is left out.")
@_dry_run
@_as_json
@command_options
def add(index: Path, paths: tuple[str, ...], name: str | None, form: str | None, dry_run: bool, as_json: bool) -> int:
    """Add the rows of FILES to INDEX; rows whose text it has already change nothing.

    \b
    Examples:
      curate index add seen january/dataset --name january
      curate index add seen "old/*.jsonl.gz" --name old --dry-run
    """
    from curate.build.one_stage import read_rows
    from curate.dedup.index import add_rows

    rows = read_rows(paths, form=form)
    called = name or Path(paths[0]).name
    added = add_rows(index, called, rows.rows.rows, dry_run=dry_run)
    if as_json:
        print_json({"dataset": called, "new": added.new, "known": added.known, "unread": len(rows.unread)})
    else:
        found = [["new", added.new], ["known before", added.known], ["could not be read", len(rows.unread)]]
        print_table(["", "rows"], found)
    say("dry run: nothing was added" if dry_run else f"added {added.new} rows to {index} as {called}")
    return 0


@index.command(epilog=EPILOG)
@_folder
@stage_options
def query(index: Path, **given: Any) -> int:
    """Find the rows of FILES that repeat one in INDEX; exit code 1 where there are some and nothing is written.

    \b
    Examples:
      curate index query seen rows.jsonl
      curate index query seen rows.jsonl --output new
    """
    from curate.build.one_stage import read_rows, run_named
    from curate.core.errors import DataError
    from curate.core.sources.known_folders import index_folder
    from curate.dedup.earlier_index import EarlierIndex

    if index_folder(str(index), Path()) is None:
        raise DataError("there is no index here", where=index, fix="make one with `curate index create`")
    settings = {"dedup": {"against": [{"name": "index", "path": str(index.absolute())}]}}
    rows = read_rows(given["paths"], settings, recipe=given["recipe"], form=given["form"])
    result = run_named(rows, [EarlierIndex.name])
    found = [
        {"id": item.id, "path": item.path, "line": item.line, "similarity": because.similarity, "repeats": because.id,
         "dataset": because.dataset}
        for item in result.run.rejections if (because := item.because_of) is not None
    ]  # fmt: skip
    if given["as_json"]:
        print_json({**result.summary(), "matches": found})
    else:
        print_table(["", "rows"], [["read", result.read], ["new", len(result.run.rows)], ["known", len(found)]])
        if found:
            click.echo()
            names = ("id", "path", "line", "similarity", "repeats", "dataset")
            print_table(names, [[one[name] for name in names] for one in found[:_SHOWN]])
        if len(found) > _SHOWN:
            say(f"and {len(found) - _SHOWN} more: --json or --output has them all")
    write(result.files, given["output"], rows.read, dry_run=given["dry_run"])
    return 1 if result.run.rejections and given["output"] is None else 0


@index.command(epilog=EPILOG)
@_folder
@_as_json
@command_options
def show(index: Path, as_json: bool) -> int:
    """Say what INDEX holds: its algorithm, settings and seed, and how many rows of which dataset.

    \b
    Example:
      curate index show seen
    """
    from curate.dedup.index import describe_index

    found = describe_index(index)
    if as_json:
        print_json(found)
        return 0
    console.show(f"{found['rows']} rows, {found['digest']}")
    click.echo()
    settings = {"scheme": found["scheme"], **found["settings"]}
    print_table(["setting", ""], [[name, str(value)] for name, value in settings.items()])
    if found["datasets"]:
        click.echo()
        print_table(["dataset", "rows"], list(found["datasets"].items()))
    return 0
