"""What the judges of a result are worth, ready to be shown: state, figures, and what is still lacking."""

from dataclasses import dataclass
from typing import Any

from evalkit.judge.figures import (
    FIGURE_COLUMNS,
    GROUP_COLUMNS,
    RequirementRow,
    asked,
    favour_lines,
    figure_rows,
    group_rows,
    requirement_rows,
    worth,
)
from evalkit.results.judge_account import JudgeAccount, JudgeWorth
from evalkit.results.result_record import ResultRecord

Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class JudgeView:
    """One judge. `tables` are column names with rows of words; `notes` is what the figures can't show."""

    name: str
    state: str
    rubric: str
    asked: str
    worth: str
    tables: tuple[tuple[tuple[str, ...], Rows], ...]
    requirements: list[RequirementRow]
    notes: list[str]


def judge_views(result: ResultRecord) -> list[JudgeView]:
    """The judges of a result whose worth it tells."""
    return [_view(name, judge, judge.calibration) for name, judge in result.judges.items() if judge.calibration]


def _view(name: str, judge: JudgeAccount, found: JudgeWorth) -> JudgeView:
    figures = found.figures
    rows = [row for row in figure_rows(figures) if row[1]]
    tables = [(columns, some) for columns, some in ((FIGURE_COLUMNS, rows), (GROUP_COLUMNS, _groups(figures))) if some]
    people = figures["people"].get("note")
    # Without labels every figure of agreement would have the same note.
    notes = figures["notes"].items() if figures["n"] else ()
    return JudgeView(
        name=name,
        state=found.state,
        rubric=f"{judge.rubric.name} version {judge.rubric.version}, {judge.criterion['id']}",
        asked=asked(judge),
        worth=worth(judge),
        tables=tuple(tables),
        requirements=requirement_rows(found.requirements),
        notes=[
            *favour_lines(figures),
            *([people] if people and figures["n"] else []),
            *(f"{figure}: {note}" for figure, note in notes),
        ],
    )


def _groups(figures: dict[str, Any]) -> Rows:
    return group_rows(figures) if figures["n"] else []
