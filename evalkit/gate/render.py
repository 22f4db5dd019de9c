"""A verdict for those who read it elsewhere: JUnit for a build server, Markdown for a pull request, text here."""

from curate.core.visible import visible
from evalkit.gate.decide_rules import RuleOutcome
from evalkit.gate.verdict_file import GateVerdict
from evalkit.report.junit import JunitCase, render_junit
from evalkit.report.markdown import cell
from evalkit.stats.in_words import points

_SHOWN = 10  # broken items in a summary; the verdict's file has more


def as_junit(verdict: GateVerdict[RuleOutcome]) -> str:
    """The verdict as JUnit XML, a test a rule."""
    rules = [JunitCase(rule.name, rule.outcome, rule.because, details(rule)) for rule in verdict.rules]
    return render_junit(f"gate {verdict.suite}: {verdict.contender}", rules)


def render_markdown(verdict: GateVerdict[RuleOutcome]) -> str:
    """The verdict as Markdown."""
    lines = [
        f"### Gate: {verdict.outcome} for {cell(verdict.contender or '')}",
        "",
        cell(verdict.because),
        "",
        "| rule | outcome | why |",
        "|---|---|---|",
        *(f"| {cell(rule.name)} | {rule.outcome} | {cell(rule.because)} |" for rule in verdict.rules),
    ]
    for rule in verdict.rules:
        if found := details(rule):
            lines += ["", f"<details><summary>{cell(rule.name)}</summary>", "", *(f"- {cell(x)}" for x in found)]
            lines += ["", "</details>"]
    return "\n".join([*lines, "", f"Verdict `{verdict.digest}`"]) + "\n"


def details(rule: RuleOutcome) -> list[str]:
    """What a rule's finding says beyond its reason: slices, traits, and items that broke."""
    lines = [f"{one.trait}: {points(one.loss or 0.0)} points, {one.broke} of {one.n} items lost" for one in rule.slices]
    lines += [f"in common: {one.trait} ({one.broke} of the {one.n} items with it broke)" for one in rule.in_common]
    if rule.broke:
        more = len(rule.broke) - _SHOWN
        lines.append("broke: " + ", ".join(rule.broke[:_SHOWN]) + (f" and {more} more" if more > 0 else ""))
    return lines


def print_verdict(verdict: GateVerdict[RuleOutcome]) -> None:
    """Print the rules and the verdict on stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for rule in verdict.rules:
        console.print(Text(f"{rule.outcome:<13}{visible(rule.name)}", style="bold"), soft_wrap=True)
        for line in (rule.because, *details(rule)):
            console.print(Text(f"  {visible(line)}"), soft_wrap=True)
    console.print()
    console.print(Text(f"{verdict.outcome}: ", style="bold") + Text(visible(verdict.because)), soft_wrap=True)
