"""The command `evalkit gate`."""

from pathlib import Path

import click

from curate.core.console import EPILOG, command_options, print_json, say
from evalkit.cli.options import FILE, FOLDER


@click.command(epilog=EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--rules", type=FILE, required=True, help="The gate's rules, in YAML.")
@click.option("--against", type=FOLDER, help="The baseline's results: those of the release in use, say.")
@click.option("--output", type=FOLDER, help="Write the verdict here instead of into the results.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print verdict.json.")
@command_options
def gate(results: Path, rules: Path, against: Path | None, output: Path | None, dry_run: bool, as_json: bool) -> int:
    """Decide by the rules whether the contender of the RESULTS folder may be released.

    Ends with 0 for pass, 1 for fail, 6 for inconclusive, 4 where results were changed. Passes only what was shown:
    what is missing counts against the contender. Writes verdict.json, verdict.junit.xml and verdict.md.

    \b
    Examples:
      evalkit gate results --rules gate.yaml
      evalkit gate results --rules gate.yaml --against releases/current/results --json
    """
    return decide_and_print(results, rules, against, None if dry_run else output or results, as_json=as_json)


def decide_and_print(results: Path, rules: Path, against: Path | None, write_to: Path | None, *, as_json: bool) -> int:
    """Print the verdict, write it, and return its exit code."""
    from evalkit.gate.decision import gate as decide
    from evalkit.gate.render import print_verdict

    gated = decide(results, against, rules, write_to=write_to)
    if as_json:
        print_json(gated.verdict)
    else:
        print_verdict(gated.verdict)
    if gated.paths:
        say(f"verdict: {', '.join(map(str, gated.paths))}")
    return gated.exit_code
