"""The commands on results that are there: export them, compare two of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.core.console import EPILOG, command_options, print_json, say, show
from curate.core.errors import ConfigError
from evalkit.cli.options import FOLDER, json_option

if TYPE_CHECKING:
    from evalkit.results.compare_runs import ComparedResults

_FORMATS = ("inspect", "lm-eval", "csv", "parquet")


@click.command(epilog=EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--to", "formats", type=click.Choice(_FORMATS), multiple=True, required=True, help="May be repeated.")
@click.option("--output", type=FOLDER, help="Write here instead of RESULTS/exports.")
@click.option("--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@command_options
def export(results: Path, formats: tuple[str, ...], output: Path | None, dry_run: bool) -> int:
    """Write the RESULTS folder in other tools' formats, and print the paths.

    `inspect`: logs for `inspect view`. `lm-eval`: its result and sample files. `csv`, `parquet`: a line an answer.

    \b
    Examples:
      evalkit export demo/results --to inspect
      evalkit export demo/results --to lm-eval --to csv --output /tmp/out
    """
    from evalkit.exports.inspect_log import write_inspect
    from evalkit.exports.lm_eval_files import write_lm_eval
    from evalkit.exports.tables import write_csv, write_parquet
    from evalkit.results.folder import read_results

    folder = output or results / "exports"
    read = read_results(results)
    if dry_run:
        say(f"dry run: would write {', '.join(formats)} of {len(read.generations)} answers into {folder}")
        return 0
    writers = {"inspect": write_inspect, "lm-eval": write_lm_eval, "csv": write_csv, "parquet": write_parquet}
    for name in dict.fromkeys(formats):
        for path in writers[name](read, folder):
            show(path)
    return 0


@click.command(epilog=EPILOG)
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
@click.option("--contender", "pairs", multiple=True, help="BEFORE=AFTER, or one name for both; may be repeated.")
@json_option
@command_options
def compare(first: Path, second: Path, pairs: tuple[str, ...], as_json: bool) -> int:
    """Compare the results folders FIRST and SECOND on the items that both have, metric by metric.

    Ends with 0 where the primary metric got better or stayed the same (less than the useful effect either way), with 1
    where a contender got worse, with 6 where the items can't say.

    \b
    Examples:
      evalkit compare results-monday results-tuesday
      evalkit compare old new --contender adapter=adapter-v2 --json
    """
    from evalkit.results.compare_runs import EXIT, compare_results
    from evalkit.results.folder import read_results

    named = [_pair(text) for text in pairs]
    record = compare_results(read_results(first), read_results(second), named)
    if as_json:
        print_json(record)
    else:
        _print_changes(record)
    return EXIT[record.verdict]


def _pair(text: str) -> tuple[str, str]:
    before, sign, after = text.partition("=")
    if not before or (sign and not after):
        raise ConfigError("not BEFORE=AFTER", where=f"--contender {text}")
    return before, after or before


def _print_changes(record: "ComparedResults") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from curate.core.visible import visible
    from evalkit.stats.in_words import percent, points, span

    title = f"{record.items} items in both" + (f", {record.left_out} in one only" if record.left_out else "")
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for column in ("contender", "metric"):
        table.add_column(column, no_wrap=True)
    for column in ("before", "after", "points", "interval", "fixed", "broke"):
        table.add_column(column, justify="right")
    table.add_column("")
    for change in record.changes:
        means = ("unscored" if mean is None else percent(mean) for mean in (change.before, change.after))
        table.add_row(
            Text(visible(change.contender)),
            Text(visible(change.metric)),
            *means,
            points(change.difference),
            span(change.low, change.high),
            str(change.fixed),
            str(change.broke),
            change.standing,
        )
    console = Console(highlight=False)
    console.print(table)
    if not record.same_suite:
        say("the two suites differ: what changed may be the question, not the answer")
    console.print(f"\n{record.primary}: {record.verdict}", markup=False)
