"""Tables that are stored by columns as records: Parquet and Arrow, row by row."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from curate.core.errors import DataError, first_line
from curate.core.sources.record import Record

if TYPE_CHECKING:
    import polars as pl

_BATCH_ROWS = 2048
_ARROW_FILE = b"ARROW1"


def read_columns(path: Path) -> Iterator[Record]:
    """Every row as a record; its bytes are its JSON. A field that a struct lacks and one that is null are the same."""
    import polars as pl

    try:
        frame = _scan(path)
        total = frame.select(pl.len()).collect().item()
        for first in range(0, total, _BATCH_ROWS):
            for index, row in enumerate(frame.slice(first, _BATCH_ROWS).collect().iter_rows(named=True), start=first):
                yield _record(index, row)
    except (pl.exceptions.PolarsError, OSError) as error:
        kind = "Parquet" if _holds_parquet(path) else "Arrow"
        raise DataError(
            f"the {kind} file can't be read: {first_line(error)}", where=path, fix="make or fetch it again"
        ) from error


def _holds_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def _scan(path: Path) -> "pl.LazyFrame":
    """The table. Arrow's two kinds have the same names: `datasets` writes streams, which are held in memory whole."""
    import polars as pl

    with path.open("rb") as file:
        head = file.read(len(_ARROW_FILE))
    if head.startswith(_ARROW_FILE):
        return pl.scan_ipc(path, glob=False)
    if head.startswith(b"PAR1") or _holds_parquet(path):
        return pl.scan_parquet(path, glob=False)
    return pl.read_ipc_stream(path).lazy()


def _record(index: int, row: dict[str, Any]) -> Record:
    fields = {key: _without_nulls(value) for key, value in row.items() if value is not None}
    try:
        raw = msgspec.json.encode(fields)
        return Record(index + 1, index, raw, msgspec.json.decode(raw))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        return Record(index + 1, index, repr(row).encode("utf-8", "replace"), None, ("not-json", str(error)))


def _without_nulls(value: Any) -> Any:
    """Structs without their null fields: Parquet gives every struct of a column the fields of all of them."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
