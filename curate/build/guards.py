"""Guards: signs that a recipe threw away what it should have kept. They stop the build unless the recipe allows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curate.build.stages import COMPOSING, DUPLICATES
from curate.core.errors import DataError
from curate.core.manifest import StageCount
from curate.dedup.cluster_table import repeated
from curate.recipe.guards import Guards
from curate.recipe.recipe import Recipe
from curate.table.id_numbers import IdNumbers
from curate.table.rejections import Rejections
from curate.table.row_table import TextNumbers

_DUPLICATES = tuple(name for name in DUPLICATES if name != "index")  # an index is of earlier datasets
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Signs:
    """What the guards saw: `faults` stop a build, `warnings` don't. `rows` are the ids that these name."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)


def check_guards(guards: Guards, read: Mapping[str, int], left: Mapping[str, int], rejections: Rejections) -> Signs:
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
    for row, size in largest_clusters(rejections):
        share = size / total
        if size < guards.min_cluster_rows or share <= min(guards.max_cluster_share, default.max_cluster_share):
            continue
        text = f"{size} rows ({share:.1%} of all) are duplicates of one, {row}: a template rather than data?"
        if share > guards.max_cluster_share:
            signs.faults.append(f"{text} (guards.max_cluster_share is {guards.max_cluster_share:g})")
        else:
            signs.warnings.append(text)
        signs.rows.append(row)
    return signs


def idle_filters(recipe: Recipe, stages: Sequence[StageCount], reports: Mapping[str, Any]) -> list[str]:
    """A sentence naming the filters that the recipe asks for and that left out nothing; none for few rows.

    A filter that finds nothing in many rows often looks at the wrong field, or for what can't be there.
    """
    if stages[0].kept < recipe.guards.min_rows:
        return []
    idle = [
        f"screen {one['screen']}"
        for one in reports.get("screen", ())
        if one["action"] != "report" and not one["over"] and one["rows"] > one["unmeasured"]
    ]
    if "decontaminate" in reports and not reports["decontaminate"]["rows"]:
        idle.append("decontaminate")
    asked = {"index", "semantic"} | ({"near"} if "dedup" in recipe.model_fields_set else set()) | COMPOSING
    idle += [stage.name for stage in stages if stage.name in asked and not stage.rejected]
    names = ", ".join(idle)
    return [f"these filters leave out nothing: {names}; do they look where they should?"] if idle else []


def largest_clusters(rejections: Rejections) -> list[tuple[str, int]]:
    """The ids of the few rows that most rows say the same as, the most first, and how many those are with itself."""
    tables = [block.instead.table for block in rejections.blocks if block.instead is not None]
    if not tables:
        return []
    ids = IdNumbers(tables[0])
    found = repeated(rejections, _DUPLICATES, ids, TextNumbers(), TextNumbers())
    found = found.taken(found.dataset < 0)
    kept, firsts, sizes = np.unique(found.instead, return_index=True, return_counts=True)
    near = found.taken((found.stage != _DUPLICATES.index("exact")) & ids.isin(found.id, kept) & (found.id >= 0))
    # Exact duplicates of a row that is itself a near duplicate count for the row that stands for them all.
    for row, other in dict(zip(near.id.tolist(), near.instead.tolist(), strict=True)).items():
        if other != row:
            at, to = np.searchsorted(kept, [row, other])
            sizes[to] += sizes[at]
            sizes[at] = 0
    most = np.lexsort((firsts, -sizes))[:_SHOWN]
    most = most[sizes[most] > 0]
    return list(zip(ids.ids(kept[most]), (sizes[most] + 1).tolist(), strict=True))


def _why(rejections: Rejections, is_only_source: bool) -> str:
    """The commonest reasons, where they are those of the source: a rejection names its file, not its source."""
    if not is_only_source:
        return ""
    most = rejections.reasons().most_common(_SHOWN)
    return ": " + ", ".join(f"{stage}: {reason} {count}" for (stage, reason), count in most)


def refuse(signs: Signs) -> None:
    """Raises: DataError naming everything that the guards don't allow."""
    if signs.faults:
        raise DataError(
            "\n".join(["the guards stop this build", *(f"  {fault}" for fault in signs.faults)]),
            where="guards",
            fix="look at what is lost with `curate build --dry-run`; allow it in the recipe's `guards:` if it is right",
        )
