"""Precision, recall and F1 of each class, from scores that say which class was wanted and which was given.

Source: as in scikit-learn: an undefined precision or recall counts as 0 in the macro average, which is the plain mean
over the classes that were wanted.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from evalkit.records.lines import Score
from evalkit.scorers.label import NONE
from evalkit.stats.interval import mean_interval

_MOST = 200  # classes in a record; with more, the answers are no classes


class ClassFigures(msgspec.Struct, frozen=True):
    """One class of `n` items. `low` and `high` bound the recall; `confused_with` counts what was given."""

    class_name: str = msgspec.field(name="class")
    n: int
    precision: float
    recall: float
    low: float
    high: float
    f1: float
    confused_with: dict[str, int]


class MacroAverages(msgspec.Struct, frozen=True):
    """Plain means over the classes."""

    precision: float
    recall: float
    f1: float


class ClassTable(msgspec.Struct, frozen=True):
    """The classes that were wanted, the commonest first; of very many the first. `distinct` counts all."""

    macro: MacroAverages
    none_given: int
    """Answers that name no class."""
    classes: list[ClassFigures]
    distinct: int


def class_tables(scores: Iterable[Score], alpha: float) -> dict[str, dict[str, ClassTable]]:
    """By contender and scorer, the figures of each class; nothing for scorers that know no classes."""
    pairs: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for score in scores:
        if score.label is not None and score.value is not None:
            pairs.setdefault((score.contender, score.scorer), Counter())[score.label] += 1
    tables: dict[str, dict[str, ClassTable]] = {}
    for (contender, scorer), counts in pairs.items():
        tables.setdefault(contender, {})[scorer] = class_table(counts, alpha)
    return tables


def class_table(counts: Counter[tuple[str, str]], alpha: float) -> ClassTable:
    """The figures from the number of items by (wanted, given) class; recall comes with its interval."""
    wanted, given = Counter[str](), Counter[str]()
    for (right, said), count in counts.items():
        wanted[right] += count
        given[said] += count
    classes: list[ClassFigures] = []
    for name in sorted(wanted, key=lambda name: (-wanted[name], name)):
        hits = counts[name, name]
        recall = mean_interval([1.0] * hits + [0.0] * (wanted[name] - hits), alpha=alpha)
        confused = Counter({said: n for (right, said), n in counts.items() if right == name and said != name})
        classes.append(
            ClassFigures(
                class_name=name,
                n=wanted[name],
                precision=hits / given[name] if given[name] else 0.0,
                recall=recall.estimate,
                low=recall.low,
                high=recall.high,
                f1=2 * hits / (wanted[name] + given[name]),
                confused_with=dict(sorted(confused.most_common(3))),
            )
        )
    count = max(1, len(classes))
    macro = MacroAverages(
        sum(one.precision for one in classes) / count,
        sum(one.recall for one in classes) / count,
        sum(one.f1 for one in classes) / count,
    )
    return ClassTable(macro, given[NONE], classes[:_MOST], len(classes))
