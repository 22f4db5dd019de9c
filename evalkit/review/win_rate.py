"""What blind comparisons came to, revealed: who was preferred how often, and how far people and judges agree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.errors import DataError
from curate.core.review.decisions import Event, read_events
from curate.core.review.merge import agreement, decided, kappa
from evalkit.results.build_result import cluster_names
from evalkit.results.folder import Results
from evalkit.review.blind import BAD, LEFT, TIE, pair_answers, read_key
from evalkit.stats.interval import difference_interval
from evalkit.stats.significance import sign_flip_p

JOURNALS = "preferences-*.jsonl"


def revealed(results: Results, folder: Path, a: str, b: str, journals: Sequence[Path] = ()) -> dict[str, Any]:
    """The figures of `a` against `b` by all journals of the folder, or those that are named.

    The win rate of `a` counts a preference as 1 and a tie as a half, identical answers and "both bad" among the ties;
    it is (1 + d) / 2 for the mean d of preferences in -1 to 1, and so is its interval. Several reviewers of an item
    count as their mean. Raises: DataError where nothing was decided.
    """
    paths = list(journals) or sorted(folder.glob(JOURNALS))
    sides = {digest: order for digest, order in read_key(folder).items() if set(order) == {a, b}}
    preferences = {_reviewer(path): _preferences(read_events(path), sides) for path in paths}
    preferences = {name: found for name, found in preferences.items() if found}
    if not preferences:
        raise DataError(
            f"nothing was decided between {a} and {b}", where=folder, fix="compare with `evalkit review` first"
        )
    by_item: dict[str, list[str]] = {}
    for found in preferences.values():
        for item, choice in found.items():
            by_item.setdefault(item, []).append(choice)
    pairing = pair_answers(results, a, b, 0)
    for item in pairing.identical:
        by_item[item] = [TIE]
    values = {item: float(np.mean([_value(choice, a, b) for choice in given])) for item, given in by_item.items()}
    said = Counter(choice for found in preferences.values() for choice in found.values())
    return {
        "a": a,
        "b": b,
        "items": len(values),
        "decisions": {name: said[name] for name in (a, b, TIE, BAD)},
        "identical": len(pairing.identical),
        "unanswered": len(pairing.unanswered),
        "undecided": sum(item not in values for item in pairing.items.values()),
        "win_rate": _win_rate(results, values),
        "reviewers": _agreements(preferences),
        "judges": _judges(results, values, a, b),
    }


def _win_rate(results: Results, values: Mapping[str, float]) -> dict[str, float]:
    rows = [row for row in results.items if row.id in values]
    given = [values[row.id] for row in rows]
    terms = results.result.terms
    clusters = cluster_names(rows, terms.cluster)
    interval = difference_interval(given, clusters, terms.alpha)
    estimate, low, high = ((1 + end) / 2 for end in interval[:3])
    p = sign_flip_p(given, clusters, terms.seed)
    return {"mean": round(estimate, 6), "low": round(low, 6), "high": round(high, 6), "p": round(p, 6)}


def _agreements(preferences: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    pairs = combinations(preferences, 2)
    return [asdict(agreement(one, other, preferences[one], preferences[other])) for one, other in pairs]


def _judges(results: Results, values: Mapping[str, float], a: str, b: str) -> list[dict[str, Any]]:
    """For each scorer how often it prefers whom people prefer, over the items that both have an opinion on."""
    scores = {(one.scorer, one.item, one.contender): one.value for one in results.scores if one.value is not None}
    found = []
    for scorer in dict.fromkeys(one.scorer for one in results.scores):
        pairs = []
        for item, value in values.items():
            first, second = scores.get((scorer, item, a)), scores.get((scorer, item, b))
            if first is not None and second is not None:
                pairs.append((_side(value, a, b), _side(first - second, a, b)))
        clear = [pair for pair in pairs if TIE not in pair]
        found.append(
            {
                "scorer": scorer,
                "items": len(pairs),
                "both_clear": len(clear),
                "agreed": sum(human == judge for human, judge in clear),
                "kappa": kappa(pairs),
            }
        )
    return found


def _side(difference: float, a: str, b: str) -> str:
    return TIE if difference == 0 else a if difference > 0 else b


def _preferences(events: Sequence[Event], sides: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Of each item the contender that was preferred, or that it was a tie, or that both are bad."""
    found = {}
    for key, event in decided(events).items():
        if event.action == "prefer" and key.digest in sides:
            left, right = sides[key.digest]
            # By the item alone: reviewers may have had the answers on other sides.
            found[key.item] = event.value if event.value in (TIE, BAD) else left if event.value == LEFT else right
    return found


def _value(choice: str, a: str, b: str) -> float:
    return {a: 1.0, b: -1.0}.get(choice, 0.0)


def _reviewer(path: Path) -> str:
    return path.stem.removeprefix("preferences-")
