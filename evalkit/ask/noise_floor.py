"""The noise floor: every contender at an endpoint against itself (an A/A run).

Each item is answered twice as often as the suite says; the second half of the answers, with seeds of its own, is
compared with the first as another contender would be. What differs here differs by chance, and a difference between
contenders that is no larger is none.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace as changed

from curate.core.console import say
from curate.core.errors import ConfigError
from curate.core.records import environment
from evalkit.ask.answer_all import answer_all
from evalkit.records.lines import Generation
from evalkit.records.typed import ABSENT, write_typed
from evalkit.results.build_result import cluster_names
from evalkit.results.score_table import tabulate
from evalkit.scorers.registry import make_scorer
from evalkit.scorers.score_all import score_all
from evalkit.stats.compare import ComparisonTerms, compare_all
from evalkit.stats.in_words import p_value, percent, points, span
from evalkit.suite.inputs import Inputs

FILE_NAME = "noise.json"
_AGAIN = " (again)"


class NoiseFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One contender against itself; see `Comparison` for the figures.

    `changed`: the share of its answers that came out otherwise, None without any; `flipped`: the share of the scores.
    """

    name: str
    difference: float
    low: float
    high: float
    p: float
    n: int
    method: str
    left_out: int
    changed: float | None
    flipped: float


class NoiseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """noise.json: by how much contenders differ from themselves."""

    kind: Literal["noise"] = "noise"
    schema: int = 1
    suite: str
    primary: str
    items: int
    repeats: int
    useful_effect: float
    stopped: str | None
    contenders: list[NoiseFigures]
    environment: dict[str, Any] = ABSENT
    digest: str = ""


def noise_floor(inputs: Inputs, folder: Path, cache_folder: Path, *, fresh: bool, offline: bool) -> NoiseRecord:
    """Ask, compare, write noise.json into `folder`, and return it. Raises: ConfigError where no endpoint is asked."""
    contenders = [contender for contender in inputs.contenders if contender.endpoint]
    if not contenders:
        what = "there is nothing to ask twice: local models answer greedily, the same each time"
        raise ConfigError(what, where="--aa", fix="name a contender that has an `endpoint`")
    if inputs.suite.primary not in {config.name for config in inputs.suite.plain_scorers}:
        what = f"{inputs.suite.primary!r} is a judge's score, and the noise floor is taken with rules"
        raise ConfigError(what, where="--aa", fix="name a rule as `primary`, in a copy of the suite")
    repeats = inputs.suite.generation.repeats
    generation = inputs.suite.generation.model_copy(update={"repeats": 2 * repeats})
    twice = replace(inputs, suite=inputs.suite.model_copy(update={"generation": generation}), contenders=contenders)
    say(f"asking everything {2 * repeats} times: the second half is compared with the first")
    answered = answer_all(twice, cache_folder, fresh=fresh, offline=offline)
    halves = [
        g if g.repeat < repeats else changed(g, contender=g.contender + _AGAIN, repeat=g.repeat - repeats)
        for g in answered.generations
    ]
    record = NoiseRecord(
        suite=inputs.suite.name,
        primary=inputs.suite.primary,
        items=len(inputs.items),
        repeats=repeats,
        useful_effect=inputs.suite.useful_effect,
        stopped=answered.stopped,
        contenders=_compare(inputs, [contender.name for contender in contenders], halves),
    )
    return write_typed(folder / FILE_NAME, record, environment=environment(**answered.measured()))


def describe(noise: NoiseRecord) -> list[str]:
    """The noise floor in sentences."""
    lines = [f"partial: {noise.stopped}"] if noise.stopped else []
    for found in noise.contenders:
        changed_share = "no answer" if found.changed is None else f"{percent(found.changed)} of the answers"
        lines.append(
            f"{found.name} against itself on {found.n:,} items: {points(found.difference)} points,"
            f" {span(found.low, found.high)}, {p_value(found.p)}; {changed_share} changed,"
            f" {percent(found.flipped)} of the scores"
        )
        if found.n and not found.low <= 0 <= found.high:
            lines.append(f"  {found.name} differs from itself by more than chance: did the server change meanwhile?")
        if max(abs(found.low), abs(found.high)) >= noise.useful_effect:
            lines.append(
                f"  that is not below the useful effect of {points(noise.useful_effect)} points: more items, or more"
                " generation.repeats"
            )
    return lines


def _compare(inputs: Inputs, names: list[str], halves: list[Generation]) -> list[NoiseFigures]:
    suite = inputs.suite
    rule = {
        config.name: make_scorer(config, inputs.folder)
        for config in suite.plain_scorers
        if config.name == suite.primary
    }
    scores = score_all(halves, {item.id: item for item in inputs.items}, rule)
    both = [name + again for name in names for again in ("", _AGAIN)]
    values = tabulate(inputs.items, both, scores, suite.primary).values[suite.primary]
    clusters = cluster_names(inputs.items, suite.cluster)
    level = ComparisonTerms(metric=suite.primary, alpha=suite.alpha, seed=suite.seed, clusters=clusters)
    compared = compare_all(values, [(name + _AGAIN, name) for name in names], level)
    texts = {(g.contender, g.item, g.repeat): g.text for g in halves if g.error is None}
    found: list[NoiseFigures] = []
    for name, comparison in zip(names, compared, strict=True):
        pairs = [
            (text, texts[name + _AGAIN, item, repeat])
            for (contender, item, repeat), text in texts.items()
            if contender == name and (name + _AGAIN, item, repeat) in texts
        ]
        keep = ("difference", "low", "high", "p", "n", "method", "left_out")
        found.append(
            NoiseFigures(
                name=name,
                **{key: getattr(comparison, key) for key in keep},
                changed=sum(a != b for a, b in pairs) / len(pairs) if pairs else None,
                flipped=(comparison.fixed + comparison.broke) / comparison.n if comparison.n else 0.0,
            )
        )
    return found
