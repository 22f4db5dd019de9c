"""Precision, recall and F1 of each class, from scores that say which class was wanted and which was given.

Source: as in scikit-learn: an undefined precision or recall counts as 0 in the macro average, which is the plain mean
over the classes that were wanted.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from evalkit.records import Score
from evalkit.rules.label import NONE
from evalkit.stats.interval import mean_interval

_MOST = 200  # classes in a record; with more, the answers are no classes


def class_tables(scores: Iterable[Score], alpha: float) -> dict[str, dict[str, dict[str, Any]]]:
    """What to add to each contender's section: under `classes` and the scorer's name, the figures of each class."""
    pairs: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for score in scores:
        if score.label is not None and score.value is not None:
            pairs.setdefault((score.contender, score.scorer), Counter())[score.label] += 1
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for (contender, scorer), counts in pairs.items():
        tables.setdefault(contender, {"classes": {}})["classes"][scorer] = class_table(counts, alpha)
    return tables


def class_table(counts: Counter[tuple[str, str]], alpha: float) -> dict[str, Any]:
    """The figures from the number of items by (wanted, given) class; recall comes with its interval."""
    wanted, given = Counter[str](), Counter[str]()
    for (right, said), count in counts.items():
        wanted[right] += count
        given[said] += count
    classes: list[dict[str, Any]] = []
    for name in sorted(wanted, key=lambda name: (-wanted[name], name)):
        hits = counts[name, name]
        recall = mean_interval([1.0] * hits + [0.0] * (wanted[name] - hits), alpha=alpha)
        confused = Counter({said: n for (right, said), n in counts.items() if right == name and said != name})
        classes.append(
            {
                "class": name,
                "n": wanted[name],
                "precision": hits / given[name] if given[name] else 0.0,
                "recall": recall.estimate,
                "low": recall.low,
                "high": recall.high,
                "f1": 2 * hits / (wanted[name] + given[name]),
                "confused_with": dict(sorted(confused.most_common(3))),
            }
        )
    count = max(1, len(classes))
    macro = {key: sum(float(one[key]) for one in classes) / count for key in ("precision", "recall", "f1")}
    return {"macro": macro, "none_given": given[NONE], "classes": classes[:_MOST], "distinct": len(classes)}
