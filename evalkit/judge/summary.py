"""A judge's card on a terminal: how far it agrees with people, and what that admits it to."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.core.visible import visible
from evalkit.judge.figures import (
    FIGURE_COLUMNS,
    GROUP_COLUMNS,
    favour_lines,
    figure_rows,
    group_rows,
    meaning,
    requirement_rows,
)
from evalkit.results.judge_account import Requirement


def print_card(card: Mapping[str, Any]) -> None:
    """Print the figures, the requirements and the state on stdout."""
    figures = card["figures"]
    console = Console(highlight=False)
    console.print(_table(FIGURE_COLUMNS, figure_rows(figures)))
    console.print()
    if groups := group_rows(figures):
        console.print(_table(GROUP_COLUMNS, groups))
        console.print()
    for line in _notes(figures):
        console.print(Text(line), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in requirement_rows(msgspec.convert(card["requirements"], list[Requirement])):
        table.add_row(one.mark, one.name, one.wanted, Text(visible(f"found: {one.found}")))
    console.print(table)
    console.print()
    console.print(Text(f"{card['state']}: ", style="bold") + Text(meaning(card["state"])), soft_wrap=True)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        # On two lines, so that no column of figures has to wrap in 80 characters.
        table.add_column(name.replace(" ", "\n", 1), justify="right" if number else "left")
    for first, *others in rows:
        table.add_row(Text(visible(first)), *others)
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
    lines += map(visible, favour_lines(figures))
    return lines
