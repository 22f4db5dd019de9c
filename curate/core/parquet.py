"""Parquet files that are the same bytes for the same rows."""

import io
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_GROUP_LINES = 122_880  # that a reader takes at once; polars' own size for smaller tables


def parquet_bytes(pieces: "Iterable[pl.DataFrame]") -> bytes:
    """The table that the pieces (at least one) make as a Parquet file: the same bytes for the same rows."""
    from polars.io.plugins import register_io_source

    left = iter(pieces)
    first = next(left)
    buffer = io.BytesIO()
    whole = register_io_source(lambda *_: chain((first,), left), schema=first.schema, is_pure=True)
    whole.sink_parquet(buffer, compression="zstd", statistics=False, row_group_size=_GROUP_LINES)
    return buffer.getvalue()
