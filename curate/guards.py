"""Guards: signs that a recipe threw away what it should have kept. They stop the build unless the recipe allows it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.config import Recipe
from curate.core.errors import DataError
from curate.entries import Rejection
from curate.guard_settings import Guards
from curate.rejections import count_reasons, table
from curate.steps import COMPOSING

_DUPLICATES = frozenset({"exact", "near", "semantic"})
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Signs:
    """What the guards saw: `faults` stop a build, `warnings` don't."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_guards(
    guards: Guards, read: Mapping[str, int], left: Mapping[str, int], rejections: Sequence[Rejection]
) -> Signs:
    """What is suspicious. `read` and `left` count rows by source, before the stages and before balancing."""
    signs = Signs()
    default = Guards()
    for source, rows in read.items():
        lost = rows - left.get(source, 0)
        share = lost / rows if rows else 0.0
        text = f"source {source} loses {lost} of {rows} rows ({share:.0%}){_why(rejections, len(read) == 1)}"
        if share > guards.max_source_loss and rows >= guards.min_rows:
            signs.faults.append(f"{text} (guards.max_source_loss is {guards.max_source_loss:g})")
        elif share > default.max_source_loss:
            signs.warnings.append(text)
    total = sum(read.values())
    for row, size in cluster_sizes(rejections).most_common(_SHOWN):
        share = size / total
        if size < guards.min_cluster_rows or share <= min(guards.max_cluster_share, default.max_cluster_share):
            continue
        text = f"{size} rows ({share:.1%} of all) are duplicates of one, {row}: a template rather than data?"
        if share > guards.max_cluster_share:
            signs.faults.append(f"{text} (guards.max_cluster_share is {guards.max_cluster_share:g})")
        else:
            signs.warnings.append(text)
    return signs


def idle_filters(recipe: Recipe, stages: Sequence[Mapping[str, Any]], reports: Mapping[str, Any]) -> list[str]:
    """A sentence naming the filters that the recipe asks for and that left out nothing; none for few rows.

    A filter that finds nothing in many rows often looks at the wrong field, or for what can't be there.
    """
    if stages[0]["kept"] < recipe.guards.min_rows:
        return []
    idle = [
        f"screen {one['screen']}"
        for one in reports.get("screen", ())
        if one["action"] != "report" and not one["over"] and one["rows"] > one["unmeasured"]
    ]
    if "decontaminate" in reports and not reports["decontaminate"]["rows"]:
        idle.append("decontaminate")
    asked = {"index", "semantic"} | ({"near"} if "dedup" in recipe.model_fields_set else set()) | COMPOSING
    idle += [stage["name"] for stage in stages if stage["name"] in asked and not stage["rejected"]]
    names = ", ".join(idle)
    return [f"these filters leave out nothing: {names}; do they look where they should?"] if idle else []


def cluster_sizes(rejections: Sequence[Rejection]) -> Counter[str]:
    """How many rows say what a row says, itself included: id of the row that is kept -> rows."""
    import polars as pl  # it takes a moment to load, and `--help` must not

    repeats = table(rejections).filter(
        pl.col("stage").is_in(_DUPLICATES) & pl.col("instead").is_not_null() & pl.col("dataset").is_null()
    )
    sizes = Counter(repeats["instead"].to_list())
    near = repeats.filter((pl.col("stage") != "exact") & pl.col("id").is_not_null())
    instead = dict(zip(near["id"].to_list(), near["instead"].to_list(), strict=True))
    # Exact duplicates of a row that is itself a near duplicate count for the row that stands for them all.
    for row in [row for row in instead if row in sizes]:
        if (kept := instead[row]) != row:
            sizes[kept] += sizes.pop(row)
    return Counter({row: size + 1 for row, size in sizes.items()})


def _why(rejections: Sequence[Rejection], is_only_source: bool) -> str:
    """The commonest reasons, where they are those of the source: a rejection names its file, not its source."""
    if not is_only_source:
        return ""
    most = count_reasons(rejections).most_common(_SHOWN)
    return ": " + ", ".join(f"{stage}: {reason} {count}" for (stage, reason), count in most)


def refuse(signs: Signs) -> None:
    """Raises: DataError naming everything that the guards don't allow."""
    if signs.faults:
        raise DataError(
            "\n".join(["the guards stop this build", *(f"  {fault}" for fault in signs.faults)]),
            where="guards",
            fix="look at what is lost with `curate build --dry-run`; allow it in the recipe's `guards:` if it is right",
        )
