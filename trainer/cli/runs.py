"""The commands on finished runs: show, list, diff, merge; and how a run is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.core import console

if TYPE_CHECKING:
    from trainer.run.record import RowCounts, Run

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON.")
@console.command_options
def show(run: Path, *, as_json: bool) -> int:
    """Show what went into the run in the folder RUN, and its losses.

    \b
    Example:
      trainer show demo/run
    """
    from trainer.run.record import read_run

    found = read_run(run)
    if as_json:
        console.print_json(found.document)
    else:
        print_run(found)
    return 0


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
    from trainer.run.list_diff import find_runs, table

    found = find_runs(folders)
    if as_json:
        console.print_json([run.summary() for run in found])
    elif found:
        console.show("\n".join(table(found)))
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
    from trainer.run.list_diff import compare

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
    from trainer.run import merge as job

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
        console.show("\n".join(lines))


def print_run(run: "Run") -> None:
    """Print what went into a run, and its losses."""
    from trainer.run.curve import curve

    record, measured = run.record, run.record.environment
    lora = record.config["lora"]
    console.show(f"run        {run.folder}")
    console.show(f"base       {record.base.id} ({record.method}), {record.base.digest[:19]}")
    shape = f"r {lora['r']}, {lora['targets']}, " if record.method in ("lora", "qlora") else ""
    console.show(f"adapter    {record.adapter.parameters:,} parameters, {shape}of step {record.adapter.step}")
    for name, counts in (("train", record.dataset.train), ("val", record.dataset.val)):
        if counts:
            console.show(f"{name:9}  {describe_rows(counts)}")
    if record.licenses:
        console.show(f"licences   {'; '.join(record.licenses.sentences())}")
    console.show(
        f"measured   {measured.seconds:.0f} s, {measured.tokens_per_s:.0f} tokens/s,"
        f" {measured.peak_memory_bytes / 2**20:,.0f} MiB at most, {measured.threads} threads"
    )
    unit = "in nats per answer token" if record.objective == "sft" else f"of {record.objective}"
    console.show(f"\nloss {unit}, {len(record.losses.train)} steps")
    for line in curve(record.losses.train):
        console.show(line)
    for held in record.losses.held_out:
        kept = "  <- kept" if held.step == record.adapter.step else ""
        console.show(f"held-out after step {held.step:5}: {held.loss:.4f}{kept}")
    if (ending := record.ending) and ending.stopped:
        console.show(f"stopped at step {ending.step} of {ending.of}: held-out loss {ending.stopped}")
    if ending and ending.overfitting:
        console.show(ending.overfitting)


def describe_rows(counts: "RowCounts") -> str:
    """A file of rows in numbers."""
    dropped = f", {counts.dropped} left out as too long" if counts.dropped else ""
    if counts.truncated:
        dropped += f", {counts.truncated} cut, {counts.unstopped} of them within an answer"
    return (
        f"{counts.rows:,} rows, {counts.tokens:,} tokens, {counts.supervised_tokens:,} of them in the loss,"
        f" longest row {counts.longest:,}{dropped}"
    )
