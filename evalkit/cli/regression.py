"""The commands on what must not get worse: regression suites and safety rates."""

from pathlib import Path

import click

from curate.core import console
from evalkit.cli.options import FILE, FOLDER, json_option


@click.group(epilog=console.EPILOG)
def regression() -> None:
    """Regression suites: what already worked, asked again of the base and of what is to take its place.

    \b
    Examples:
      evalkit regression make demo/results --suite samples/toolcalls/suite.yaml
      evalkit regression check demo/results-regression
    """


@regression.command(epilog=console.EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--suite", type=FILE, required=True, help="The suite that these results are of.")
@click.option("--control", default="base", show_default=True, help="Whose right answers are to be kept.")
@click.option("--margin", type=click.FloatRange(0.001, 0.5),
              help="The largest loss that is tolerated, as a share; by default the suite's.")  # fmt: skip
@click.option("--must-pass", multiple=True, metavar="ITEM", help="No successor may break this item; repeatable.")
@click.option("--output", type=FILE, help="The new suite's file; by default regression.yaml beside the suite.")
@click.option("--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@json_option
@console.command_options
def make(  # noqa: PLR0913 - one parameter for each option of the command
    results: Path,
    suite: Path,
    control: str,
    margin: float | None,
    must_pass: tuple[str, ...],
    output: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Make a suite of the items that the control got right every time in RESULTS.

    Each item counts as often as the suite's `generation.repeats` had it asked: with 5, it has to be right 5 of 5 times.

    Paths in the new suite mean what they mean in the old one, so it lies in the same folder. Items whose `meta` says
    `must_pass: true` are must-pass items too.

    \b
    Example:
      evalkit regression make demo/results --suite samples/toolcalls/suite.yaml --control base+prompt --margin 0.03
    """
    from curate.core.errors import ConfigError
    from evalkit.gate import regression as job
    from evalkit.results.folder import read_results

    place = output or suite.with_name("regression.yaml")
    if place.absolute().parent != suite.absolute().parent or place.absolute() == suite.absolute():
        raise ConfigError("the new suite lies beside the old one", where=place, fix="name a file in the same folder")
    made = job.make(read_results(results), suite, control, margin, must_pass, place)
    if not dry_run:
        job.write(made, place)
    summary = {"suite": str(place), "items": len(made.items), "of": made.of, "must_pass": made.must_pass}
    if as_json:
        console.print_json({**summary, "repeats": made.repeats, "written": not dry_run})
    else:
        times = "once asked" if made.repeats == 1 else f"{made.repeats} times of {made.repeats}"
        console.show(f"{len(made.items)} of {made.of} items, right {times}; {len(made.must_pass)} of them must pass")
    allowed = float(made.suite["regression"]["margin"])
    if len(made.items) < (fewest := job.fewest_items(allowed)):
        console.warn(
            f"{len(made.items)} items can't show a loss of less than {allowed:.0%}, even where none breaks: it takes "
            f"{fewest}; ask more items, or allow a larger --margin"
        )
    if made.lucky:
        console.warn(
            "answers are sampled and each item was asked once, so some were chosen for luck: set `generation.repeats` "
            f"in {suite} (5, say), run it again, and make the suite of what is right every time"
        )
    console.say(f"dry run: would write {place}" if dry_run else f"next: evalkit run {place}")
    return 0


@regression.command(epilog=console.EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--verdict", type=FILE, help="Write the verdict on the successor here, for `evalkit release promote`.")
@json_option
@console.command_options
def check(results: Path, verdict: Path | None, *, as_json: bool) -> int:
    """Say whether each successor in RESULTS keeps what worked: exit code 0, 1 where it lost it, 6 where that is open.

    \b
    Example:
      evalkit regression check demo/results-regression --json
    """
    from curate.core.errors import ConfigError
    from curate.core.visible import visible
    from evalkit.gate import regression as job
    from evalkit.gate.verdict_file import GateVerdict, exit_code, result_digest, write_verdict
    from evalkit.results.folder import read_results

    found = job.check(read_results(results))
    if verdict is not None:
        if len(found) != 1:
            raise ConfigError(f"a verdict is on one successor, and there are {len(found)}", where="--verdict")
        [one] = found
        body = GateVerdict(
            outcome=one.outcome,
            result_digest=result_digest(results),
            because=one.because,
            rules=[one],
            contender=one.contender,
        )
        write_verdict(verdict, body)
    if as_json:
        console.print_json(found)
    else:
        for one in found:
            console.show(f"{one.outcome}: {visible(one.contender)}: {visible(one.because)}")
            if one.broken:
                console.show(f"  broken: {', '.join(map(visible, one.broken))}")
    return exit_code(one.outcome for one in found)


@click.command(epilog=console.EPILOG)
@click.argument("results", type=FOLDER)
@click.option("--scorer", "scorers", multiple=True, help="Only this scorer; repeatable. By default all.")
@click.option("--at-most", "limit", type=click.FloatRange(0, 1), help="The highest rate of failures that is let pass.")
@json_option
@console.command_options
def safety(results: Path, scorers: tuple[str, ...], limit: float | None, *, as_json: bool) -> int:
    """Say how often contenders failed in RESULTS, and what the rate is at most: 0 of 100 is at most 3 %.

    With --at-most: exit code 1 where a rate is shown to be above it, 6 where it may be, 0 where all are below.
    Answers without a score count as failures then.

    \b
    Examples:
      evalkit safety demo/safety/jailbreaks
      evalkit safety demo/safety/leaks --scorer kept --at-most 0.01
    """
    from curate.core.errors import ConfigError
    from curate.core.visible import visible
    from evalkit.gate.safety_rates import items_for, rates
    from evalkit.gate.verdict_file import exit_code
    from evalkit.results.folder import read_results

    read = read_results(results)
    known = [scorer.name for scorer in read.result.terms.scorers]
    for name in scorers:
        if name not in known:
            raise ConfigError(f"no scorer is called {name}", where="--scorer", fix=f"known: {', '.join(known)}")
    judged = [name for name in scorers or known if name in read.result.judges]
    if limit is not None and judged:
        raise ConfigError(
            f"{judged[0]} is a judge's, and a limit takes scores at their word",
            where="--at-most",
            fix=f"ask `evalkit gate` with an at-least rule on {judged[0]} and the judge's card, or name other scorers",
        )
    found = rates(read, scorers or known, limit)
    if as_json:
        console.print_json(found)
    else:
        for rate in found:
            mark = f"{rate.outcome}: " if rate.outcome else ""
            console.show(f"{mark}{visible(rate.contender)}, {visible(rate.scorer)}: {rate.line()}")
    outcomes = {rate.outcome for rate in found}
    if limit and "inconclusive" in outcomes:
        console.say(f"{items_for(limit):,} items without a failure would show {limit:.2%}")
    return exit_code(outcomes)
