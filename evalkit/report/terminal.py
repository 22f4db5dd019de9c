"""The result on a terminal: one line per contender, then the verdict."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.core.visible import visible
from evalkit.judge.figures import about_judges
from evalkit.results.result_record import ResultRecord
from evalkit.stats.in_words import percent

_REASONS = 3  # shown of why answers are unscored; the report has them all


def print_summary(result: ResultRecord) -> None:
    """Print the contenders' table and the verdict on stdout."""
    console = Console(highlight=False)
    console.print(_table(result))
    ladder = result.ladder
    for line in _unscored(result):
        console.print(Text(visible(line)), soft_wrap=True)
    console.print()
    for line in about_judges(result):
        console.print(Text(visible(line)), soft_wrap=True)
    if result.stopped:
        console.print(Text("partial: ", style="bold") + Text(visible(result.stopped)), soft_wrap=True)
    console.print(Text(f"{ladder.verdict}: ", style="bold") + Text(visible(ladder.because)), soft_wrap=True)


def _table(result: ResultRecord) -> Table:
    """One line per contender, in 80 columns; what else there is stands in the report."""
    primary = result.primary
    others = [name for name in result.scorers if name != primary]
    unscored = any(contender.unscored for contender in result.contenders)
    table = Table(
        title=Text(visible(result.terms.name)),
        title_justify="left",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("contender", no_wrap=True)
    for name in (primary, "interval", *others, "tokens", *(["unscored"] if unscored else [])):
        # A space lets a long name take two lines; no word of it is cut.
        header = visible(name).replace("_", " ")
        table.add_column(Text(header), justify="right", min_width=max(map(len, header.split()), default=0))
    for contender in result.contenders:
        metric = contender.metrics[primary]
        # Errors have no tokens, so they would lower the average of those that have.
        answered = max(1, contender.answered)
        prompt, completion = (count / answered for count in (contender.tokens.prompt, contender.tokens.completion))
        table.add_row(
            Text(visible(contender.name)),
            _share(metric.mean),
            f"{metric.low * 100:.0f}–{metric.high * 100:.0f} %",
            *(_share(contender.metrics[name].mean) for name in others),
            f"{prompt:,.0f} + {completion:,.0f}",
            *([str(contender.unscored)] if unscored else []),
        )
    return table


def _unscored(result: ResultRecord) -> Iterator[str]:
    """Why answers have no score by the primary metric, the frequent reasons first."""
    for contender in result.contenders:
        reasons = sorted(contender.unscored_reasons.items(), key=lambda reason: -reason[1])
        if reasons:
            shown = "; ".join(f"{words} ({count:,})" for words, count in reasons[:_REASONS])
            yield f"{contender.name} unscored: {shown}" + ("; …" if reasons[_REASONS:] else "")


def _share(mean: float | None) -> str:
    return "" if mean is None else percent(mean)
