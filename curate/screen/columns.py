"""Measured columns, kept as side files: a threshold, a limit or an action can change without reading a text again.

One Parquet file for each screen, text chosen and set of options: `personal-data-conversation-1f0c….parquet` with the
row's id, the digest of its text, and the measures. Spans are offsets; what was found is never in the file.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from curate.core.console import costs_time_alone, say
from curate.core.files import atomic_write
from curate.core.rows.row_text import exact_key
from curate.screen.measures import Chunk, Measure
from curate.screen.texts import Reads, RowTexts, text_series

if TYPE_CHECKING:
    import polars as pl

_CHUNK_TEXTS = 4096  # large enough that handing it over costs nothing, small enough to share out evenly


_BESIDE: dict[Reads, str] = {"content": "", "reasoning": " and its reasoning", "everything": " and all beside it"}


def side_file(measure: Measure) -> str:
    """The name of the file that keeps what a screen measured."""
    return f"{measure.name}-{measure.settings.on}-{measure.key}.parquet"


def measured(
    measures: Sequence[Measure],
    ids: Sequence[str],
    texts: RowTexts,
    *,
    side_folder: Path | None = None,
    threads: int = 1,
) -> "list[pl.DataFrame]":
    """Each screen's columns for every text, in order; those of texts seen before come from the side files.

    All measures must be `on` these texts. The same for any number of threads. With `side_folder`, the side files hold
    exactly these rows afterwards.
    """
    import polars as pl

    if side_folder is None:
        return _measure_all(measures, texts, threads)
    digests = pl.Series("digest", [exact_key(text) for text in texts], dtype=pl.Binary)
    rows = pl.DataFrame([text_series(ids).alias("id"), digests])
    paths = [side_folder / side_file(measure) for measure in measures]
    kept = [_read_side_file(path) for path in paths]
    # Screens that lack the same texts measure them together, and share what they have in common.
    lacking: dict[tuple[int, ...], list[int]] = {}
    for index, known in enumerate(kept):
        lacking.setdefault(_lacking(rows, known), []).append(index)
    if texts and not any(lacking):
        beside = _BESIDE[measures[0].reads]
        say(f"screens of the {measures[0].settings.on}{beside}: kept from before")
    columns: list[pl.DataFrame] = [pl.DataFrame()] * len(measures)
    for new, indices in lacking.items():
        chosen = [measures[index] for index in indices]
        # Without anything new there is nothing to measure, unless there are no rows at all and the columns are wanted.
        made = _measure_all(chosen, texts.of(new), threads) if new or not texts else [None] * len(chosen)
        for index, fresh in zip(indices, made, strict=True):
            known = kept[index]
            if fresh is not None:
                fresh.insert_column(0, digests.gather(list(new)))
            columns[index] = _put_together(rows, known, fresh)
            if known is None or not known.select("id", "digest").equals(rows):
                _write_side_file(paths[index], rows, columns[index])
    return columns


def _lacking(rows: "pl.DataFrame", known: "pl.DataFrame | None") -> tuple[int, ...]:
    """The first row of each text that isn't known yet."""
    first = rows.with_row_index("row").unique("digest", keep="first", maintain_order=True)
    if known is not None:
        first = first.join(known.select("digest"), on="digest", how="anti", maintain_order="left")
    return tuple(first["row"])


def _put_together(rows: "pl.DataFrame", known: "pl.DataFrame | None", fresh: "pl.DataFrame | None") -> "pl.DataFrame":
    """The measures of every row, without id and digest; `known` and `fresh` together hold all digests."""
    import polars as pl

    if known is not None and known.select("id", "digest").equals(rows):
        return known.drop("id", "digest")
    by_digest = [] if known is None else [known.drop("id").unique("digest", keep="first", maintain_order=True)]
    every = pl.concat([*by_digest, *([] if fresh is None else [fresh])])
    return rows.join(every, on="digest", how="left", maintain_order="left").drop("id", "digest")


def _measure_all(measures: Sequence[Measure], texts: Sequence[str], threads: int) -> "list[pl.DataFrame]":
    import polars as pl

    def piece(first: int) -> list[pl.DataFrame]:
        chunk = Chunk(text_series(texts[first : first + _CHUNK_TEXTS]))
        return [measure.measure(chunk) for measure in measures]

    firsts = range(0, max(len(texts), 1), _CHUNK_TEXTS)
    if threads > 1 and len(firsts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            pieces = list(pool.map(piece, firsts))
    else:
        pieces = [piece(first) for first in firsts]
    return [pl.concat(columns) for columns in zip(*pieces, strict=True)]


def _write_side_file(path: Path, rows: "pl.DataFrame", columns: "pl.DataFrame") -> None:
    # polars would make an error of its own of a full disk.
    table = io.BytesIO()
    rows.hstack(columns).write_parquet(table)
    with costs_time_alone(path.name), atomic_write(path) as file:
        file.write(table.getbuffer())


def _read_side_file(path: Path) -> "pl.DataFrame | None":
    """The side file's rows; None where there is none, or where it is damaged: it can be made again."""
    import polars as pl

    if not path.is_file():
        return None
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError):
        return None
