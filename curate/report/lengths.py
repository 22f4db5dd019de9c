"""How long the records were and are: a histogram for each source and each rule, over doublings of bytes."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from curate.core.manifest import Manifest, Side
from curate.report.sizes import count_doublings, median
from curate.table.rejections import Rejections
from curate.table.selection import RowSelection

Sizes: TypeAlias = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Column:
    """Records of one doubling: what is kept of them stands below, what was left out above; in percent of the chart."""

    name: str
    left: float
    width: float
    kept: float
    dropped: float
    counts: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lengths:
    """The records of a source, or those that a rule took out: how long they are, before and after (None: all went)."""

    name: str
    note: str
    before: float
    after: float | None
    columns: list[Column]


def length_charts(
    manifest: Manifest, sides: Mapping[Side, RowSelection], rejections: Rejections
) -> tuple[list[Lengths], list[Lengths]]:
    """The charts of the sources and of the rules, all on one scale. A record's length is that of its bytes as read."""
    source_of = {item.path: item.name for item in manifest.inputs if item.kind == "source"}
    names = {source.name for source in manifest.sources}
    first, *others = sides.values()
    kept = _kept_sizes(first.followed_by(*others), names, repeated=bool(manifest.added))
    ruled = rejections.sizes_by_rule()
    dropped: dict[str, NDArray[np.int64]] = {}
    for path, found in rejections.sizes_by_path().items():
        if path in source_of:
            source = source_of[path]
            dropped[source] = np.concatenate([dropped.get(source, found[:0]), found])
    everything: list[Sizes] = [*kept.values(), *ruled.values()]
    powers = [power for some in everything for power in _powers(some)]
    scale = range(min(powers, default=0), max(powers, default=0) + 1)
    named = kept.keys() | dropped.keys()
    charts = [_chart(name, "", kept.get(name, ()), dropped.get(name, ()), scale) for name in named]
    rules = [_chart(reason, stage, (), found, scale) for (stage, reason), found in ruled.items()]
    return sorted(charts, key=lambda one: one.name), rules


def _kept_sizes(rows: RowSelection, names: Collection[str], *, repeated: bool) -> dict[str, NDArray[np.int64]]:
    """The sizes of the records of each source that are among the rows; of rows that may be `repeated`, each once."""
    kept: dict[str, NDArray[np.int64]] = {}
    for name, at in rows.by_source().items():
        some = rows.take(at)
        if repeated:  # repetitions are no records of a source
            some = some.take([here for here, row in enumerate(some.rows) if "repeat_of" not in row.meta])
        if name in names and some:  # and neither are canaries
            kept[name] = some.sizes()
    return kept


def _powers(some: Sizes) -> Counter[int]:
    return Counter() if len(some) == 0 else count_doublings(np.asarray(some, np.int64))


def _chart(name: str, note: str, kept: Sizes, dropped: Sizes, scale: range) -> Lengths:
    below, above = _powers(kept), _powers(dropped)
    most = max((below[power] + above[power] for power in scale), default=0) or 1
    width = 100 / len(scale)
    columns = [
        Column(
            name=f"{1 << max(power - 1, 0):,} to {(1 << power) - 1:,} bytes",
            left=round(at * width, 3),
            width=round(width * 0.86, 3),  # a gap between columns
            kept=round(100 * below[power] / most, 2),
            dropped=round(100 * above[power] / most, 2),
            counts=(below[power], above[power]),
        )
        for at, power in enumerate(scale)
    ]
    both = np.concatenate([np.asarray(some, np.int64) for some in (kept, dropped)])
    after = median(np.asarray(kept, np.int64)) if len(kept) else None
    return Lengths(
        name,
        note,
        median(both) if both.size else 0,
        after,
        columns,
    )
