"""`evalkit review` and `evalkit judge label`: people look at answers, one key each."""

from pathlib import Path
from typing import Any

import click

from curate.core.console import EPILOG, command_options, print_json, say, show
from evalkit.cli.options import FILE, FOLDER


@click.command("review", epilog=EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--contenders", nargs=2, required=True, help="The two to compare.")
@click.option("--report", is_flag=True, help="Reveal who was preferred, over all reviewers so far; decide nothing.")
@click.option("--sample", type=click.IntRange(min=1), help="So many items, drawn at random.")
@click.option("--seed", default=0, help="Decides which answer stands left, and which items are drawn.")
@click.option(
    "--journal", "journals", type=FILE, multiple=True, help="Where decisions are kept; with --report, those to count."
)
@click.option("--reviewer", help="Who decides; left out, the name of the user.")
@click.option("--keys", type=FILE, help="A YAML file with other keys.")
@click.option("--plain", is_flag=True, help="No full screen: print an item, read a line.")
@click.option("--json", "as_json", is_flag=True, help="With --report: print it as JSON.")
@command_options
def review_command(results: Path, contenders: tuple[str, str], report: bool, as_json: bool, **given: Any) -> int:
    """Compare two contenders of RESULTS blind: 1 left, 2 right, 0 tie, 9 both bad; nobody sees whose answer it is.

    Scores and the judge's opinion are shown after the decision. --report reveals the win rate with its interval, how
    far reviewers agree, and how far scorers and judges agree with them.

    \b
    Examples:
      evalkit review demo/results --contenders base adapter --sample 100
      evalkit review demo/results --contenders base adapter --report
    """
    from curate.core.review.run import check_terminal, reviewer_name
    from evalkit.results.folder import read_results

    if report:
        from evalkit.review.win_rate import revealed

        found = revealed(read_results(results), results, *contenders, journals=given["journals"])
        if as_json:
            print_json(found)
        else:
            _print_report(found)
        return 0
    check_terminal(plain=given["plain"])
    from curate.core.review.run import Settings, review
    from evalkit.review.blind import pair_answers, write_key
    from evalkit.review.labels import check_reviewer

    reviewer = check_reviewer(reviewer_name(given["reviewer"]))
    pairing = pair_answers(read_results(results), *contenders, given["seed"])
    for count, what in (
        (len(pairing.identical), "the same answer twice: ties"),
        (len(pairing.unanswered), "no answer"),
    ):
        if count:
            say(f"{count} items have {what}")
    write_key(results, pairing, given["seed"])
    journal = given["journals"][0] if given["journals"] else results / f"preferences-{reviewer}.jsonl"
    review(pairing.deck, _settings(Settings, journal, reviewer, given))
    return 0


@click.command("label", epilog=EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--rubric", type=FILE, required=True, help="The rubric to grade by.")
@click.option("--criterion", help="Of a rubric with several.")
@click.option("--contender", "contenders", multiple=True, help="Only this contender's answers; again for more.")
@click.option("--output", type=FILE, help="The file of labels; left out, labels.jsonl in RESULTS.")
@click.option("--sample", type=click.IntRange(min=1), help="So many answers, drawn at random.")
@click.option("--seed", default=0, help="Decides the order, and which answers are drawn.")
@click.option("--journal", type=FILE, help="Where decisions are kept; left out, a file in RESULTS for each reviewer.")
@click.option("--reviewer", help="Who grades; left out, the name of the user.")
@click.option("--keys", type=FILE, help="A YAML file with other keys.")
@click.option("--plain", is_flag=True, help="No full screen: print an item, read a line.")
@command_options
def label_command(results: Path, rubric: Path, criterion: str | None, output: Path | None, **given: Any) -> int:
    """Grade answers of RESULTS by a rubric, a digit each, blind to whose they are: labels that calibrate a judge.

    Writes lines {item, contender, annotator, grade, criterion}; other annotators' lines stay.

    \b
    Example:
      evalkit judge label demo/results --rubric rubrics/structured_output.yaml --criterion only_the_object
    """
    from curate.core.review.run import Settings, check_terminal, review, reviewer_name

    check_terminal(plain=given["plain"])
    from curate.core.review.decisions import read_events
    from evalkit.judge.rubric import load_rubric
    from evalkit.results.folder import read_results
    from evalkit.review.labels import FILE, check_reviewer, choose_criterion, label_deck, write_labels

    reviewer = check_reviewer(reviewer_name(given["reviewer"]))
    loaded = load_rubric(rubric)
    chosen = choose_criterion(loaded, criterion)
    deck, owners = label_deck(read_results(results), loaded, chosen, given["contenders"], given["seed"])
    journal = given["journal"] or results / f"grades-{reviewer}.jsonl"
    target = output or results / FILE
    try:
        review(deck, _settings(Settings, journal, reviewer, given))
    finally:
        if journal.is_file():
            count = write_labels(target, reviewer, chosen.id, read_events(journal), owners)
            say(f"{count} labels of {reviewer} are in {target}")
    return 0


def _settings(make: Any, journal: Path, reviewer: str, given: dict[str, Any]) -> Any:
    return make(
        journal=journal, reviewer=reviewer, **{name: given[name] for name in ("plain", "sample", "seed", "keys")}
    )


def _print_report(found: dict[str, Any]) -> None:
    rate, a, b = found["win_rate"], found["a"], found["b"]
    lines = [
        f"{a} against {b} on {found['items']} items"
        f" ({found['identical']} with equal answers, {found['undecided']} undecided, {found['unanswered']} unanswered)",
        f"win rate of {a}: {rate['mean']:.1%}, interval {rate['low']:.1%} to {rate['high']:.1%}, p {rate['p']:.4f}",
        "decisions: " + ", ".join(f"{name} {count}" for name, count in found["decisions"].items()),
    ]
    lines += [
        f"{one['a']} and {one['b']}: {one['agreed']} of {one['items']} alike, kappa {_number(one['kappa'])}"
        for one in found["reviewers"]
    ]
    lines += [
        f"{one['scorer']}: prefers whom people prefer in {one['agreed']} of {one['both_clear']}"
        f" where both are clear, kappa with ties {_number(one['kappa'])}"
        for one in found["judges"]
    ]
    for line in lines:
        show(line)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
