"""What `clusters.parquet` of a dataset says: which rows are duplicates of one another, and how similar they are."""

from functools import cached_property
from pathlib import Path

from curate.core.errors import DataError, first_line
from curate.core.review.items import Facts

FILE = "clusters.parquet"
_SHOWN = 3


class Clusters:
    """The clusters of the dataset in a folder; none where there is no folder or no such file. Read when first asked."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE

    @cached_property
    def _rows(self) -> list[tuple[str, str, str, float, str | None]]:
        if self._path is None or not self._path.is_file():
            return []
        import polars as pl

        try:
            table = pl.read_parquet(self._path, columns=["cluster", "id", "kept", "similarity", "stage"])
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"can't be read: {first_line(error)}", where=self._path, fix="build the dataset again"
            ) from error
        return table.rows()

    @cached_property
    def _cluster(self) -> dict[str, str]:
        return {row: cluster for cluster, row, _, _, _ in self._rows}

    @cached_property
    def _repeats(self) -> dict[str, list[tuple[str, float]]]:
        found: dict[str, list[tuple[str, float]]] = {}
        for _, row, kept, similarity, stage in self._rows:
            if stage is not None:
                found.setdefault(kept, []).append((row, similarity))
        return found

    @cached_property
    def nearest(self) -> dict[str, float]:
        """For each kept row the similarity of the duplicate that is most like it."""
        return {kept: max(similarity for _, similarity in rows) for kept, rows in self._repeats.items()}

    def of(self, row: str) -> str | None:
        """The cluster that a row is in."""
        return self._cluster.get(row)

    def why(self, row: str) -> Facts:
        """What a reviewer is told about the duplicates of a row that was kept."""
        if not (repeats := self._repeats.get(row)):
            return ()
        shown = ", ".join(f"{name} ({similarity:.2f})" for name, similarity in repeats[:_SHOWN])
        more = f" and {len(repeats) - _SHOWN} more" if len(repeats) > _SHOWN else ""
        return (("cluster", f"{self.of(row)}: kept instead of {shown}{more}"),)
