"""A judge's card on a terminal: how far it agrees with people, and what that admits it to."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.core.visible import visible

_FIGURES = (
    "raw_agreement",
    "cohen_kappa",
    "weighted_kappa",
    "krippendorff_alpha",
    "gwet_ac1",
    "swap_consistency",
    "test_retest",
)


def print_card(card: Mapping[str, Any]) -> None:
    """Print the figures, the requirements and the state on stdout."""
    figures = card["figures"]
    console = Console(highlight=False)
    console.print(_agreement(figures))
    console.print()
    groups = [*figures["by_contender"], *figures["by_length"]]
    if len(groups) > 1:
        console.print(_groups(groups))
        console.print()
    for line in _notes(figures):
        console.print(Text(line), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in card["requirements"]:
        table.add_row("ok" if one["met"] else "--", one["name"], one["wanted"], Text(visible(f"found: {one['found']}")))
    console.print(table)
    console.print()
    console.print(Text(f"{card['state']}: ", style="bold") + Text(meaning(card["state"])), soft_wrap=True)


def meaning(state: str) -> str:
    """What a state lets a judge do, in a sentence."""
    return {
        "unlabelled": "nobody has checked this judge; its grades are shown and decide nothing",
        "advisory": "too little is known about this judge; its grades are shown and decide nothing",
        "voting-corrected": "a gate may use this judge's grades corrected by the labels of every contender",
        "voting": "a gate may take this judge's grades as they are",
    }[state]


def _agreement(figures: Mapping[str, Any]) -> Table:
    people = figures["people"]
    table = Table(box=None, pad_edge=False)
    for name in ("figure", "judge", "interval", "pairs", "people among themselves"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for name in _FIGURES:
        interval = figures["intervals"][name]
        among = people.get(name)
        table.add_row(
            name,
            _number(figures[name]),
            f"{_number(interval['low'])} to {_number(interval['high'])}" if interval["low"] is not None else "",
            str(interval["n"]),
            _number(among),
        )
    if figures["false_pass_n"]:
        bound = f"{figures['false_pass_upper']:.2f} at most"
        table.add_row("false_pass_rate", _number(figures["false_pass_rate"]), bound, str(figures["false_pass_n"]), "")
    table.add_row("undecided_rate", _number(figures["undecided_rate"]), "", str(figures["judgments"]["questions"]), "")
    return table


def _groups(groups: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("answers", "labels", "raw", "kappa", "judge passes", "people pass", "false passes"):
        table.add_column(name, justify="left" if name == "answers" else "right")
    for one in groups:
        low, high = one.get("characters", (None, None))
        name = f"{one['answers']} ({low}-{high} characters)" if "answers" in one else one["contender"] or "(all)"
        table.add_row(
            Text(visible(name)),
            str(one["n"]),
            _number(one["raw_agreement"]),
            _number(one["cohen_kappa"]),
            _number(one.get("judge_pass_rate")),
            _number(one.get("people_pass_rate")),
            _number(one["false_pass_rate"]),
        )
    return table


def _notes(figures: Mapping[str, Any]) -> list[str]:
    """What was left out, counted, and what could not be had."""
    judgments, labels = figures["judgments"], figures["labels"]
    lines = [
        f"{judgments['answers']} judged answers, {labels['answers']} labelled by {len(labels['annotators'])}"
        f" annotators; compared: {figures['n']}"
    ]
    counted = (
        (judgments["undecided"], "judgments are undecided"),
        (judgments["unknown_grades"], "judgments have a grade that the rubric doesn't have"),
        (judgments["duplicates"], "judgments are there twice"),
        (labels["without_judgment"], "labels are for answers that were not judged: "),
        (labels["corrected"], "labels were corrected by a later line"),
        (labels["skipped"], "labels have no grade"),
        (labels["not_blind"], "labels are not blind"),
        (labels["tied"], "answers are left out because people are tied"),
    )
    for count, words in counted:
        if count:
            shown = ", ".join(labels["without_judgment_shown"]) if words.endswith(": ") else ""
            lines.append(visible(f"{count} {words}{shown}"))
    if "note" in figures["people"]:
        lines.append(figures["people"]["note"])
    lines += [f"{name}: {note}" for name, note in figures["notes"].items()]
    lines += [
        visible(
            f"the judge is {abs(one['favour']):.1%} kinder to {one['a'] if one['favour'] > 0 else one['b']} than to "
            f"{one['b'] if one['favour'] > 0 else one['a']} ({one['low']:+.1%} to {one['high']:+.1%})"
        )
        for one in figures["favour"]
        if one["low"] > 0 or one["high"] < 0
    ]
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
