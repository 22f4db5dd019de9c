"""What the duplicate stages found, for files and reports: the table of clusters, how similar duplicates are, and how
many of them the settings can be expected to find.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from curate.chosen import names, spots, take
from curate.config import Dedup
from curate.entries import Entry, Rejection

if TYPE_CHECKING:
    import polars as pl

_IDS = ("cluster", "id", "kept")
COLUMNS = ("cluster", "id", "kept", "similarity", "stage", "dataset", "path", "line")
_BINS_PER_ONE = 20  # bins of 0.05: a threshold of 0.7 leaves six and one for the same text


def cluster_table(kept: Sequence[Entry], rejections: Iterable[Rejection], ties: Mapping[str, str]) -> "pl.DataFrame":
    """One line for each row of a cluster: the rows that repeat another, and the rows that are kept instead.

    `kept` is the id of the row that a dropped one is `similarity` to (itself for those that stay); where that row went
    in a later stage, `cluster` still leads to the row that stands for both. `cluster` is the smallest id of the kept
    rows that are tied. `dataset` names the earlier dataset that `kept` is of, where it is not a row of this one.
    """
    import polars as pl

    repeats = [item for item in rejections if item.because_of is not None and item.id is not None]
    instead = {item.id: item.because_of.id for item in repeats if item.because_of and item.because_of.dataset is None}
    named = {*ties, *(item.id for item in repeats), *(item.because_of.id for item in repeats if item.because_of)}
    at = np.array([at for at, name in enumerate(names(kept)) if name in named], np.int64)
    found = take(kept, at)
    places = dict(zip(names(found), spots(found), strict=True))
    lines: list[tuple[object, ...]] = []
    standing: set[str] = set()
    for item in repeats:
        because = item.because_of
        assert because is not None
        last = _last_kept(because.id, instead, places) if because.dataset is None else because.id
        if because.dataset is None and last in places:
            standing.add(last)
        shared = (because.id, because.similarity, item.stage, because.dataset, item.path, item.line)
        lines.append((ties.get(last, last), item.id, *shared))
    standing.update(name for name in ties if name in places)
    lines += [(ties.get(name, name), name, name, 1.0, None, None, *places[name][:2]) for name in standing]
    types = dict.fromkeys(COLUMNS, pl.String) | {"similarity": pl.Float64, "line": pl.Int64}
    table = pl.DataFrame(lines, schema=types, orient="row")
    return table.sort("cluster", "similarity", "id", "path", "line", descending=[False, True, False, False, False])


def _last_kept(name: str, instead: Mapping[str | None, str], places: Mapping[str, object]) -> str:
    """The row that stands for `name` after all stages. Exact duplicates can share an id: that ends the search."""
    seen = {name}
    while name not in places and name in instead and instead[name] not in seen:
        name = instead[name]
        seen.add(name)
    return name


def renamed(table: "pl.DataFrame", rename: Callable[[Iterable[str]], Mapping[str, str]]) -> "pl.DataFrame":
    """The table with the names for ids that `rename` gives to some of them."""
    import polars as pl

    names = dict(rename(pl.concat([table[name] for name in _IDS]).unique(maintain_order=True)))
    return table.with_columns(pl.col(*_IDS).replace(names)) if names else table


def parquet_bytes(table: "pl.DataFrame") -> bytes:
    """The table as a Parquet file: the same bytes for the same rows."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def similarity_histogram(rejections: Iterable[Rejection], threshold: float) -> dict[str, int]:
    """How many rows were dropped at which similarity: lower edge of the bin -> rows; "1.00" are equal texts."""
    first = int(threshold * _BINS_PER_ONE + 1e-9)  # the tolerance: 0.15 * 20 is a little less than 3
    bins = {f"{edge / _BINS_PER_ONE:.2f}": 0 for edge in range(first, _BINS_PER_ONE + 1)}
    for item in rejections:
        if item.because_of is not None:
            edge = max(first, int(item.because_of.similarity * _BINS_PER_ONE + 1e-9))
            bins[f"{edge / _BINS_PER_ONE:.2f}"] += 1
    return bins


def expected_recall(settings: Dedup) -> float:
    """The chance that a pair exactly at the threshold is compared: pairs above it have a better one."""
    return round(settings.chance(settings.threshold), 6)


def recall_curve(settings: Dedup, steps: int = 10) -> list[tuple[float, float]]:
    """(similarity, the chance that two rows of that similarity are compared) from 0 to 1."""
    return [(step / steps, round(settings.chance(step / steps), 6)) for step in range(steps + 1)]
