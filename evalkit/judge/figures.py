"""A judge's calibration as rows of words, alike for a terminal, a report and a card: figures, groups, the state."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evalkit.results import judge_account
from evalkit.results.judge_account import JudgeAccount
from evalkit.results.result_record import ResultRecord
from evalkit.stats.in_words import percent

_FIGURES = (
    "raw_agreement",
    "cohen_kappa",
    "weighted_kappa",
    "krippendorff_alpha",
    "gwet_ac1",
    "swap_consistency",
    "test_retest",
)
FIGURE_COLUMNS = ("figure", "judge", "interval", "pairs", "people among themselves")
GROUP_COLUMNS = (
    "answers (characters)",
    "labels",
    "raw",
    "kappa",
    "interval",
    "judge passes",
    "people pass",
    "false passes",
)
_MEANINGS = {
    "unlabelled": "nobody has checked this judge; its grades are shown and decide nothing",
    "advisory": "too little is known about this judge; its grades are shown and decide nothing",
    "voting-corrected": "a gate may use this judge's grades corrected by the labels of every contender",
    "voting": "a gate may take this judge's grades as they are",
}


class RequirementRow(NamedTuple):
    """One thing that a judge has to show, in words."""

    mark: str
    name: str
    wanted: str
    found: str


def meaning(state: str) -> str:
    """What a state lets a judge do, in a sentence."""
    return _MEANINGS[state]


def figure_rows(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The figures with their intervals, in `FIGURE_COLUMNS`; an empty text where there is none."""
    people = figures["people"]
    rows = []
    for name in _FIGURES:
        interval = figures["intervals"][name]
        between = f"{_number(interval['low'])} to {_number(interval['high'])}" if interval["low"] is not None else ""
        rows.append((name, _number(figures[name]), between, str(interval["n"]), _number(people.get(name))))
    if figures["false_pass_n"]:
        bound = f"{figures['false_pass_upper']:.2f} at most"
        rows.append(("false_pass_rate", _number(figures["false_pass_rate"]), bound, str(figures["false_pass_n"]), ""))
    asked = str(figures["judgments"]["questions"])
    return [*rows, ("undecided_rate", _number(figures["undecided_rate"]), "", asked, "")]


def group_rows(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The same by contender and by length of the answers, in `GROUP_COLUMNS`; none where there is one group only."""
    groups: Sequence[Mapping[str, Any]] = [*figures["by_contender"], *figures["by_length"]]
    return [_group(one) for one in groups] if len(groups) > 1 else []


def requirement_rows(requirements: Sequence[judge_account.Requirement]) -> list[RequirementRow]:
    """What the judge has to show, what was found, and `ok` where that is enough."""
    return [RequirementRow("ok" if one.met else "--", one.name, one.wanted, one.found) for one in requirements]


def favour_lines(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for each pair of contenders of which the judge is shown to favour one."""
    lines = []
    for one in figures["favour"]:
        if one["low"] > 0:
            favoured, other, low, high = one["a"], one["b"], one["low"], one["high"]
        elif one["high"] < 0:
            favoured, other, low, high = one["b"], one["a"], -one["high"], -one["low"]
        else:
            continue
        by = f"{abs(one['favour']):.1%}"
        lines.append(f"the judge is {by} kinder to {favoured} than to {other} ({low:+.1%} to {high:+.1%})")
    return lines


def _group(one: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = one.get("characters", (None, None))
    interval = one["intervals"]["cohen_kappa"]
    return (
        f"{one['answers']} ({low}-{high})" if "answers" in one else one["contender"] or "(all)",
        str(one["n"]),
        _number(one["raw_agreement"]),
        _number(one["cohen_kappa"]),
        f"{_number(interval['low'])} to {_number(interval['high'])}" if interval["low"] is not None else "",
        _number(one.get("judge_pass_rate")),
        _number(one.get("people_pass_rate")),
        _number(one["false_pass_rate"]),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def about_judges(result: ResultRecord) -> list[str]:
    """A sentence a judge: what stayed undecided, whether it could be bought, and what its grades are worth."""
    return [f"{name} is a judge's: {asked(judge)}. {worth(judge)}" for name, judge in result.judges.items()]


def asked(judge: JudgeAccount) -> str:
    """How many of its judgments are undecided, and whether it could be bought."""
    words = f"{judge.undecided:,} of {judge.questions:,} judgments undecided"
    canaries = judge.canaries
    if canaries and canaries.decided:
        words += f", {canaries.raised} of {canaries.decided} canaries raised a grade"
        words += f" ({', '.join(canaries.disguises)})" if canaries.raised else ""
    return words


def worth(judge: JudgeAccount) -> str:
    """The judge's state and how far it agrees with people; without a card that holds, why, and how to get one."""
    found = judge.calibration
    if not found:  # a result of an earlier version
        return "What its grades are worth, its card says: `evalkit judge calibrate`."
    if found.because:
        return f"It is {found.state}: {meaning(found.state)} ({found.because}; see `evalkit judge calibrate`)."
    figures = found.figures
    parts = []
    if figures["cohen_kappa"] is not None:
        interval = figures["intervals"]["cohen_kappa"]
        parts.append(
            f"kappa with people {figures['cohen_kappa']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"
        )
    if figures["false_pass_n"]:
        rate, bound = (percent(figures[name]) for name in ("false_pass_rate", "false_pass_upper"))
        parts.append(f"it passes {rate} of what people fail ({bound} at most)")
    return f"It is {found.state}: {'; '.join([meaning(found.state), *parts])}."
