"""The command `evalkit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curate.core import console
from curate.core.console import EPILOG, code_option, command_options, print_json, run, say
from evalkit.cli.drift import drift
from evalkit.cli.gate import decide_and_print, gate
from evalkit.cli.judge import judge
from evalkit.cli.options import FILE, FOLDER
from evalkit.cli.regression import regression, safety
from evalkit.cli.release import release
from evalkit.cli.results import compare, export
from evalkit.cli.review import label_command, review_command

if TYPE_CHECKING:
    from evalkit.ask.noise_floor import NoiseRecord
    from evalkit.results.result_record import ResultRecord

_INCONCLUSIVE = 6


@click.group(epilog=EPILOG)
@click.version_option(package_name="acidtest")
def cli() -> None:
    """Measure contenders on the same held-out items and say which rung of the ladder does the job.

    \b
    Examples:
      evalkit run suite.yaml
      evalkit run suite.yaml --dry-run
      evalkit show demo/results
    """


@cli.command("run", epilog=EPILOG)
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Ask only this many items, chosen by the suite's seed.")
@click.option("--contender", "contenders", multiple=True, help="Ask only this contender; may be given repeatedly.")
@click.option("--output", type=FOLDER, help="Write here instead of where the suite says.")
@click.option("--seed", type=int, help="Use this seed instead of the suite's.")
@click.option("--cache", type=FOLDER, help="Keep answers in this folder, for several suites or outputs to share.")
@click.option("--offline", is_flag=True, help="Ask no endpoint; what isn't kept counts as unscored.")
@click.option("--force", is_flag=True, help="Ask everything again, also what was answered before.")
@click.option("--aa", is_flag=True, help="Compare each contender at an endpoint with itself instead: the noise floor.")
@click.option("--gate", "rules", type=FILE, help="Then decide by these rules.")
@click.option("--against", type=FOLDER, help="With --gate: the baseline's results.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked; ask and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json; with --gate verdict.json.")
@code_option
@command_options
def run_suite(
    suite: Path, aa: bool, rules: Path | None, against: Path | None, dry_run: bool, as_json: bool, **chosen: Any
) -> int:
    """Run every contender of SUITE on its items, compare them, and write the report.

    Writes generations.jsonl, scores.jsonl (also .csv and .parquet), result.json, report.html, report.md and junit.xml.
    Answers are kept one by one: after an interruption the same command goes on and pays for nothing twice. Does nothing
    where nothing changed. Ends with 6 where the budget ended before the questions.

    \b
    Examples:
      evalkit run suite.yaml
      evalkit run suite.yaml --limit 20 --contender base --output /tmp/try
      evalkit run suite.yaml --aa
      evalkit run suite.yaml --offline --json
      evalkit run suite.yaml --gate gate.yaml --against releases/current/results
    """
    from evalkit import run as evaluation

    choice = evaluation.RunOptions(**chosen)
    if dry_run:
        _print_plan(evaluation.plan(suite, choice), as_json=as_json)
        return 0
    if aa:
        return _run_aa(evaluation.measure_noise(suite, choice), as_json=as_json)
    evaluated = evaluation.evaluate(suite, choice)
    if not (rules and as_json):
        _print_result(evaluated.result, as_json=as_json)
    if evaluated.up_to_date:
        say(f"{evaluated.folder} is up to date: the suite and its inputs have not changed")
    say(f"report: {evaluated.folder / 'report.html'}")
    if rules:
        return decide_and_print(evaluated.folder, rules, against, evaluated.folder, as_json=as_json)
    return _INCONCLUSIVE if evaluated.result.stopped else 0


@cli.command(epilog=EPILOG)
@click.argument("suite", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), help="Plan for only this many items, chosen by the suite's seed.")
@click.option("--contender", "contenders", multiple=True, help="Plan for only this contender; may be given repeatedly.")
@click.option("--cache", type=FOLDER, help="The folder where answers are kept, if not the suite's output.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@code_option
@command_options
def plan(suite: Path, as_json: bool, **chosen: Any) -> int:
    """Say what SUITE asks, costs and takes, before a token is spent. Asks and writes nothing.

    \b
    Examples:
      evalkit plan suite.yaml
      evalkit plan suite.yaml --limit 200 --json
    """
    from evalkit import run as evaluation

    _print_plan(evaluation.plan(suite, evaluation.RunOptions(**chosen)), as_json=as_json)
    return 0


@cli.command(epilog=EPILOG)
@click.argument("url")
@click.option("--model", help="The model to try out; without it only the models there are listed.")
@click.option("--key-env", help="The environment variable that holds the key.")
@click.option("--context", type=click.IntRange(min=1), help="Try whether a prompt of about this many tokens fits.")
@click.option("--timeout", "timeout_s", type=float, default=60.0, show_default=True, help="Seconds for an answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@command_options
def doctor(url: str, as_json: bool, **chosen: Any) -> int:
    """Try out the OpenAI-compatible endpoint at URL (it ends in /v1): what it can do of what a suite may need.

    About ten short questions are asked. Ends with 1 where something is missing that every suite needs.

    \b
    Examples:
      evalkit doctor http://localhost:8000/v1
      evalkit doctor http://localhost:8000/v1 --model my-adapter
      evalkit doctor https://api.openai.com/v1 --model gpt-4.1-mini --key-env OPENAI_API_KEY --json
    """
    from evalkit import doctor as clinic

    findings = clinic.examine(url, **chosen)
    if as_json:
        print_json(findings)
    else:
        clinic.print_findings(findings)
    return 0 if findings["fit"] else 1


@cli.command(epilog=EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print result.json.")
@command_options
def show(results: Path, as_json: bool) -> int:
    """Print the summary and the verdict of the RESULTS folder.

    \b
    Example:
      evalkit show demo/results
    """
    from evalkit.results.folder import read_result

    _print_result(read_result(results), as_json=as_json)
    return 0


@cli.command(epilog=EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@command_options
def report(results: Path, dry_run: bool) -> int:
    """Render the report of the RESULTS folder again, from the files in it.

    \b
    Example:
      evalkit report demo/results
    """

    from evalkit.report.files import record_reports, render_reports
    from evalkit.results.folder import read_results

    read = read_results(results)
    if dry_run:
        say(f"dry run: would write report.html and report.md for {len(read.items)} items into {results}")
        return 0
    paths = render_reports(results, read)
    record_reports(results, paths)
    for path in paths:
        console.show(path)
    return 0


@cli.group()
def rubric() -> None:
    """Rubrics: what a judge is asked.

    \b
    Example:
      evalkit rubric check rubrics/structured_output.yaml
    """


@rubric.command(epilog=EPILOG)
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@command_options
def check(files: tuple[Path, ...]) -> int:
    """Check rubric FILES: every fault with its line, and advice on what makes grading hard.

    \b
    Example:
      evalkit rubric check rubrics/structured_output.yaml
    """
    from evalkit.judge.rubric import advice, load_rubric

    for path in files:
        rubric_file = load_rubric(path)
        notes = advice(rubric_file)
        console.show(f"{path}: {rubric_file.name} version {rubric_file.version}, {len(rubric_file.criteria)} criteria")
        for note in notes:
            console.show(f"  advice: {note}")
    return 0


cli.add_command(review_command)
judge.add_command(label_command)
cli.add_command(judge)
cli.add_command(gate)


def _run_aa(noise: "NoiseRecord", *, as_json: bool) -> int:
    from evalkit.ask.noise_floor import describe

    if as_json:
        print_json(noise)
    else:
        console.show("\n".join(describe(noise)))
    return _INCONCLUSIVE if noise.stopped else 0


def _print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from evalkit.plan import describe_total

    if as_json:
        print_json(plan)
        return
    table = Table(title=Text(f"{plan['suite']}: {plan['items']} items"), title_justify="left", box=None, pad_edge=False)
    table.add_column("contender")
    for column in ("questions", "prompt tokens", "longest", "answers kept", "can't be asked"):
        table.add_column(column, justify="right")
    for contender in plan["contenders"]:
        about = "~" if contender["estimated"] else ""
        lengths = (f"{about}{contender[key]:,}" for key in ("prompt_tokens", "longest_prompt"))
        counts = (f"{contender[key]:,}" for key in ("answers_kept", "cannot_be_asked"))
        table.add_row(Text(contender["name"]), f"{contender['questions']:,}", *lengths, *counts)
    Console(highlight=False).print(table)
    for line in describe_total(plan):
        console.show(line)
    say(f"would write {plan['output']}" + (" (up to date already)" if plan["up_to_date"] else ""))


def _print_result(result: "ResultRecord", *, as_json: bool) -> None:
    from evalkit.report.terminal import print_summary

    if as_json:
        print_json(result)
    else:
        print_summary(result)


cli.add_command(export)
cli.add_command(compare)
cli.add_command(release)
cli.add_command(drift)
cli.add_command(regression)
cli.add_command(safety)


def main() -> None:
    """Run the command line."""
    run(cli)
