"""The commands that run one stage alone: each names its settings, runs a step, and shows what came out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.core.console import EPILOG, code_option, command_options, print_json, say, warn
from curate.core.gc_pause import collector_paused
from curate.core.visible import visible

if TYPE_CHECKING:
    from rich.table import Table

    from curate.core.manifest import StageCount

_PATHS = click.argument("paths", nargs=-1, required=True, metavar="FILES...")
_SHOWN_LABELS = 20  # of a dataset with many: the largest, and the screen still holds what stands above them
_LABEL_WIDTH = 32  # characters, which leave room for four columns of numbers in a line of 80
_ANY_WIDTH = 1 << 20
_FOLDER = click.Path(file_okay=False, path_type=Path)
SCREENS = (
    *("secrets", "personal_data", "toxicity", "repetition"),
    *("refusals", "boilerplate", "low_information"),
)


def stage_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options that every command on rows takes."""
    options = (
        _PATHS,
        click.option("--recipe", type=click.Path(path_type=Path), help="Take the stage's settings from this recipe."),
        click.option("--format", "form", help="What the records look like; found out where it is left out."),
        click.option("--output", type=_FOLDER, help="Write kept.jsonl and rejected.jsonl into this folder."),
        click.option("--dry-run", is_flag=True, help="With --output: say what would be written; write nothing."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        code_option,
        command_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


@collector_paused()
def run_command(names: Sequence[str], settings: Mapping[str, Any], **given: Any) -> int:
    """Run the named stages on the files and show, or write, what came out.

    Returns 1 where a stage that looks for faults leaves rows out and nothing is written: the answer is the exit code.
    Rows that give away evaluation items are told so whatever becomes of them.
    """
    from curate.build import one_stage
    from curate.build.stages import COMPOSING

    rows = one_stage.read_rows(given["paths"], settings, recipe=given["recipe"], form=given["form"])
    result = one_stage.run_named(rows, names)
    if given["as_json"]:
        print_json(result.summary())
    else:
        _print_result(result.run.counts, result.run.reports)
    for text in result.run.warnings:
        warn(text)
    write(result.files, given["output"], rows.read, dry_run=given["dry_run"])
    # What stages that compose leave out is what was asked for, not a fault.
    is_check = not COMPOSING & set(names) and given["output"] is None
    leaks = result.run.reports.get("decontaminate", {}).get("rows", 0)
    return int(bool(leaks or (is_check and result.run.rejections)))


def write(files: Mapping[str, Iterable[bytes]], output: Path | None, read: Sequence[Path], *, dry_run: bool) -> None:
    """Write the files, made of what was `read`, where an output was named, and say so."""
    from curate.build.one_stage import check_replaced, write_files

    if output is None:
        return
    names = ", ".join(sorted(files))
    if dry_run:
        check_replaced(files, output, read)
        say(f"dry run: would write {names} into {output}")
        return
    write_files(files, output, read)
    say(f"wrote {names} into {output}")


@click.command(epilog=EPILOG)
@stage_options
@click.option("--schema", help="The JSON schema of answers: a .json file, or meta.KEY.")
@click.option("--base", help="Check every row against this base model's chat template and tokenizer.")
@click.option("--max-tokens", type=int, help="The longest row that fits, in tokens of --base.")
@click.option("--fix", is_flag=True, default=None, help="Repair what can be repaired mechanically first.")
def validate(schema: str | None, base: str | None, max_tokens: int | None, fix: bool | None, **given: Any) -> int:
    """Check that rows are conversations that end in an answer; exit code 1 where some are not.

    \b
    Examples:
      curate validate rows.jsonl
      curate validate "data/*.jsonl.gz" --schema answer.json --output checked
      zcat rows.jsonl.gz | curate validate - --json
    """
    checks = {"target_schema": schema, "max_tokens": max_tokens, "fix": fix}
    return run_command(["validate"], {"base": base, "validate": checks}, **given)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--on", type=click.Choice(["prompt", "answer", "conversation"]), help="What is compared.")
@click.option("--threshold", type=float, help="The Jaccard similarity from which rows are duplicates (0.7).")
@click.option("--exact", is_flag=True, help="Exact duplicates only.")
@click.option("--semantic", type=float, help="Also rows whose meaning is as similar as this, by embeddings (0.95).")
def dedup(on: str | None, threshold: float | None, exact: bool, semantic: float | None, **given: Any) -> int:
    """Find exact and near duplicates; of each cluster one row is kept. Exit code 1 where there are some.

    \b
    Examples:
      curate dedup rows.jsonl
      curate dedup a.jsonl b.jsonl --on conversation --threshold 0.8 --output unique
    """
    from curate.build.stages import DUPLICATES

    names = DUPLICATES[:1] if exact else DUPLICATES
    settings: dict[str, Any] = {"on": on, "threshold": threshold}
    if semantic is not None:
        settings["semantic"] = {"threshold": semantic}
    return run_command(names, {"dedup": settings}, **given)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--against", multiple=True, help="An evaluation suite: a file, a folder or a glob. Again for more.")
@click.option("--action", type=click.Choice(["quarantine", "drop", "report"]), help="What happens to such rows.")
@click.option("--ngram", type=int, help="Words in a run that a row and an item share (13).")
@click.option("--paraphrases", type=float, help="Also rephrased items, as similar as this by embeddings (0.8).")
def decontaminate(
    against: tuple[str, ...], action: str | None, ngram: int | None, paraphrases: float | None, **given: Any
) -> int:
    """Find rows that give away evaluation items; exit code 1 where there are some, written out or not.

    \b
    Examples:
      curate decontaminate rows.jsonl --against suites/gsm8k.jsonl --output clean
      curate decontaminate rows.jsonl --against suites/gsm8k.jsonl --paraphrases 0.8
    """
    suites = [{"path": str(Path(one).absolute()), "name": one} for one in against] or None
    if suites is None and given["recipe"] is None:
        raise click.UsageError("name a suite with --against, or a recipe that does with --recipe")
    block: dict[str, Any] = {"against": suites, "action": action, "ngram": ngram}
    if paraphrases is not None:
        block["paraphrases"] = {"threshold": paraphrases}
    settings = {"decontaminate": block}
    return run_command(["decontaminate"], settings, **given)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--report", multiple=True, type=click.Choice(SCREENS), help="Count rows that this screen finds.")
@click.option("--reject", multiple=True, type=click.Choice(SCREENS), help="Leave out rows that this screen finds.")
@click.option("--redact", multiple=True, type=click.Choice(SCREENS[:2]), help="Replace what this screen finds.")
@click.option("--language", multiple=True, help="Reject answers in other languages than this (ISO 639-1 code).")
def screen(
    report: tuple[str, ...], reject: tuple[str, ...], redact: tuple[str, ...], language: tuple[str, ...], **given: Any
) -> int:
    """Look for secrets, personal data, toxicity, repetition, refusals, boilerplate, empty texts.

    Without --report, --reject, --redact or --recipe, every screen reports.

    \b
    Examples:
      curate screen rows.jsonl
      curate screen rows.jsonl --reject secrets --redact personal_data --output clean
    """
    actions = {"report": report, "reject": reject, "redact": redact}
    settings: dict[str, Any] = {name: {"action": action} for action, names in actions.items() for name in names}
    if language:
        settings["language"] = {"action": "reject", "expected": list(language)}
    if not settings and given["recipe"] is None:
        settings = {name: {"action": "report"} for name in SCREENS}
    return run_command(["screen"], {"screens": settings}, **given)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--by", help="label, source, origin, group, language, length, prompt_length, answer_length or meta.KEY.")
@click.option("--cap", type=int, help="The most rows of any class.")
@click.option("--floor", type=int, help="The fewest rows of any class.")
@click.option("--temperature", type=float, help="1 changes nothing, large values make classes equal.")
@click.option("--seed", type=int, help="Decides which rows go.")
def balance(
    by: str | None, cap: int | None, floor: int | None, temperature: float | None, seed: int | None, **given: Any
) -> int:
    """Limit how many rows the classes of a field have.

    \b
    Examples:
      curate balance rows.jsonl --by label --cap 500 --output balanced
      curate balance rows.jsonl --by source --temperature 3 --json
    """
    settings: dict[str, Any] = {"seed": seed}
    if by is not None:
        settings["balance"] = {"rules": [_given(by=by, cap=cap, floor=floor, temperature=temperature)]}
    elif given["recipe"] is None:
        raise click.UsageError("name a field with --by, or a recipe with a `balance` block with --recipe")
    return run_command(["balance"], settings, **given)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--unit", type=click.Choice(["rows", "tokens"]), help="What shares and size count.")
@click.option("--synthetic", type=float, help="The part of the mix that synthetic rows should make.")
@click.option("--max-synthetic", type=float, help="The part that they never exceed.")
@click.option("--size", type=int, help="The rows or tokens of the whole mix.")
@click.option("--seed", type=int, help="Decides which rows go.")
def mix(
    unit: str | None,
    synthetic: float | None,
    max_synthetic: float | None,
    size: int | None,
    seed: int | None,
    **given: Any,
) -> int:
    """Mix gold with synthetic rows, as their `origin` says.

    \b
    Example:
      curate mix gold.jsonl made.jsonl --synthetic 0.3 --output mixed
    """
    block = _given(unit=unit, synthetic=synthetic, max_synthetic=max_synthetic, size=size)
    return run_command(["mix"], {"seed": seed, "mix": block}, **given)


@click.command(epilog=EPILOG)
@stage_options
@click.option("--by", type=click.Choice(["group", "row"]), help="What stays together beside near duplicates.")
@click.option("--from", "field", metavar="FIELD", help="Keep the sides that this field names, such as meta.split.")
@click.option("--val", type=float, help="The part of the rows that val gets (0.1).")
@click.option("--test", type=float, help="The part of the rows that test gets (0.1).")
@click.option("--seed", type=int, help="Decides who falls where.")
def split(
    by: str | None, field: str | None, val: float | None, test: float | None, seed: int | None, **given: Any
) -> int:
    """Divide rows into train, val and test; near duplicates and groups stay on one side, and no row is left out.

    \b
    Example:
      curate split rows.jsonl --val 0.05 --test 0.15 --output parts
    """
    from curate.build import one_stage

    shares: dict[str, float] = {}
    if val is not None or test is not None:
        shares = {"val": val or 0.0, "test": test or 0.0}
        shares["train"] = 1 - sum(shares.values())
    settings = {"seed": seed, "split": {"by": by, "from": field, "shares": shares or None}}
    rows = one_stage.read_rows(given["paths"], settings, recipe=given["recipe"], form=given["form"])
    counts, files, warnings = one_stage.split_result(rows)
    if given["as_json"]:
        print_json({"split": counts, "unread": len(rows.unread), "warnings": warnings})
    else:
        print_sides(counts, "see --json")
    for text in warnings:
        warn(text)
    if rows.unread:
        warn(f"{len(rows.unread)} records could not be read")
    write(files, given["output"], rows.read, dry_run=given["dry_run"])
    return 0


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _print_result(stages: Sequence["StageCount"], reports: Mapping[str, Any]) -> None:
    numbers = [[stage.name, stage.rows_in, stage.kept, stage.rejected] for stage in stages]
    why = [", ".join(f"{reason} {count}" for reason, count in stage.reasons.items()) for stage in stages]
    print_table(
        ["stage", "in", "kept", "rejected", "why"], [[*row, text] for row, text in zip(numbers, why, strict=True)]
    )
    from curate.build.stages import STAGES

    for stage in STAGES:
        for head, lines in stage.tables(reports[stage.name]) if stage.name in reports else ():
            click.echo()
            print_table(head, lines)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; numbers stand to the right, and text is never markup."""
    from rich.console import Console

    Console(highlight=False).print(_made_table(head, rows))


def print_sides(counts: Mapping[str, Mapping[str, int]], whole: str) -> None:
    """Print how many rows of each label each side has: a line a side, or, where that is too wide, a line a label.

    `whole` says where those stand that are too many.
    """
    from rich.console import Console

    labels = sorted({label for each in counts.values() for label in each})
    sums = {side: sum(each.values()) for side, each in counts.items()}
    lines = [[side, *(each.get(label, 0) for label in labels), sums[side]] for side, each in counts.items()]
    console = Console(highlight=False)
    table = _made_table(["side", *labels, "all"], lines)
    if console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum <= console.width:
        console.print(table)
        return
    of_label = {label: [each.get(label, 0) for each in counts.values()] for label in labels}
    most = sorted(labels, key=lambda label: -sum(of_label[label]))[:_SHOWN_LABELS]
    per_label = [[_cut(label), *of_label[label], sum(of_label[label])] for label in most]
    console.print(_made_table(["label", *counts, "all"], [*per_label, ["all", *sums.values(), sum(sums.values())]]))
    if rest := len(labels) - len(most):
        console.print(f"and {rest} more labels, with fewer rows: {whole}")


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_WIDTH else f"{label[: _LABEL_WIDTH - 3]}..."


def _made_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        is_number = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
        table.add_column(Text(visible(name)), justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(Text(visible(str(value))) for value in row))
    return table


COMMANDS = (validate, dedup, decontaminate, screen, balance, mix, split)
