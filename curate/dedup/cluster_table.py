"""What the duplicate stages found, for files and reports: the table of clusters, how similar duplicates are, and how
many of them the settings can be expected to find.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.recipe.recipe import Dedup
from curate.table.id_numbers import IdNumbers
from curate.table.rejections import Rejections
from curate.table.row_table import TextNumbers
from curate.table.selection import RowSelection

if TYPE_CHECKING:
    import polars as pl

_IDS = ("cluster", "id", "kept")
COLUMNS = ("cluster", "id", "kept", "similarity", "stage", "dataset", "path", "line")
_BINS_PER_ONE = 20  # bins of 0.05: a threshold of 0.7 leaves six and one for the same text
_PIECE_LINES = 1 << 14  # of a table that are text at once


_COLUMNS = {
    "at": np.int64, "id": np.int32, "instead": np.int32, "similarity": np.float64, "stage": np.int8,
    "dataset": np.int32, "path": np.int32, "line": np.int64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repeated:
    """Rows that were left out because they repeat another, in columns of shape (n,); ids are numbers of `IdNumbers`.

    `at` are their positions among the rejections, `id` is -1 where a record had none, `stage` the number among the
    stages asked for, `dataset` that of the earlier dataset that `instead` is of, -1 for none. `path` and `line` say
    where they stood.
    """

    at: NDArray[np.int64]
    id: NDArray[np.int32]
    instead: NDArray[np.int32]
    similarity: NDArray[np.float64]
    stage: NDArray[np.int8]
    dataset: NDArray[np.int32]
    path: NDArray[np.int32]
    line: NDArray[np.int64]

    @classmethod
    def of(cls, **columns: Any) -> "Repeated":
        """These columns, in as few bytes as they need."""
        return cls(**{name: np.asarray(columns[name], kind) for name, kind in _COLUMNS.items()})

    @classmethod
    def joined(cls, parts: Sequence["Repeated"]) -> "Repeated":
        """The rows of all parts."""
        return cls(*[np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS])

    def taken(self, at: Any) -> "Repeated":
        """Those at these places, or those that a mask chooses."""
        return Repeated(*[getattr(self, name)[at] for name in _COLUMNS])


def repeated(
    rejections: Rejections, stages: Sequence[str], ids: IdNumbers, datasets: TextNumbers, paths: TextNumbers
) -> Repeated:
    """What the stages left out as repeating another row, in the order in which the rejections come."""
    found = [Repeated.of(**dict.fromkeys(_COLUMNS, ()))]
    before = 0
    for block in rejections.blocks:
        if block.stage in stages and block.instead is not None:
            kept, total = block.instead, len(block)
            here = kept.numbers >= 0
            instead, dataset = np.empty(total, np.int32), np.full(total, -1, np.int32)
            instead[here] = ids.of(RowSelection(kept.table, kept.numbers[here]))
            if not here.all():
                instead[~here] = ids.of_ids(kept.others.ids)[~kept.numbers[~here]]
                dataset[~here] = datasets.of(kept.others.datasets)[~kept.numbers[~here]]
            named, of_path, lines = block.records.places()
            found.append(
                Repeated.of(
                    at=np.arange(before, before + total),
                    id=ids.of(block.records),
                    instead=instead,
                    similarity=kept.similarity,
                    stage=np.full(total, stages.index(block.stage), np.int8),
                    dataset=dataset,
                    path=paths.of(named)[of_path],
                    line=lines,
                )
            )
        before += len(block)
    return Repeated.joined(found)


class ClusterTable:
    """One line for each row of a cluster: the rows that repeat another, and the rows that are kept instead.

    `kept` is the id of the row that a dropped one is `similarity` to (itself for those that stay); where that row went
    in a later stage, `cluster` still leads to the row that stands for both. `cluster` is the smallest id of the kept
    rows that are tied. `dataset` names the earlier dataset that `kept` is of, where it is not a row of this one.
    """

    def __init__(
        self, kept: RowSelection, rejections: Rejections, ties: Mapping[str, str], stages: Sequence[str]
    ) -> None:
        """`stages` are the names of those that look for duplicates."""
        self._ids = ids = IdNumbers(kept.table)
        self._stages = stages
        self._datasets, self._paths = TextNumbers(), TextNumbers()
        gone = repeated(rejections, stages, ids, self._datasets, self._paths)
        gone = gone.taken(gone.id >= 0)
        tied, tie = ids.of_ids(list(ties)), ids.of_ids(list(ties.values()))
        kept_ids = ids.of(kept)
        places = np.flatnonzero(ids.isin(kept_ids, np.concatenate([tied, gone.instead])))
        there = kept_ids[places]
        here = gone.dataset < 0
        last = _last_kept(gone, np.sort(there), ids)
        stays = ids.isin(there, np.concatenate([tied, last[here]]))
        places, stay = places[stays], there[stays]
        # Of rows that share an id, the last one stands for it.
        stay, at = np.unique(stay[::-1], return_index=True)
        paths, of_path, lines = kept.take(places[::-1][at]).places()
        nothing = np.full(stay.size, -1)
        left = Repeated.of(
            at=nothing, id=stay, instead=stay, similarity=np.ones(stay.size), stage=nothing, dataset=nothing,
            path=self._paths.of(paths)[of_path], line=lines,
        )  # fmt: skip
        self._lines = Repeated.joined([gone, left])
        clusters = np.concatenate([last, stay], dtype=np.int32, casting="same_kind")
        known = np.argsort(tied)
        at = np.minimum(np.searchsorted(tied[known], clusters), max(tied.size - 1, 0))
        if tied.size:
            clusters = np.where(tied[known][at] == clusters, tie[known][at], clusters)
        self._clusters = clusters
        self._order = self._in_order()

    def __len__(self) -> int:
        return self._clusters.size

    def _in_order(self) -> NDArray[np.int64]:
        """By cluster, the most similar first, then by id, path and line."""
        import polars as pl

        clusters, lines = self._clusters, self._lines
        numbers = np.unique(np.concatenate([clusters, lines.id]))
        pieces = [pl.Series(self._ids.ids(numbers[at : at + _PIECE_LINES]), dtype=pl.String)
                  for at in range(0, numbers.size, _PIECE_LINES)]  # fmt: skip
        places = np.empty(numbers.size, np.int32)
        if pieces:
            places[pl.concat(pieces).arg_sort().to_numpy()] = np.arange(numbers.size)
        paths = np.argsort(np.argsort(np.array(self._paths.texts, object)))
        by_id = places[np.searchsorted(numbers, lines.id)]
        by_cluster = places[np.searchsorted(numbers, clusters)]
        return np.lexsort((lines.line, paths[lines.path], by_id, -lines.similarity, by_cluster))

    def pieces(self) -> "Iterator[pl.DataFrame]":
        """The table, some lines at a time."""
        import polars as pl

        types = dict.fromkeys(COLUMNS, pl.String) | {"similarity": pl.Float64, "line": pl.Int64}
        stages, datasets, paths = [*self._stages, None], [*self._datasets.texts, None], self._paths.texts
        for first in range(0, len(self), _PIECE_LINES) or (0,):
            some = self._order[first : first + _PIECE_LINES]
            lines = self._lines.taken(some)
            yield pl.DataFrame(
                {
                    "cluster": self._ids.ids(self._clusters[some]),
                    "id": self._ids.ids(lines.id),
                    "kept": self._ids.ids(lines.instead),
                    "similarity": lines.similarity,
                    "stage": [stages[at] for at in lines.stage.tolist()],
                    "dataset": [datasets[at] for at in lines.dataset.tolist()],
                    "path": [paths[at] for at in lines.path.tolist()],
                    "line": lines.line,
                },
                types,
            )


def _last_kept(gone: Repeated, kept: NDArray[np.int64], ids: IdNumbers) -> NDArray[np.int32]:
    """The row that stands for each one's `instead` after all stages; `kept` are those that are left, in order.

    Exact duplicates can share an id: that ends the search.
    """
    here = gone.dataset < 0
    went = here & ids.isin(gone.id, gone.instead)
    instead = dict(zip(gone.id[went].tolist(), gone.instead[went].tolist(), strict=True))
    last = gone.instead.copy()
    for at in np.flatnonzero(here & ~ids.isin(last, kept)).tolist():
        name = int(last[at])
        seen = {name}
        while not _holds(kept, name) and name in instead and instead[name] not in seen:
            name = instead[name]
            seen.add(name)
        last[at] = name
    return last


def _holds(numbers: NDArray[np.int64], one: int) -> bool:
    at = int(np.searchsorted(numbers, one))
    return at < numbers.size and int(numbers[at]) == one


def renamed(table: "pl.DataFrame", rename: Callable[[Iterable[str]], Mapping[str, str]]) -> "pl.DataFrame":
    """The table with the names for ids that `rename` gives to some of them."""
    import polars as pl

    names = dict(rename(pl.concat([table[name] for name in _IDS]).unique(maintain_order=True)))
    return table.with_columns(pl.col(*_IDS).replace(names)) if names else table


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
