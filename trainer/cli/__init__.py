"""The command line `trainer`."""

import click

from curate.core import console
from trainer.cli.runs import diff, list_runs, merge, show
from trainer.cli.training import fit, inspect, plan


@click.group(epilog=console.EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="acidtest")
@console.command_options
def cli() -> None:
    """Train a small adapter on curated rows, and record what went in.

    \b
    Examples:
      trainer inspect train.yaml
      trainer plan train.yaml
      trainer fit train.yaml
      trainer show demo/run
      trainer list demo
      trainer merge demo/run demo/merged
    """


for _command in (inspect, plan, fit, show, list_runs, diff, merge):
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit."""
    console.run(cli)
