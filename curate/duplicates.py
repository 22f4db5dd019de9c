"""What the duplicate stages found, for files and reports: the table of clusters, how similar duplicates are, and how
many of them the settings can be expected to find.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curate.chosen import find, names, spots, take
from curate.config import Dedup
from curate.entries import Entry, Rejection
from curate.rejections import table
from curate.steps import DUPLICATES

if TYPE_CHECKING:
    import polars as pl

_IDS = ("cluster", "id", "kept")
COLUMNS = ("cluster", "id", "kept", "similarity", "stage", "dataset", "path", "line")
_BINS_PER_ONE = 20  # bins of 0.05: a threshold of 0.7 leaves six and one for the same text


def cluster_table(kept: Sequence[Entry], rejections: Sequence[Rejection], ties: Mapping[str, str]) -> "pl.DataFrame":
    """One line for each row of a cluster: the rows that repeat another, and the rows that are kept instead.

    `kept` is the id of the row that a dropped one is `similarity` to (itself for those that stay); where that row went
    in a later stage, `cluster` still leads to the row that stands for both. `cluster` is the smallest id of the kept
    rows that are tied. `dataset` names the earlier dataset that `kept` is of, where it is not a row of this one.
    """
    import polars as pl

    is_repeat = pl.col("stage").is_in(DUPLICATES) & pl.col("instead").is_not_null() & pl.col("id").is_not_null()
    repeats = table(rejections).filter(is_repeat)
    here = repeats.filter(pl.col("dataset").is_null())
    instead = dict(zip(here["id"].to_list(), here["instead"].to_list(), strict=True))
    found = take(kept, find(kept, {*ties, *repeats["instead"].to_list()}))
    places = dict(zip(names(found), spots(found), strict=True))
    datasets = repeats["dataset"].to_list()
    last = [
        name if name in places or dataset is not None else _last_kept(name, instead, places)
        for name, dataset in zip(repeats["instead"].to_list(), datasets, strict=True)
    ]
    standing = {name for name, dataset in zip(last, datasets, strict=True) if dataset is None} | ties.keys()
    stay = [name for name in places if name in standing]
    types = dict.fromkeys(COLUMNS, pl.String) | {"similarity": pl.Float64, "line": pl.Int64}
    gone = repeats.select(*COLUMNS[1:2], pl.col("instead").alias("kept"), *COLUMNS[3:])
    left = {
        "id": stay,
        "kept": stay,
        "similarity": [1.0] * len(stay),
        "path": [places[name][0] for name in stay],
        "line": [places[name][1] for name in stay],
    }
    lines = pl.concat([gone, pl.DataFrame(left, {name: types[name] for name in left})], how="diagonal")
    clusters = pl.Series("cluster", [ties.get(name, name) for name in (*last, *stay)], pl.String)
    lines = lines.select(clusters, *COLUMNS[1:])
    return lines.sort("cluster", "similarity", "id", "path", "line", descending=[False, True, False, False, False])


def _last_kept(name: str, instead: Mapping[str, str], places: Mapping[str, object]) -> str:
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


def similarity_histogram(similarities: "Sequence[float] | NDArray[np.float64]", threshold: float) -> dict[str, int]:
    """How many rows were dropped at which similarity: lower edge of the bin -> rows; "1.00" are equal texts."""
    first = int(threshold * _BINS_PER_ONE + 1e-9)  # the tolerance: 0.15 * 20 is a little less than 3
    edges = np.maximum(first, (np.array(similarities, np.float64) * _BINS_PER_ONE + 1e-9).astype(np.int64))
    counts = np.bincount(edges, minlength=_BINS_PER_ONE + 1).tolist()
    return {f"{edge / _BINS_PER_ONE:.2f}": counts[edge] for edge in range(first, _BINS_PER_ONE + 1)}


def expected_recall(settings: Dedup) -> float:
    """The chance that a pair exactly at the threshold is compared: pairs above it have a better one."""
    return round(settings.chance(settings.threshold), 6)


def recall_curve(settings: Dedup, steps: int = 10) -> list[tuple[float, float]]:
    """(similarity, the chance that two rows of that similarity are compared) from 0 to 1."""
    return [(step / steps, round(settings.chance(step / steps), 6)) for step in range(steps + 1)]
