"""The commands on whole datasets: what is in one, how two differ, canaries, and new rows from a teacher."""

from pathlib import Path
from typing import Any

import click
import msgspec

from curate.cli.stages import print_table, stage_options, write
from curate.core.console import EPILOG, code_option, command_options, print_json, progress, say, show, warn

_FILE = click.Path(dir_okay=False, path_type=Path)
_INCONCLUSIVE = 6


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="FILES...")
@click.option("--format", "form", help="What the records look like; found out where it is left out.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@command_options
def stats(paths: tuple[str, ...], form: str | None, as_json: bool) -> int:
    """Say what is in FILES: rows, lengths, labels, sources, duplicates, and what so many rows are good for.

    Of what could not be read it says why; exit code 1 where that is everything.

    \b
    Examples:
      curate stats rows.jsonl
      curate stats demo/dataset/train.jsonl --json
    """
    from curate.build.one_stage import read_rows
    from curate.core.sources.row_readers import UNKNOWN
    from curate.report.statistics import measure

    found = measure(read_rows(paths, {"dedup": {"on": "conversation"}}, form=form))
    if as_json:
        print_json(found)
        return int(not found["rows"])
    unit = ("rows", "unreadable", "exact_duplicates", "near_duplicates")
    print_table(["", "rows"], [[name.replace("_", " "), found[name]] for name in unit])
    for name, files in found["formats"].items():
        how = "in no known format" if name == UNKNOWN else f"read as {name}"
        click.echo(f"{files} {'file' if files == 1 else 'files'} {how}")
    for why in found["unread"]:
        click.echo(f"{why['reason']} {why['records']}: {why['first']}")
    if not found["rows"]:
        warn("no row could be read")
        return 1
    click.echo()
    names = ("min", "median", "p90", "max", "mean")
    print_table(
        ["words in", *names], [[part, *(each[name] for name in names)] for part, each in found["lengths"].items()]
    )
    for field, classes in found["classes"].items():
        click.echo()
        shares = [[name, count, f"{count / max(found['rows'], 1):.1%}"] for name, count in classes.items()]
        print_table([field, "rows", "share"], shares)
    click.echo()
    for text in found["advice"]:
        show(text)
    return 0


@click.command(epilog=EPILOG)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
@command_options
def diff(a: Path, b: Path, as_json: bool) -> int:
    """Say how dataset (or file) B differs from A: rows added, removed, changed, moved; exit code 1 where it does.

    \b
    Example:
      curate diff old/dataset demo/dataset
    """
    from curate.report.diff import compare

    found = compare(a, b)
    if as_json:
        print_json(found.summary())
    else:
        for line in found.sentences():
            show(line)
    return int(found.is_different)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--count", type=int, help="How many canaries (10).")
@click.option("--copies", type=int, multiple=True, help="How often one is planted; canaries take these in turn.")
@click.option("--into", type=click.Choice(["extra", "rows"]), help="Rows of their own, or lines in answers.")
@click.option("--seed", type=int, help="Decides the strings and their places.")
def canary(count: int | None, copies: tuple[int, ...], into: str | None, seed: int | None, **given: Any) -> int:
    """Plant unique strings in training rows, so that it can be tested later whether a model leaks them.

    Writes kept.jsonl, the rows with canaries, and canaries.jsonl, which must never become training data.

    \b
    Example:
      curate canary train.jsonl --count 20 --output planted
    """
    from curate.build.one_stage import read_rows
    from curate.compose.canaries import plant
    from curate.core.rows.row import encode_row

    options = {"count": count, "copies": list(copies) or None, "into": into, "seed": seed}
    rows = read_rows(given["paths"], {"canaries": options}, recipe=given["recipe"], form=given["form"])
    settings = rows.context.recipe.canaries
    assert settings is not None
    planted = plant(rows.rows.rows, settings)
    record, total = planted.record(), len(rows.rows) + len(planted.extra)
    if given["as_json"]:
        print_json({**record, "rows": total, "unread": len(rows.unread)})
    else:
        show(f"{record['count']} canaries, planted {record['planted']} times in {total} rows")
    files = {
        "kept.jsonl": (encode_row(row) + b"\n" for row in planted.rows),
        "canaries.jsonl": (msgspec.json.encode(canary) + b"\n" for canary in planted.canaries),
        "rejected.jsonl": rows.unread.lines(),
    }
    write(files, given["output"], rows.read, dry_run=given["dry_run"])
    return 0


@click.command(epilog=EPILOG)
@click.argument("settings", type=_FILE)
@click.option("--dry-run", is_flag=True, help="Count what would be asked and what it may cost; ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the record, or the plan, as JSON.")
@code_option
@command_options
def synthesize(settings: Path, dry_run: bool, as_json: bool) -> int:
    """Ask a teacher for rows from seeds, as the file SETTINGS says; exit code 6 where the budget ended first.

    The same command goes on where it stopped.

    \b
    Examples:
      curate synthesize synthesize.yaml --dry-run
      curate synthesize synthesize.yaml
    """
    import msgspec

    from curate.core.config_file import load_config
    from curate.synthesize.config import Synthesize
    from curate.synthesize.job import plan_synthesis, run_synthesis

    loaded = load_config(settings, Synthesize)
    plan = plan_synthesis(loaded, settings.parent)
    if dry_run:
        found = msgspec.to_builtins(plan)
        if as_json:
            print_json(found)
        else:
            print_table(["", ""], [[name.replace("_", " "), str(value)] for name, value in found.items()])
        say("dry run: nothing was asked or written")
        return 0
    with progress("synthesize", max(plan.requests - plan.answered, 1)) as advance:
        made = run_synthesis(loaded, settings.parent, done=lambda: advance(1))
    if as_json:
        print_json(made.record)
    else:
        counts = {"rows": len(made.rows), "rejected": len(made.rejections), "for review": len(made.audit)}
        print_table(["", "rows"], [[name, count] for name, count in counts.items()])
    if made.unasked:
        warn(f"the budget ended: {made.unasked} requests were not asked; raise it and run the same command again")
        return _INCONCLUSIVE
    return 0


COMMANDS = (stats, diff, canary, synthesize)
