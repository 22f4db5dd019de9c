"""The command `curate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from curate.cli import datasets as dataset_commands
from curate.cli import index as index_commands
from curate.cli import stages as stage_commands
from curate.core.console import EPILOG, Bytes, code_option, command_options, print_json, run, say, show, warn
from curate.core.visible import visible
from curate.review.commands import review

if TYPE_CHECKING:
    from curate.core.manifest import Manifest

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(epilog=EPILOG)
@click.version_option(package_name="acidtest")
def cli() -> None:
    """Turn messy rows into a dataset that can be trusted, with a reason for every row that is left out.

    \b
    Examples:
      curate init my-task
      curate build my-task/recipe.yaml
      curate verify my-task/dataset
    """


@cli.command(epilog=EPILOG)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--output", type=_FOLDER, help="Write here instead of where the recipe says.")
@click.option("--force", is_flag=True, help="Build again from the start even where nothing changed.")
@click.option("--dry-run", is_flag=True, help="Count what would come out; write nothing.")
@click.option("--fix", is_flag=True, help="Repair what can be repaired mechanically, as `validate: {fix: true}` does.")
@click.option("--memory", type=Bytes(), help="Use temporary files rather than more memory than this, such as 2GB.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@code_option
@command_options
def build(
    recipe: Path, output: Path | None, force: bool, dry_run: bool, fix: bool, memory: int | None, as_json: bool
) -> int:
    """Build the dataset that RECIPE describes.

    Writes train.jsonl, val.jsonl, test.jsonl, rejected.jsonl, manifest.json and card.md. Does nothing where they are
    there already and neither the recipe nor its inputs changed. A build that was stopped goes on.

    A recipe can name Python functions (file.py:function), which then run as you. The first build with such a file says
    so; --no-code refuses it.

    \b
    Examples:
      curate build recipe.yaml
      curate build recipe.yaml --dry-run
      curate build recipe.yaml --output /tmp/dataset --json
    """
    from curate.build import build as pipeline
    from curate.recipe.detected_formats import detected_formats

    built = pipeline.build(recipe, output=output, force=force, dry_run=dry_run, fix=fix, memory=memory)
    for text in detected_formats(built.manifest):
        say(text)
    for text in built.warnings:
        warn(text)
    if as_json:
        print_json({"up_to_date": built.up_to_date, "dry_run": dry_run, "manifest": built.manifest})
    else:
        _print_summary(built.manifest)
    if built.up_to_date:
        say(f"{built.output} is up to date: the recipe and its inputs have not changed")
    elif dry_run:
        say("dry run: nothing was written")
    else:
        say(f"wrote {built.output}")
    return 0


@cli.command(epilog=EPILOG)
@click.argument("dataset", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@command_options
def verify(dataset: Path, as_json: bool) -> int:
    """Check that the files of DATASET are those its manifest describes; exit code 4 where they are not.

    \b
    Example:
      curate verify demo/dataset
    """
    from curate.build.dataset_folder import verify_dataset

    manifest = verify_dataset(dataset)
    if as_json:
        print_json({"verified": True, "digest": manifest.digest, "outputs": manifest.outputs})
    else:
        show(f"{dataset}: all {len(manifest.outputs)} files fit the manifest {manifest.digest}")
    return 0


@cli.command(epilog=EPILOG)
@click.argument("folder", type=_FOLDER)
@click.option("--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@command_options
def init(folder: Path, dry_run: bool) -> int:
    """Write a starter into FOLDER: a recipe with its adapter, a training file and a suite that work as they are.

    \b
    Example:
      curate init my-task
    """
    from curate.cli.starter import write_starter

    paths = write_starter(folder, dry_run=dry_run)
    for path in paths:
        show(path)
    if dry_run:
        say("dry run: nothing was written")
        return 0
    say("\nnext:")
    commands = {"recipe.yaml": "curate build", "train.yaml": "trainer fit", "suite.yaml": "evalkit run"}
    for name, command in commands.items():
        if folder / name in paths:
            say(f"  {command} {folder / name}")
    return 0


def _print_summary(manifest: "Manifest") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stages = Table(title=Text(visible(manifest.name)), title_justify="left", box=None, pad_edge=False)
    for column in ("stage", "in", "kept", "rejected"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    stages.add_column("why")
    for stage in manifest.stages:
        why = ", ".join(f"{reason} {count}" for reason, count in stage.reasons.items())
        numbers = map(str, (stage.rows_in, stage.kept, stage.rejected))
        stages.add_row(stage.name, *numbers, Text(visible(why)))
    console = Console(highlight=False)
    console.print(stages)
    console.print()
    stage_commands.print_sides(manifest.split, "see card.md")


for _command in (*stage_commands.COMMANDS, *dataset_commands.COMMANDS, index_commands.index, review):
    cli.add_command(_command)


def main() -> None:
    """Run the command line."""
    run(cli)
