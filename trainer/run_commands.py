"""The commands on finished runs: list, diff, merge."""

from pathlib import Path
from typing import Any

import click

from curate.core import console

_FILE = click.Path(path_type=Path)


@click.command("list")
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the runs as JSON.")
@console.command_options
def list_runs(folders: tuple[Path, ...], *, as_json: bool) -> int:
    """List the runs in each FOLDER, at any depth, with their losses; exit code 1 where one is damaged.

    \b
    Examples:
      trainer list demo
      trainer list runs-a runs-b --json
    """
    from trainer.runs import find_runs, table

    found = find_runs(folders)
    if as_json:
        console.print_json([run.summary() for run in found])
    elif found:
        click.echo("\n".join(table(found)))
    else:
        console.say("there are no runs here")
    return int(any(run.state == "damaged" for run in found))


@click.command()
@click.argument("a", type=_FILE)
@click.argument("b", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
@console.command_options
def diff(a: Path, b: Path, *, as_json: bool) -> int:
    """Say how run B differs from A in settings, data, base and versions, and both losses; exit code 1 where it does.

    \b
    Example:
      trainer diff runs/first runs/second
    """
    from trainer.runs import compare

    found = compare(a, b)
    _print(found.summary(), list(found.lines()), as_json=as_json)
    return int(bool(found.changed))


@click.command()
@click.argument("run", type=_FILE)
@click.argument("output", metavar="OUT", type=_FILE)
@click.option(
    "--into",
    type=click.Choice(["original", "dequantised"]),
    help="Which weights get the adapter; left out: those that training computed with, which is exact.",
)
@click.option("--base", help="The base, where the run's own name for it leads nowhere any more.")
@click.option("--held-out", type=_FILE, help="The run's held-out rows, where they lie elsewhere now.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be written, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the merge's record as JSON.")
@console.command_options
def merge(
    run: Path, output: Path, into: Any, base: str | None, held_out: Path | None, *, dry_run: bool, as_json: bool
) -> int:  # fmt: skip
    """Add RUN's adapter into its base's weights and write a plain Hugging Face folder to OUT.

    Measures the held-out loss with the adapter as trained and with each way of merging it.

    \b
    Examples:
      trainer merge demo/run demo/merged
      trainer merge demo/run demo/merged --into original
    """
    from trainer import merge as job

    found = job.find_merge(run, output, into, base=base, held_out=held_out)
    if dry_run:
        plan = job.preview(found)
        _print(plan, job.preview_lines(plan), as_json=as_json)
        return 0
    record = job.merge(found)
    _print(record, job.lines(record, output), as_json=as_json)
    return 0


def _print(value: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    if as_json:
        console.print_json(value)
    else:
        click.echo("\n".join(lines))
