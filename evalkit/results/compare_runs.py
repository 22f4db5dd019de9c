"""Two results on the same items: what changed for each contender, metric by metric, paired on items."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from curate.core.errors import DataError
from curate.core.rows.row import encode_row
from evalkit.results.build_result import cluster_names
from evalkit.results.folder import Results
from evalkit.results.score_table import mean_of, tabulate
from evalkit.stats.arrays import Floats
from evalkit.stats.compare import Comparison, ComparisonTerms, compare_all
from evalkit.stats.significance import holm

ChangeKind = Literal["better", "worse", "same", "open"]
Scores = dict[str, Floats]  # by contender

EXIT = {"better": 0, "same": 0, "worse": 1, "open": 6}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one metric of one contender did from the first result to the second; see `Comparison` for the figures."""

    contender: str
    metric: str
    before: float | None
    after: float | None
    standing: ChangeKind
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    n: int
    method: str
    fixed: int
    broke: int
    left_out: int
    worst: float
    best: float


class ComparedResults(msgspec.Struct, frozen=True, kw_only=True):
    """Two results on the items that both have; `left_out` items are in one alone. The verdict is the worst change's."""

    verdict: ChangeKind
    primary: str
    items: int
    left_out: int
    same_suite: bool
    useful_effect: float
    alpha: float
    changes: list[Change]


def compare_results(first: Results, second: Results, contenders: Sequence[tuple[str, str]] = ()) -> ComparedResults:
    """The record: changes of every metric that both have, of contenders with one name or of the named pairs (a, b).

    `better` and `worse` are outside noise (Holm over the primary metric's comparisons; the other metrics over theirs);
    `same`: no item changed, or it is less than the useful effect either way, whatever the truth is; `open` is neither.
    Raises: DataError where they share no items or contenders, or measure different things.
    """
    shared, left_out = _shared_items(first, second)
    known = [set(results.result.names) for results in (first, second)]
    pairs = list(contenders) or [(name, name) for name in first.result.names if name in known[1]]
    strays = [name for pair in pairs for name, there in zip(pair, known, strict=True) if name not in there]
    if strays or not pairs:
        what = f"no contender is called {strays[0]}" if strays else "no contender has the same name in both"
        raise DataError(what, where="evalkit compare", fix="name them: --contender BEFORE=AFTER")
    primary = first.result.primary
    metrics = [name for name in first.result.scorers if name in second.result.scorers]
    if primary not in metrics:
        raise DataError(f"the second result has no metric {primary}", fix="compare results of one suite")
    tables = (_values(first, shared), _values(second, shared))
    terms = first.result.terms
    wanted = set(shared)
    clusters = cluster_names([item for item in first.items if item.id in wanted], terms.cluster)
    level = ComparisonTerms(primary, terms.alpha, terms.seed, clusters)
    changes = [
        change
        for metric in [primary, *(m for m in metrics if m != primary)]
        for change in _changes(
            tables[0][metric], tables[1][metric], pairs, replace(level, metric=metric), terms.useful_effect
        )
    ]
    decisive = [change.standing for change in changes if change.metric == primary]
    order: tuple[ChangeKind, ...] = ("worse", "open", "better", "same")
    return ComparedResults(
        verdict=next(kind for kind in order if kind in decisive),
        primary=primary,
        items=len(shared),
        left_out=left_out,
        same_suite=first.result.chain.suite == second.result.chain.suite,
        useful_effect=terms.useful_effect,
        alpha=terms.alpha,
        changes=changes,
    )


def _changes(
    before: Scores, after: Scores, pairs: Sequence[tuple[str, str]], level: ComparisonTerms, useful: float
) -> list[Change]:
    """The changes of the level's metric, from each contender's scores before and after."""
    made = [compare_all({"after": after[b], "before": before[a]}, [("after", "before")], level)[0] for a, b in pairs]
    adjusted = holm([one.p for one in made])
    return [
        Change(
            contender=a if a == b else f"{a} -> {b}",
            metric=level.metric,
            before=mean_of(before[a]),
            after=mean_of(after[b]),
            standing=_standing(one, p, useful, level.alpha),
            **{name: getattr(one, name) for name in Change.__struct_fields__[5:]},
        )
        for (a, b), one, p in zip(pairs, made, adjusted, strict=True)
    ]


def _standing(one: Comparison, p: float, useful: float, alpha: float) -> ChangeKind:
    if one.n and p <= alpha and one.low * one.high > 0:
        return "better" if one.difference > 0 else "worse"
    unchanged = one.n and not (one.fixed or one.broke or one.left_out)
    return "same" if unchanged or (one.n and -useful < one.low and one.high < useful) else "open"


def _values(results: Results, shared: Sequence[str]) -> dict[str, Scores]:
    """By metric, each contender's scores on the shared items, in their order."""
    table = tabulate(results.items, results.result.names, results.scores, results.result.primary)
    place = {item.id: index for index, item in enumerate(results.items)}
    at = [place[name] for name in shared]
    return {metric: {name: values[at] for name, values in found.items()} for metric, found in table.values.items()}


def _shared_items(first: Results, second: Results) -> tuple[list[str], int]:
    """The ids of items that both have with the same content, and how many of either are left out."""
    contents = {item.id: encode_row(item) for item in second.items}
    shared = [item.id for item in first.items if contents.get(item.id) == encode_row(item)]
    if not shared:
        raise DataError("they share no items", where="evalkit compare", fix="compare results on the same items")
    return shared, len(first.items) + len(second.items) - 2 * len(shared)
