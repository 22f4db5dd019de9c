"""Bars that figures have to clear: from below or from above, judged and shown alike."""

from collections.abc import Mapping
from typing import Any


def judged(measured: Mapping[str, float], bars: Mapping[str, tuple[float, str]]) -> dict[str, dict[str, Any]]:
    """For each figure its bar, its sense ("at least" or "at most"), what was measured, and whether that is met."""
    found = {}
    for name, value in measured.items():
        bar, sense = bars[name]
        met = value >= bar if sense == "at least" else value <= bar
        found[name] = {"bar": bar, "sense": sense, "measured": value, "met": met}
    return found


def bar_table(bars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The judged bars as a Markdown table, behind an empty line."""
    return [
        "",
        "| bar | | measured | |",
        "|---|---|---|---|",
        *(
            f"| {name} | {bar['sense']} {bar['bar']:g} | {bar['measured']:g} | {'met' if bar['met'] else 'MISSED'} |"
            for name, bar in bars.items()
        ),
    ]
