"""A verdict for those who read it elsewhere: JUnit for a build server, Markdown for a pull request, text here."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from curate.core.visible import visible
from evalkit.report.markdown import cell
from evalkit.wording import points

_SHOWN = 10  # broken items in a summary; the verdict's file has more


def render_junit(record: Mapping[str, Any]) -> str:
    """The verdict as JUnit XML: a test a rule. What is inconclusive is a failure too: nothing open looks green."""
    rules: Sequence[Mapping[str, Any]] = record["rules"]
    missed = sum(rule["outcome"] != "pass" for rule in rules)
    suite = ET.Element("testsuite", name=_text(f"gate {record['suite']}"), tests=str(len(rules)), failures=str(missed))
    for rule in rules:
        case = ET.SubElement(
            suite, "testcase", classname=_text(f"gate.{record['contender']}"), name=_text(rule["name"])
        )
        if rule["outcome"] != "pass":
            failure = ET.SubElement(case, "failure", type=rule["outcome"], message=_text(rule["because"]))
            failure.text = _text("\n".join(details(rule)))
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def render_markdown(record: Mapping[str, Any]) -> str:
    """The verdict as Markdown."""
    lines = [
        f"### Gate: {record['outcome']} for {cell(record['contender'])}",
        "",
        cell(record["because"]),
        "",
        "| rule | outcome | why |",
        "|---|---|---|",
        *(f"| {cell(rule['name'])} | {rule['outcome']} | {cell(rule['because'])} |" for rule in record["rules"]),
    ]
    for rule in record["rules"]:
        if found := details(rule):
            lines += ["", f"<details><summary>{cell(rule['name'])}</summary>", "", *(f"- {cell(x)}" for x in found)]
            lines += ["", "</details>"]
    return "\n".join([*lines, "", f"Verdict `{record['digest']}`"]) + "\n"


def details(rule: Mapping[str, Any]) -> list[str]:
    """What a rule's finding says beyond its reason: slices, traits, and items that broke."""
    lines = [
        f"{one['trait']}: {points(one['loss'])} points, {one['broke']} of {one['n']} items lost"
        for one in rule["slices"]
    ]
    lines += [
        f"in common: {one['trait']} ({one['broke']} of the {one['n']} items with it broke)" for one in rule["in_common"]
    ]
    if rule["broke"]:
        more = len(rule["broke"]) - _SHOWN
        lines.append("broke: " + ", ".join(rule["broke"][:_SHOWN]) + (f" and {more} more" if more > 0 else ""))
    return lines


def print_verdict(record: Mapping[str, Any]) -> None:
    """Print the rules and the verdict on stdout."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for rule in record["rules"]:
        console.print(Text(f"{rule['outcome']:<13}{visible(rule['name'])}", style="bold"), soft_wrap=True)
        for line in (rule["because"], *details(rule)):
            console.print(Text(f"  {visible(line)}"), soft_wrap=True)
    console.print()
    verdict = f"{record['outcome']}: "
    console.print(Text(verdict, style="bold") + Text(visible(record["because"])), soft_wrap=True)


def _text(words: str) -> str:
    """`words` without characters that XML can't hold."""
    return visible(words)
