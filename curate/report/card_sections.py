"""The card's sections on what screens, decontamination, reviewers, balancing, mixing and canaries did."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from curate.core.markdown import cell, table

_SHOWN_WARNINGS = 50


def report_sections(facts: Mapping[str, Any]) -> list[str]:
    """A section for each report that the manifest has, warnings first."""
    reports = facts.get("reports", {})
    sections = [_warnings(facts.get("warnings", ()))]
    sections += [write(reports[name]) for name, write in _SECTIONS.items() if name in reports]
    if "canaries" in facts:
        canaries = facts["canaries"]
        sections.append(
            "## Canaries\n\n"
            f"{canaries['count']} unique strings stand in train {canaries['planted']} times. `canaries.jsonl` holds"
            " them, and must never become training data."
        )
    return sections


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    return "## To look at\n\n" + "\n".join(f"- {cell(text)}" for text in warnings[:_SHOWN_WARNINGS])


def _screens(report: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            one["screen"],
            one["on"],
            f"{one['threshold']:g}",
            one["action"],
            one["over"],
            one["unmeasured"],
            ", ".join(f"{kind} {count}" for kind, count in one["kinds"].items()) or "-",
        ]
        for one in report
    ]
    head = ["screen", "looks at", "threshold", "action", "rows over it", "not measured", "found"]
    return "## Screens\n\n" + table(head, rows)


def _decontaminate(report: Mapping[str, Any]) -> str:
    suites = [[one["name"], one["items"], one["touched"], len(one["unreadable"])] for one in report["suites"]]
    tiers = [[one["name"], "on" if one["on"] else "off", one["rows"], one["cannot_see"]] for one in report["tiers"]]
    return (
        "## Decontamination\n\n"
        f"{report['rows']} rows give away evaluation items (action: {report['action']}). `contamination.jsonl` has the"
        " evidence, `touched_items.jsonl` the items, so that scores can be shown on the clean part.\n\n"
        + table(["suite", "items", "touched", "unreadable"], suites)
        + "\n\n"
        + table(["tier", "", "rows", "cannot see"], tiers)
    )


def _balance(report: Mapping[str, Any]) -> str:
    rows = [
        [one["by"], each["name"], each["before"], each["after"], f"{each['share']:.1%}"]
        for one in report["fields"]
        for each in one["classes"]
    ]
    text = "## Balance\n\n" + table(["field", "class", "before", "after", "share"], rows)
    wanted = [
        [one["name"], one["rows"], f"{one['share']:.1%}", f"{one['wanted']:.1%}", "yes" if one["met"] else "no"]
        for one in report["requirements"]
    ]
    return text + ("\n\n" + table(["required", "rows", "share", "wanted", "met"], wanted) if wanted else "")


def _mix(report: Mapping[str, Any]) -> str:
    rows = [
        [one["source"], one["origin"], one["before"], one["kept"], one["repeats"], one["units"], f"{one['share']:.1%}"]
        for one in report["parts"]
    ]
    head = ["source", "origin", "before", "kept", "repeats", report["counted"], "share"]
    return f"## Mix\n\nSynthetic: {report['synthetic_share']:.1%} of the {report['counted']}.\n\n" + table(head, rows)


def _review(report: Mapping[str, Any]) -> str:
    counts = [("decided", report["decisions"]), ("applied", report["applied"]), ("taken back", report["taken_back"])]
    rows = [[what, ", ".join(f"{name} {count}" for name, count in one.items()) or "-"] for what, one in counts]
    stale = f"{report['stale']} decisions are on rows that have changed since or are gone; they were not applied."
    return f"## Human decisions\n\n{stale}\n\n" + table(["", "rows"], rows)


_SECTIONS: dict[str, Callable[[Any], str]] = {
    "screen": _screens,
    "decontaminate": _decontaminate,
    "balance": _balance,
    "review": _review,
    "mix": _mix,
}
