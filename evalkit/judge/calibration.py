"""What a judge's grades are worth: how far it agrees with people, beside how far people agree with one another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.judge.grades import AnswerKey, Judgment, Label, Scale
from evalkit.judge.matching import JudgeGrades, Labels, Match, match, sort_judgments, sort_labels
from evalkit.stats import agreement
from evalkit.stats.agreement import Estimate
from evalkit.stats.arrays import Floats, Mask
from evalkit.stats.corrected import corrected_difference
from evalkit.stats.interval import mean_interval

ALPHA = 0.05
_DECIMALS = 6  # so that the last bit of another processor's arithmetic changes no byte
_FEWEST_BY_LENGTH = 30  # answers of known length; thirds of fewer say nothing
_THIRDS = ("short", "middling", "long")


@dataclass(frozen=True, slots=True)
class GradePairs:
    """Answers with the judge's and people's codes, aligned, and the number of the item that each belongs to."""

    judge: NDArray[np.intp]
    people: NDArray[np.intp]
    units: NDArray[np.intp]
    scale: Scale

    def chosen(self, mask: Mask) -> "GradePairs":
        """These answers alone."""
        units = np.unique(self.units[mask], return_inverse=True)[1]
        return GradePairs(self.judge[mask], self.people[mask], units, self.scale)

    def passed(self, codes: NDArray[np.intp]) -> Floats:
        """1 where the grade is a pass."""
        return np.array([self.scale.passes(int(code)) for code in codes], dtype=np.float64)


def calibrate(judgments: Sequence[Judgment], labels: Sequence[Label], scale: Scale) -> dict[str, Any]:
    """The figures by name, each with its interval under `intervals`; None where the data can't say, with a note.

    Raises: DataError where no label is for a judged answer, or two judgments of an answer differ.
    """
    judged = sort_judgments(judgments, scale)
    people, label_account = sort_labels(labels, scale)
    matched = match(judged, people, scale)
    graded = _graded(matched, scale)
    whole = _agreement(graded)
    figures: dict[str, Any] = {
        "n": len(matched.answers),
        "items": int(graded.units.max()) + 1 if matched.answers else 0,
        **_flat({**whole, **_consistency(judged)}),
        **_passes(graded),
        "undecided_rate": judged.account["undecided"] / max(1, judged.account["questions"]),
        "levels": list(scale.levels),
        "passing": None if scale.passing is None else [scale.levels[code] for code in sorted(scale.passing)],
        "people": _people(people, scale),
        "by_annotator": _by_annotator(judged, people, scale),
        "by_contender": _by_contender(matched, graded, judged.contenders),
        "favour": _favour(matched, graded),
        "by_length": _by_length(matched, graded, judged.lengths),
        "table": _table(graded),
        "judgments": judged.account,
        "labels": {**label_account, **matched.account, "blind": _blind(matched, label_account)},
    }
    rounded: dict[str, Any] = _rounded(figures)
    return rounded


def _graded(matched: Match, scale: Scale) -> GradePairs:
    items = {item: number for number, item in enumerate(dict.fromkeys(item for item, _ in matched.answers))}
    units = np.array([items[item] for item, _ in matched.answers], dtype=np.intp)
    return GradePairs(np.array(matched.judge, dtype=np.intp), np.array(matched.people, dtype=np.intp), units, scale)


def _agreement(graded: GradePairs) -> dict[str, Estimate]:
    """Raw agreement, Cohen's kappa, weighted kappa, Krippendorff's alpha and Gwet's AC1."""
    scale = graded.scale
    tables = agreement.pair_tables(graded.judge, graded.people, graded.units, max(2, len(scale.levels)))
    alpha = agreement.ordinal_alpha if scale.ordered else agreement.nominal_alpha
    weighted = (
        agreement.estimate(agreement.quadratic_kappa, tables)
        if scale.ordered
        else Estimate(None, None, None, len(graded.judge), "the grades have no order")
    )
    return {
        "raw_agreement": _share((graded.judge == graded.people).astype(np.float64), graded.units),
        "cohen_kappa": agreement.estimate(agreement.cohen_kappa, tables),
        "weighted_kappa": weighted,
        # Coincidences hold each pair both ways round.
        "krippendorff_alpha": replace(
            agreement.estimate(alpha, tables + tables.transpose(0, 2, 1)), n=len(graded.judge)
        ),
        "gwet_ac1": agreement.estimate(agreement.gwet_ac1, tables),
    }


def _share(values: Floats, units: NDArray[np.intp]) -> Estimate:
    if not values.size:
        return Estimate(None, None, None, 0, "nothing to compare")
    found = mean_interval(values, [str(unit) for unit in units], ALPHA)
    return Estimate(found.estimate, found.low, found.high, values.size)


def _passes(graded: GradePairs) -> dict[str, Any]:
    """How often each says pass, and how often the judge passes what people fail; its upper bound is one-sided."""
    if graded.scale.passing is None:
        return {"false_pass_rate": None, "false_pass_upper": None, "false_pass_n": 0}
    failed = graded.passed(graded.people) == 0
    let_through = graded.passed(graded.judge)[failed]
    bound = mean_interval(let_through, [str(unit) for unit in graded.units[failed]], 2 * ALPHA)
    return {
        "people_pass": int((~failed).sum()),
        "people_fail": int(failed.sum()),
        "judge_pass_rate": float(graded.passed(graded.judge).mean()) if failed.size else None,
        "people_pass_rate": float((~failed).mean()) if failed.size else None,
        "false_pass_rate": float(let_through.mean()) if let_through.size else None,
        "false_pass_upper": bound.high,
        "false_pass_n": int(failed.sum()),
    }


def _consistency(judged: JudgeGrades) -> dict[str, Estimate]:
    """How often the judge says the same with the options the other way round, and when it is asked again."""
    swaps = [
        (answer, code == judged.first[answer]) for answer, code in judged.swapped.items() if answer in judged.first
    ]
    again = [(answer, code == judged.first[answer]) for answer, code in judged.repeated if answer in judged.first]
    return {"swap_consistency": _same(swaps), "test_retest": _same(again)}


def _same(pairs: Iterable[tuple[AnswerKey, bool]]) -> Estimate:
    listed = list(pairs)
    if not listed:
        return Estimate(None, None, None, 0, "the judge was not asked again")
    items = {item: number for number, item in enumerate(dict.fromkeys(item for (item, _), _ in listed))}
    units = np.array([items[item] for (item, _), _ in listed], dtype=np.intp)
    return _share(np.array([same for _, same in listed], dtype=np.float64), units)


def _people(labels: Labels, scale: Scale) -> dict[str, Any]:
    """How far people agree with one another on what several of them graded: no judge can be asked for more."""
    several = {answer: given for answer, given in labels.items() if len(given) > 1}
    annotators = {annotator for given in labels.values() for annotator in given}
    if not several:
        note = "one annotator: how far people agree is unknown" if len(annotators) == 1 else "no answer has two labels"
        return {"annotators": len(annotators), "answers": 0, "note": note}
    items = {item: number for number, item in enumerate(dict.fromkeys(item for item, _ in several))}
    size = max(2, len(scale.levels))
    pairs = [
        (one, other, items[answer[0]])
        for answer, given in several.items()
        for one, other in combinations([given[name] for name in sorted(given)], 2)
    ]
    first, second, units = (np.array(column, dtype=np.intp) for column in zip(*pairs, strict=True))
    tables = agreement.pair_tables(first, second, units, size)
    all_grades = agreement.coincidences(
        [list(given.values()) for given in several.values()], [items[item] for item, _ in several], size
    )
    alpha = agreement.ordinal_alpha if scale.ordered else agreement.nominal_alpha
    figures = {
        "raw_agreement": _share((first == second).astype(np.float64), units),
        "cohen_kappa": agreement.estimate(agreement.cohen_kappa, tables),
        "krippendorff_alpha": agreement.estimate(alpha, all_grades),
        "gwet_ac1": agreement.estimate(agreement.gwet_ac1, tables),
    }
    return {"annotators": len(annotators), "answers": len(several), **_flat(figures)}


def _by_annotator(judged: JudgeGrades, labels: Labels, scale: Scale) -> list[dict[str, Any]]:
    names = sorted({annotator for given in labels.values() for annotator in given})
    found = []
    for name in names:
        answers = [answer for answer, given in labels.items() if name in given and answer in judged.first]
        mine = Match(answers, [judged.first[a] for a in answers], [labels[a][name] for a in answers], {})
        figures = _flat(_agreement(_graded(mine, scale)))
        found.append({"annotator": name, "n": len(answers), **figures})
    return found


def _by_contender(matched: Match, graded: GradePairs, contenders: Sequence[str]) -> list[dict[str, Any]]:
    """Every contender that was judged, with labels or without."""
    names = np.array([contender for _, contender in matched.answers])
    return [{"contender": name, **_group(graded.chosen(names == name))} for name in contenders]


def _by_length(matched: Match, graded: GradePairs, lengths: dict[AnswerKey, int]) -> list[dict[str, Any]]:
    """Thirds of the answers by length: a judge that takes length for quality shows here."""
    known = np.array([answer in lengths for answer in matched.answers], dtype=bool)
    if int(known.sum()) < _FEWEST_BY_LENGTH:
        return []
    sizes = np.array([lengths.get(answer, 0) for answer in matched.answers])
    cuts = np.quantile(sizes[known], [1 / 3, 2 / 3])
    third = np.searchsorted(cuts, sizes, side="left")
    groups = [known & (third == place) for place in range(3)]
    return [
        {
            "answers": name,
            "characters": [int(sizes[mask].min()), int(sizes[mask].max())],
            **_group(graded.chosen(mask)),
        }
        for name, mask in zip(_THIRDS, groups, strict=True)
        if mask.any()
    ]


def _group(graded: GradePairs) -> dict[str, Any]:
    return {"n": len(graded.judge), **_flat(_agreement(graded)), **_passes(graded)}


def _favour(matched: Match, graded: GradePairs) -> list[dict[str, Any]]:
    """How much kinder the judge is to one contender than to another, against people; pairs with labels for both."""
    if graded.scale.passing is None:
        return []
    items = list(dict.fromkeys(item for item, _ in matched.answers))
    place = {item: index for index, item in enumerate(items)}
    values: dict[str, tuple[Floats, Floats]] = {}
    rows = zip(matched.answers, graded.passed(graded.judge), graded.passed(graded.people), strict=True)
    for (item, contender), judge, people in rows:
        judged, labelled = values.setdefault(contender, (np.full(len(items), np.nan), np.full(len(items), np.nan)))
        judged[place[item]], labelled[place[item]] = judge, people
    found = []
    pairs = list(combinations(sorted(values), 2))
    for one, other in pairs:
        # Of the items that only one of them was judged on, the favour can be told all the same: each has its labels.
        filled = [(np.nan_to_num(judged, nan=0.0), labelled) for judged, labelled in (values[one], values[other])]
        compared = corrected_difference(filled[0], filled[1], None, ALPHA / len(pairs))  # Bonferroni
        if compared:
            found.append(
                {"a": one, "b": other, "favour": compared.bias, "low": compared.bias_low, "high": compared.bias_high}
            )
    return found


def _table(graded: GradePairs) -> list[list[int]]:
    """Counts: a row for each grade of the judge, a column for each of people."""
    size = len(graded.scale.levels)
    table = np.zeros((size, size), dtype=int)
    np.add.at(table, (graded.judge, graded.people), 1)
    return [[int(count) for count in row] for row in table]


def _blind(matched: Match, account: dict[str, object]) -> int:
    return max(0, len(matched.answers) - int(str(account["not_blind"])))


def _flat(figures: dict[str, Estimate]) -> dict[str, Any]:
    """The figures by name, their intervals beside them, and notes on those that can't be had."""
    intervals = {name: {"low": one.low, "high": one.high, "n": one.n} for name, one in figures.items()}
    notes = {name: one.note for name, one in figures.items() if one.note}
    return {**{name: one.value for name, one in figures.items()}, "intervals": intervals, "notes": notes}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(round(value, _DECIMALS)) + 0.0  # + 0.0 turns a negative zero into zero
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
