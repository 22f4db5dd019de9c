"""report.md: the verdict and its figures, short enough for a pull request. It quotes no model's text."""

import re

from curate.core.visible import visible
from evalkit.judge.figures import about_judges
from evalkit.report.html import OUTCOMES, VERDICTS
from evalkit.report.judges import JudgeView, judge_views
from evalkit.report.sentences import break_even_sentences, gain_sentences, ground_sentences
from evalkit.results.ladder import Step
from evalkit.results.result_record import ContenderSection, ResultRecord
from evalkit.stats.compare import Comparison
from evalkit.stats.in_words import duration, p_value, percent, points, span

# What Markdown or the HTML inside it would act on; a backslash makes each an ordinary character.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@])")


def render_markdown(result: ResultRecord) -> str:
    """The report as Markdown."""
    ladder, primary, terms = result.ladder, result.primary, result.terms
    lines = [
        f"### {VERDICTS[ladder.verdict]}: {cell(terms.name)}",
        "",
        cell(ladder.because),
        "",
        *([f"**Partial:** {cell(result.stopped)}", ""] if result.stopped else []),
        *(cell(line) + "\n" for line in about_judges(result)),
        f"| contender | rung | {cell(primary)} | {percent(1 - terms.alpha)} interval "
        "| against the best cheaper one | outcome | latency p50 | prompt tokens |",
        "|---|---|--:|--:|--:|---|--:|--:|",
    ]
    steps = {step.contender: step for step in ladder.steps}
    lines += [_row(contender, steps[contender.name], primary) for contender in result.contenders]
    lines += ["", "<details><summary>All differences</summary>", ""]
    lines += ["| a − b | points | interval | p (Holm) | items | fixed | broke |", "|---|--:|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {_pair(pair, primary)} | {points(pair.difference)} | {span(pair.low, pair.high)} "
        f"| {p_value(pair.p_adjusted)} | {pair.n} | {pair.fixed} | {pair.broke} |"
        for pair in reversed(result.comparisons)
    ]
    lines += ["", "</details>"]
    lines += [line for view in judge_views(result) for line in _judge(view)]
    lines += _costs(result) + _noted(result)
    if result.digest:
        lines += ["", f"Result `{result.digest}`"]
    return "\n".join(lines) + "\n"


def _pair(pair: Comparison, primary: str) -> str:
    other = "" if pair.metric == primary else f", {cell(pair.metric)}"
    return f"{cell(pair.a)} − {cell(pair.b)}{other}"


def _judge(view: JudgeView) -> list[str]:
    """What a judge's grades are worth, folded away."""
    lines = ["", f"<details><summary>The judge {cell(view.name)}: {view.state}</summary>", ""]
    for columns, rows in view.tables:
        lines += [f"| {' | '.join(columns)} |", "|---" + "|--:" * (len(columns) - 1) + "|"]
        lines += [f"| {' | '.join(map(cell, row))} |" for row in rows] + [""]
    lines += [f"- {one.mark} {cell(one.name)}: {cell(one.found)} (wanted: {one.wanted})" for one in view.requirements]
    return [*lines, *(f"- {cell(note)}" for note in view.notes), "", "</details>"]


def _costs(result: ResultRecord) -> list[str]:
    """What training's gain costs, in a line or two."""
    said = [*gain_sentences(result), *break_even_sentences(result)]
    return ["", *(f"- {cell(sentence)}" for sentence in said)] if said else []


def _noted(result: ResultRecord) -> list[str]:
    """What answers stand on, slices that stand out, and what the training rows give away."""
    lines = [f"- {cell(sentence)}" for sentence in ground_sentences(result)]
    lines += [
        f"- {one.outcome} on {cell(one.field)} = {cell(one.value)}: {points(one.difference)} points, "
        f"{span(one.low, one.high)}, {one.n} items"
        for one in result.slices
        if one.outcome == "worse"
    ]
    found = result.contamination
    if found and found.touched:
        rest = f"; on the other {found.clean.items}: {found.clean.verdict}" if found.clean else ""
        lines.append(f"- {found.touched} of {found.items} items may be given away by training rows{rest}")
    return ["", *lines] if lines else []


def cell(text: str) -> str:
    """`text` as plain characters on one line of Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(visible(text).split()))


def _row(contender: ContenderSection, step: Step, primary: str) -> str:
    metric = contender.metrics[primary]
    mean = "unscored" if metric.mean is None else percent(metric.mean)
    against = ""
    if step.difference is not None and step.low is not None and step.high is not None:
        against = f"{points(step.difference)} ({span(step.low, step.high)})"
    p50 = contender.latency_ms.p50
    return (
        f"| {cell(contender.name)} | {contender.rung} | {mean} | {percent(metric.low)} to "
        f"{percent(metric.high)} | {against} | {OUTCOMES[step.outcome]} | "
        f"{'' if p50 is None else duration(p50)} | {contender.tokens.prompt:,} |"
    )
