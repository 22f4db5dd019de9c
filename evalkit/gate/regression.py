"""Regression suites: items that a contender already got right, asked again of it and of what is to take its place.

The contender runs again as a control. Compared with the pass that chose the items, an identical model would look worse
wherever answers are sampled: items were chosen for luck as well (regression to the mean). Compared side by side, both
have the same luck.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import yaml

from curate.core.config_file import load_config
from curate.core.digests import digest_json
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.files import write_lines, write_text
from curate.core.rows.row import Row, encode_row
from evalkit.gate.verdict_file import GateOutcome
from evalkit.records.lines import Score
from evalkit.results.build_result import cluster_names
from evalkit.results.folder import Results
from evalkit.results.result_record import RegressionTerms
from evalkit.stats.in_words import points
from evalkit.stats.interval import difference_interval
from evalkit.suite.suite import Suite

_MUST_PASS = "must_pass"  # noqa: S105 - a key of an item's meta, no password


@dataclass(frozen=True, slots=True)
class RegressionSuite:
    """A regression suite: its items, those of them that no successor may break, and how they were chosen."""

    suite: dict[str, Any]
    items: list[Row]
    must_pass: list[str]
    of: int
    repeats: int

    @property
    def lucky(self) -> bool:
        """Whether each item was asked once only though answers are sampled: then luck chose, too."""
        return self.repeats == 1 and bool(self.suite.get("generation", {}).get("temperature"))


def make(
    results: Results, path: Path, control: str, margin: float | None, must_pass: Sequence[str], output: Path
) -> RegressionSuite:
    """The suite made of what `control` got right every time, from the suite at `path` that these results are of.

    Without a `margin` the suite's own is taken.

    Raises: ProvenanceError where the results are of another suite; ConfigError for unknown names; DataError where
    nothing was right.
    """
    suite = load_config(path, Suite)
    if results.result.chain.suite != digest_json(suite.facts()):
        raise ProvenanceError(
            "the results are not of this suite as it is now", where=path, fix="run the suite again, then make from it"
        )
    if control not in {contender.name for contender in suite.contenders}:
        raise ConfigError(f"no contender is called {control}", where=path, fix="see `evalkit show`")
    primary = results.result.primary
    values = _values(results.scores, control, primary)
    repeats = max(map(len, values.values()), default=0)
    chosen = [item for item in results.items if _always_right(values.get(item.id, []), repeats)]
    if not chosen:
        raise DataError(f"{control} got no item right: there is nothing to keep", where=path)
    marked = [item.id for item in chosen if item.meta.get(_MUST_PASS) is True]
    strangers = sorted(set(must_pass) - {item.id for item in chosen})
    if strangers:
        raise ConfigError(
            f"{strangers[0]} can't be a must-pass item: {control} does not get it right",
            where="--must-pass",
            fix="name items that it passes",
        )
    named = list(dict.fromkeys([*marked, *must_pass]))
    keep = [contender for contender in suite.contenders if contender.name == control or contender.run]
    body = suite.model_dump(mode="json", exclude_unset=True)
    body |= {
        "name": f"{suite.name} regression",
        "items": f"{output.stem}.jsonl",
        "output": f"{suite.output.rstrip('/')}-{output.stem}",
        "contenders": [contender.model_dump(mode="json", exclude_unset=True) for contender in keep],
        "regression": {"control": control, "margin": margin or suite.margin, "must_pass": named},
    }
    return RegressionSuite(body, chosen, named, len(results.items), repeats)


def write(made: RegressionSuite, output: Path) -> None:
    """Write the suite to `output`, and its items beside it."""
    head = (
        f"# {len(made.items)} of {made.of} items that {made.suite['regression']['control']} got right"
        f" {made.repeats} of {made.repeats} times. It runs again beside its successors, as a control.\n"
    )
    write_lines(output.with_suffix(".jsonl"), map(encode_row, made.items))
    write_text(output, head + yaml.safe_dump(made.suite, sort_keys=False, allow_unicode=True, width=120))


def fewest_items(margin: float, alpha: float = 0.05) -> int:
    """How many items a suite needs so that a successor that breaks none can pass at this margin."""
    size = 1
    while difference_interval([0.0] * size, None, 2 * alpha).low <= -margin:
        size += 1
    return size


def _always_right(values: Sequence[float | None], repeats: int) -> bool:
    return len(values) == repeats and all(value == 1 for value in values)


def _values(scores: Sequence[Score], contender: str, scorer: str) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = defaultdict(list)
    for score in scores:
        if (score.contender, score.scorer) == (contender, scorer):
            found[score.item].append(score.value)
    return found


class RegressionCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How one successor fares against the control: `difference` with one-sided bounds `low` and `high`."""

    rule: Literal["regression"] = "regression"
    contender: str
    outcome: GateOutcome
    because: str
    difference: float
    low: float
    high: float
    margin: float
    n: int
    unscored: int
    broken: list[str]
    must_pass_broken: list[str]


def check(results: Results, alpha: float = 0.05) -> list[RegressionCheck]:
    """Every successor against the control, side by side on the same items; bounds are one-sided at `alpha`.

    Passes where the lower bound clears the margin and no must-pass item broke; fails where the upper bound lies below
    it or one broke. A new answer without a score counts as broken, and a control's without one as right.
    Raises: ConfigError where the results are of no regression suite, a judge scores them, or no successor ran.
    """
    result = results.result
    terms = result.terms.regression
    if not terms:
        raise ConfigError("these results are of no regression suite", fix="make one with `evalkit regression make`")
    names = result.names
    if (primary := result.primary) in result.judges:
        raise ConfigError(
            f"{primary} is a judge's, and this check takes scores at their word",
            where="primary",
            fix=f"ask `evalkit gate` with a non-inferior rule on {primary} and the judge's card, or make the suite of "
            "a scorer that needs no judge",
        )
    control = terms.control
    successors = [name for name in names if name != control]
    if control not in names or not successors:
        raise ConfigError(
            f"{control} and at least one successor have to run side by side",
            where="contenders",
            fix="run the whole suite, without --contender",
        )
    return [_check(results, control, name, terms, alpha) for name in successors]


def _check(results: Results, control: str, successor: str, terms: RegressionTerms, alpha: float) -> RegressionCheck:
    primary, margin = results.result.primary, terms.margin
    before, after = (_values(results.scores, name, primary) for name in (control, successor))
    differences, unscored = [], 0
    for item in results.items:
        old, new = before.get(item.id, [None]), after.get(item.id, [None])
        unscored += None in new or None in old
        right = np.mean([1.0 if value is None else value for value in old])
        differences.append(float(np.mean([0.0 if value is None else value for value in new]) - right))
    clusters = cluster_names(results.items, results.result.terms.cluster)
    found = difference_interval(differences, clusters, 2 * alpha)
    broken = [item.id for item, change in zip(results.items, differences, strict=True) if change < 0]
    must = [name for name in terms.must_pass if _is_broken(after.get(name, [None]))]
    outcome, because = _outcome(found.low, found.high, margin, must)
    return RegressionCheck(
        contender=successor,
        outcome=outcome,
        because=because,
        difference=found.estimate,
        low=found.low,
        high=found.high,
        margin=margin,
        n=len(differences),
        unscored=unscored,
        broken=broken,
        must_pass_broken=must,
    )


def _is_broken(values: Sequence[float | None]) -> bool:
    return any(value is None or value < 1 for value in values)


def _outcome(low: float, high: float, margin: float, must: Sequence[str]) -> tuple[GateOutcome, str]:
    if must:
        return "fail", f"must-pass items broke: {', '.join(must[:5])}"
    limit = points(-margin)
    if high < -margin:
        return "fail", f"it loses more than the margin of {limit} points: at best {points(high)}"
    if low > -margin:
        return "pass", f"what worked still works: at worst {points(low)} points, the margin is {limit}"
    return "inconclusive", f"between {points(low)} and {points(high)} points, the margin is {limit}: ask more items"
