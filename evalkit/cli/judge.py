"""The commands `evalkit judge`."""

from pathlib import Path
from typing import Any

import click

from curate.core.console import EPILOG, command_options, print_json, say
from evalkit.cli.options import FILE, FOLDER


@click.group()
def judge() -> None:
    """Judges: models that grade answers by a rubric, and what their grades are worth.

    \b
    Examples:
      evalkit judge calibrate --judgments results/judgments.jsonl --labels labels.jsonl --rubric rubrics/tone.yaml
      evalkit judge card cards/tone.json
    """


@judge.command(epilog=EPILOG)
@click.option("--judgments", type=FILE, required=True, help="What the judge said: lines {item, contender?, grade}.")
@click.option("--labels", type=FILE, help="What people said: lines {item, contender?, annotator, grade}.")
@click.option("--rubric", type=FILE, help="The rubric: its levels, and from which grade on an answer passes.")
@click.option("--criterion", help="Of a rubric or files with several.")
@click.option("--scorer", help="The judge's name in a suite, of judgments by several.")
@click.option("--pass-from", help="Without a rubric: the lowest grade that passes.")
@click.option("--admission", type=FILE, help="A YAML file with other requirements than the defaults.")
@click.option("--output", type=FILE, help="Write the judge's card here.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures and the card as JSON.")
@command_options
def calibrate(judgments: Path, labels: Path | None, output: Path | None, **options: Any) -> int:
    """Compare a judge with people: agreement with intervals, and whether the judge may vote.

    Agreement figures: raw_agreement, cohen_kappa, weighted_kappa, krippendorff_alpha, gwet_ac1, and people among
    themselves as the ceiling; false_pass_rate with its upper bound; by contender, annotator and answer length.

    \b
    Examples:
      evalkit judge calibrate --judgments j.jsonl --labels l.jsonl --json
      evalkit judge calibrate --judgments j.jsonl --labels l.jsonl --rubric rubrics/tone.yaml --output cards/tone.json
    """
    from evalkit.judge.calibrate import CalibrationOptions, calibrated
    from evalkit.judge.summary import print_card

    dry_run, as_json = options.pop("dry_run"), options.pop("as_json")
    card = calibrated(judgments, labels, CalibrationOptions(**options), None if dry_run else output)
    if as_json:
        print_json({**card["figures"], **{name: value for name, value in card.items() if name != "figures"}})
    else:
        print_card(card)
    if output is not None:
        say(f"dry run: would write {output}" if dry_run else f"card: {output}")
    return 0


@judge.command(epilog=EPILOG)
@click.argument("card", type=FILE)
@click.option(
    "--results",
    type=FOLDER,
    help="Check that the card holds for the judge of this results folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
@command_options
def card(card: Path, results: Path | None, as_json: bool) -> int:
    """Show a judge's card: its state, why, and whether it still holds (exit 4 where another judge was asked).

    \b
    Examples:
      evalkit judge card cards/tone.json
      evalkit judge card cards/tone.json --results results
    """
    from evalkit.judge.calibrate import check_card
    from evalkit.judge.card import read_card
    from evalkit.judge.summary import print_card

    record = read_card(card)
    if as_json:
        print_json(record)
    else:
        print_card(record)
    if results is not None:
        say(f"the card holds for {check_card(record, results)}")
    return 0
