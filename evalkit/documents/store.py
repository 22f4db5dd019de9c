"""The passages of documents in a LanceDB table: vectors and a full-text index, made once for the same documents.

The table is a thing that can be made again: its name is the digest of documents, settings and versions, so that it is
never used for others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from curate.core.chat.base_model import made_once
from curate.core.console import progress
from curate.core.digests import digest_json
from curate.core.errors import DataError, ServiceError
from curate.core.records import versions
from curate.core.text.embedding import Embedder
from evalkit.documents.config import DocumentsConfig, Ranking
from evalkit.documents.passages import Passage, cut
from evalkit.documents.reading import DocumentFiles, Unreadable, read_sections

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "documents"
_LAYOUT = 1  # of the table and of how passages are cut: another number means that stores are made again
_TABLE = "passages"
_UNREADABLE = "unreadable.json"
_IN_MEMORY = "memory://"
_AT_ONCE = 64  # questions per search; LanceDB works on them side by side
_CANDIDATES = 50  # of each ranking: what is not among these doesn't rise to the top of both
_FUSION = 60  # the constant of reciprocal rank fusion in its paper
# Rounded, because the last bits depend on the processor and on the batch, and must not decide an order.
_DECIMALS = 5


class PassageStore:
    """Passages that can be searched."""

    def __init__(
        self, table: Any, passages: list[Passage], unreadable: list[Unreadable], embedder: Embedder | None
    ) -> None:
        self._table = table
        self._embedder = embedder
        self.passages = passages
        self.unreadable = unreadable

    def search(self, questions: Sequence[str], top: int, ranking: Ranking) -> list[list[int]]:
        """For each question the numbers of the `top` best passages, the best first; equally good ones by number.

        `text` finds only passages that share a word with the question, which may be fewer.
        """
        count = top if ranking != "hybrid" else max(top, _CANDIDATES)
        orders = []
        if ranking != "text":
            orders.append(self._by_meaning(questions, count))
        if ranking != "vector":
            orders.append([self._by_words(question, count) for question in questions])
        if len(orders) == 1:
            return orders[0]
        return [fused(found)[:top] for found in zip(*orders, strict=True)]

    def _by_meaning(self, questions: Sequence[str], count: int) -> list[list[int]]:
        if self._embedder is None:
            raise ValueError("this store was made without vectors")
        vectors = self._embedder.encode(questions)
        found: list[list[tuple[float, int]]] = [[] for _ in questions]
        for start in range(0, len(questions), _AT_ONCE):
            batch = list(vectors[start : start + _AT_ONCE])
            query = self._table.search(batch).distance_type("dot").limit(count + _CANDIDATES)
            rows = query.select(["n", "_distance"]).to_arrow()
            # One question has no index among the questions.
            which = rows["query_index"].to_pylist() if "query_index" in rows.column_names else [0] * len(rows)
            for index, n, distance in zip(which, rows["n"].to_pylist(), rows["_distance"].to_pylist(), strict=True):
                found[start + index].append((round(distance, _DECIMALS), n))
        return [[n for _, n in sorted(pairs)[:count]] for pairs in found]

    def _by_words(self, question: str, count: int) -> list[int]:
        from lancedb.query import MatchQuery

        # A MatchQuery takes the question as words: nothing in it is syntax.
        query = self._table.search(MatchQuery(question, "searchable"), query_type="fts").limit(count + _CANDIDATES)
        rows = query.select(["n", "_score"]).to_arrow()
        pairs = zip(rows["_score"].to_pylist(), rows["n"].to_pylist(), strict=True)
        return [n for _, n in sorted((-round(score, _DECIMALS), n) for score, n in pairs)[:count]]


def fused(orders: Sequence[Sequence[int]]) -> list[int]:
    """One order of several: by the sum of 1 / (60 + rank) over those that a number is in; equal sums by number.

    Source: reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009).
    """
    sums: dict[int, float] = {}
    for order in orders:
        for rank, number in enumerate(order, start=1):
            sums[number] = sums.get(number, 0.0) + 1 / (_FUSION + rank)
    return sorted(sums, key=lambda number: (-round(sums[number], 12), number))


def open_store(
    documents: DocumentFiles, config: DocumentsConfig, embedder: Embedder | None, folder: Path | None
) -> PassageStore:
    """The store of these documents in `folder`, made where there is none; without a folder, in memory.

    Raises: DataError where no document holds text, ServiceError where LanceDB can't be used.
    """
    if config.ranking == "text":
        embedder = None
    try:
        import lancedb
    except ImportError as error:
        raise ServiceError(f"LanceDB can't be imported: {error}", fix="pip install 'acidtest[eval]'") from error
    if folder is None:
        database = lancedb.connect(_IN_MEMORY)
        unreadable = _fill(database, documents, config, embedder)
        return _store(database.open_table(_TABLE), unreadable, embedder)
    key = digest_json(
        {
            "layout": _LAYOUT,
            "documents": documents.digest,
            "cut": [config.chunk_words, config.overlap_words],
            "embedder": embedder.digest if embedder else None,
            "versions": versions("lancedb", "pypdf", "beautifulsoup4", "sentence-transformers"),
        }
    )

    def make(place: Path) -> None:
        skipped = _fill(lancedb.connect(place), documents, config, embedder)
        (place / _UNREADABLE).write_bytes(msgspec.json.encode(skipped))

    place = made_once(folder / FOLDER / key.removeprefix("sha256:")[:16], make)
    try:
        skipped = msgspec.json.decode((place / _UNREADABLE).read_bytes(), type=list[Unreadable])
        return _store(lancedb.connect(place).open_table(_TABLE), skipped, embedder)
    except Exception as error:  # LanceDB raises errors of several libraries
        raise ServiceError(
            f"the stored passages can't be read: {error}",
            where=place,
            fix="delete this folder; it is made again from the documents",
        ) from error


def _fill(
    database: Any, documents: DocumentFiles, config: DocumentsConfig, embedder: Embedder | None
) -> list[Unreadable]:
    """Write the table; returns what could not be read."""
    passages: list[Passage] = []
    unreadable: list[Unreadable] = []
    with progress("documents", len(documents.files)) as advance:
        for file in documents.files:
            sections, missed = read_sections(file)
            unreadable += missed
            for section in sections:
                passages += cut(section, config.chunk_words, config.overlap_words)
            advance(1)
    if not passages:
        told = "; ".join(f"{item.file}: {item.why}" for item in unreadable[:3])
        raise DataError(f"no document holds any text: {told}", fix="name other files in `documents: {paths: [...]}`")
    table = database.create_table(_TABLE, _columns(passages, embedder))
    from lancedb.index import FTS

    # One worker: several would cut the index into parts by chance.
    table.create_index("searchable", config=FTS(num_workers=1))
    return unreadable


def _columns(passages: Sequence[Passage], embedder: Embedder | None) -> "pa.Table":
    import pyarrow as pa

    columns = {
        "n": pa.array(range(len(passages)), pa.int64()),
        **{name: pa.array([getattr(passage, name) for passage in passages]) for name in ("file", "heading", "text")},
        "searchable": pa.array([passage.searchable for passage in passages]),
    }
    if embedder:
        with progress("passages", len(passages)) as advance:
            vectors = embedder.encode([passage.searchable for passage in passages], advance)
        flat = pa.array(np.ascontiguousarray(vectors).ravel())
        columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table(columns)


def _store(table: Any, unreadable: list[Unreadable], embedder: Embedder | None) -> PassageStore:
    rows = table.search().select(["n", "file", "heading", "text"]).to_arrow().sort_by("n").to_pylist()
    passages = [Passage(file=row["file"], heading=row["heading"], text=row["text"]) for row in rows]
    return PassageStore(table, passages, unreadable, embedder)
