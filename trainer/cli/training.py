"""The commands before and at a training: inspect, plan, fit."""

from pathlib import Path
from typing import Any

import click

from curate.core import console
from trainer.cli.runs import describe_rows, print_run

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("target", type=_FILE)
@click.option("--base", help="For a dataset: whose tokenizer and template to take.")
@click.option("--row", "ids", multiple=True, help="Show the row with this id. Give it several times.")
@click.option("--rows", "first", type=click.IntRange(min=0), default=2, show_default=True, help="Show the first rows.")
@click.option("--json", "as_json", is_flag=True, help="Print numbers and rows as JSON.")
@console.command_options
def inspect(target: Path, base: str | None, ids: tuple[str, ...], first: int, *, as_json: bool) -> int:
    """Show rows as the model will see them. TARGET is a training file, or a dataset (a folder or a file of rows).

    A line after `>` counts in the loss, one after `|` doesn't; on a terminal neighbouring tokens differ in shade. Rows
    that can't be trained on are shown with what is wrong.

    \b
    Examples:
      trainer inspect train.yaml --row toolcalls-17
      trainer inspect demo/dataset --base embedded:smollm2-135m --rows 5
    """
    from curate.core.chat.base_model import load_chat_format
    from trainer.data.inspection import inspect_files, lines, what_to_inspect

    asked = what_to_inspect(target, base)
    chat = load_chat_format(asked.base)
    inspected = inspect_files(asked.paths, chat, asked.max_length, ids=ids, first=first, history=asked.history)
    if as_json:
        console.print_json(inspected)
    else:
        click.echo("\n".join(line for one in inspected for line in lines(one)), color=console.colour())
    return 0


@click.command()
@click.argument("file", type=_FILE)
@click.option("--hardware", type=_FILE, help="A YAML table of hardware with prices, see below.")
@click.option("--base", "bases", multiple=True, help="Compare with this base too. Give it several times.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@console.command_options
def plan(file: Path, hardware: Path | None, bases: tuple[str, ...], *, as_json: bool) -> int:
    """Say what the training that FILE describes will take: memory, time, money, steps.

    Reads every row and the base's config, but no weights. A table of hardware looks like this; `price_per_hour` is that
    of all its cards together, `tflops` what the data sheet says of one card's dense bf16 products:

    \b
      priced_on: 2026-11-22
      currency: EUR
      hardware:
        - {name: my 4090, memory_gb: 24, tflops: 165, price_per_hour: 0.40}
        - {name: two of them, memory_gb: 24, cards: 2, tflops: 165, price_per_hour: 0.80}

    \b
    Examples:
      trainer plan train.yaml
      trainer plan train.yaml --hardware prices.yaml --base Qwen/Qwen3-8B
    """
    from curate.core.config_file import load_config
    from trainer.config import TrainConfig
    from trainer.inputs import find_inputs
    from trainer.plan.hardware import KNOWN, HardwareTable
    from trainer.plan.plan import make_plan
    from trainer.plan.render import plan_lines

    folder = file.absolute().parent
    table = load_config(hardware, HardwareTable) if hardware else KNOWN
    made = make_plan(find_inputs(load_config(file, TrainConfig), folder), table, bases, folder)
    if as_json:
        console.print_json(made)
    else:
        console.show("\n".join(plan_lines(made)))
    return 0


@click.command()
@click.argument("file", type=_FILE)
@click.option("--output", type=_FILE, help="The run's folder, instead of the file's `output`.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after this many steps.")
@click.option("--force", is_flag=True, help="Train again from the beginning; delete checkpoints.")
@click.option("--dry-run", is_flag=True, help="Read every row, say what would be done, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON.")
@console.command_options
def fit(
    file: Path, output: Path | None, max_steps: int | None, *, force: bool, dry_run: bool, as_json: bool
) -> int:  # fmt: skip
    """Train the adapter that FILE describes.

    Goes on where an interrupted training stopped. Does nothing where the run is there and nothing it depends on has
    changed.

    \b
    Examples:
      trainer fit train.yaml
      trainer fit train.yaml --dry-run
      torchrun --no-python --nproc-per-node 2 trainer fit train.yaml
    """
    from curate.core.config_file import load_config
    from trainer import fit as job
    from trainer.config import TrainConfig
    from trainer.inputs import find_inputs
    from trainer.loop.processes import is_main_process

    config = load_config(file, TrainConfig)
    changed: dict[str, Any] = {"output": str(output.absolute())} if output else {}
    changed |= {"max_steps": max_steps} if max_steps else {}
    inputs = find_inputs(config.model_copy(update=changed), file.absolute().parent)
    if dry_run:
        _print_plan(job.preview(inputs), as_json=as_json)
        return 0
    fitted = job.fit(inputs, force=force)
    if not is_main_process():
        return 0
    if as_json:
        console.print_json(fitted.run.document)
    elif fitted.repeated:
        print_run(fitted.run)
    else:
        console.say(f"up to date: {fitted.run.folder}")
    return 0


def _print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.print_json(plan)
        return
    console.show(f"would train {plan['base']} ({plan['method']}) for {plan['steps']} steps into {plan['output']}")
    for name in ("train", "held_out"):
        if counts := plan[name]:
            console.show(f"  {name:8}  {describe_rows(counts)}")
    if plan["up_to_date"]:
        console.show("  the run is up to date: nothing would be done")
