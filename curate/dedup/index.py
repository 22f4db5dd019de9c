"""A persistent index of earlier datasets: which rows of a new one repeat a row that was ever added.

The folder holds `index.json` (settings, and the digest of each segment) and one Parquet segment for each addition: ids,
texts' keys, MinHashes and shingle hashes. Candidates come from datasketch's LSH, which is kept in Redis, or filled in
memory with the rows that share a band with those asked about; each is verified by exact Jaccard on the stored hashes.
Nothing is pickled: keys are rows' numbers.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import polars as pl
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import Field

from curate.core.config_file import Config
from curate.core.digests import digest_file
from curate.core.errors import ConfigError, DataError, ProvenanceError, ServiceError, os_errors
from curate.core.files import atomic_write
from curate.core.records import read_record, write_record
from curate.core.rows.row import Row
from curate.core.rows.row_keys import scene_number
from curate.core.rows.row_text import chosen_text, exact_key, text_key
from curate.core.sources.known_folders import INDEX_RECORD
from curate.dedup.minhash import SCHEME, Banding, Sketches, permutations, signatures, sketch

REDIS_VARIABLE = "ACIDTEST_REDIS_URL"  # an address can hold a password, and so stands in no file and no argument
Storage = Literal["memory", "redis"]
_ASKED_ROWS = 4096  # rows whose texts are in memory at once
_SCHEMA_NOW = _BARE_WORDS = 2
"""From here on words are bare, texts are compared within their scene, and numbers are stored."""
_KEY_BYTES = 8  # a row's number, highest byte first
_KEY_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd and without pattern: that of the golden ratio


class IndexSettings(Config):
    """What an index compares and how; fixed when it is made, because stored hashes depend on it."""

    on: Literal["prompt", "answer", "conversation"] = "prompt"
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=3, ge=1, le=16)
    unit: Literal["auto", "word", "character"] = "auto"
    bands: int = Field(default=32, ge=1, le=256)
    rows: int = Field(default=4, ge=1, le=32)
    seed: int = Field(default=0, ge=0, lt=2**32)
    storage: Storage = "memory"
    """Where the LSH's buckets are: `redis` keeps them between runs and shares them between machines."""

    def banding(self, schema: int) -> Banding:
        """The settings as the sketches take them. Early indexes know words with the marks at their ends."""
        early = schema < _BARE_WORDS
        shape = self.ngram, self.bands, self.rows, self.seed, self.unit
        return Banding(*shape, fewest=0 if early else 1, with_marks=early)


@dataclass(frozen=True, slots=True)
class Match:
    """The indexed row that a row repeats: its id, the dataset it was added with, and how similar they are."""

    id: str
    dataset: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Added:
    """What an addition did: rows that are new in the index, and rows whose text it had already."""

    new: int
    known: int


def create_index(folder: Path, settings: IndexSettings | None = None, *, dry_run: bool = False) -> None:
    """Make an empty index; a dry run only looks whether it could. Raises: DataError where there is one already."""
    chosen = settings or IndexSettings()
    if (folder / INDEX_RECORD).exists():
        raise DataError("an index stands here already", where=folder, fix="add to it, or name another folder")
    if dry_run:
        return
    with os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write(folder, chosen, [])


def describe_index(folder: Path) -> dict[str, Any]:
    """What an index holds: algorithm, settings with the seed, rows by dataset, and the digest of its record.

    Raises: DataError or ProvenanceError for an index that is missing or damaged.
    """
    opened = _Index(folder)
    datasets = opened.table.group_by("dataset", maintain_order=True).len()
    return {
        "scheme": SCHEME,
        "settings": opened.settings.model_dump(mode="json"),
        "rows": opened.table.height,
        "datasets": dict(datasets.iter_rows()),
        "digest": opened.digest,
    }


def add_rows(
    folder: Path, dataset: str, rows: Sequence[Row], *, redis_url: str | None = None, dry_run: bool = False
) -> Added:
    """Add the rows whose text the index does not have yet, under the dataset's name; a dry run only counts them.

    Raises: DataError or ProvenanceError for an index that is missing or damaged, ServiceError for Redis.
    """
    with FileLock(folder / ".lock") if folder.is_dir() else _no_folder(folder):
        opened = _Index(folder)
        texts = {opened.key(row, text): (row, text) for row, text in reversed(_texts(rows, opened.settings))}
        fresh = [(key, *texts[key]) for key in reversed(texts) if key not in opened.by_key]
        if fresh and not dry_run:
            segment = _segment(dataset, fresh, opened)
            name = f"segment-{len(opened.segments) + 1:05d}.parquet"
            with atomic_write(folder / name) as file:
                segment.write_parquet(file)
            # First the buckets, then the record: after a kill between them, buckets name rows that no segment has yet,
            # and a query takes no notice of those.
            with _redis_errors():
                if opened.settings.storage == "redis":
                    numbers = range(opened.table.height, opened.table.height + segment.height)
                    _fill(_filled_lsh(opened, redis_url), segment, numbers, opened.settings)
            described = {"name": name, "rows": segment.height, "digest": digest_file(folder / name)}
            _write(folder, opened.settings, [*opened.segments, described], opened.basename, opened.schema)
    return Added(len(fresh), len(rows) - len(fresh))


def find_rows(folder: Path, rows: Sequence[Row], *, redis_url: str | None = None) -> list[Match | None]:
    """For each row the most similar indexed row that it repeats, None where there is none.

    Rows with the same text match whatever their length; others by the Jaccard similarity of their n-grams, where their
    numbers agree. Answers are not compared.
    """
    opened = _Index(folder)
    settings = opened.settings
    found: list[Match | None] = []
    with _redis_errors():
        lsh = _filled_lsh(opened, redis_url) if settings.storage == "redis" else None
        for first in range(0, len(rows), _ASKED_ROWS):
            found += _found(_texts(rows[first : first + _ASKED_ROWS], settings), opened, lsh)
    return found


def _found(asked: Sequence[tuple[Row, str]], opened: "_Index", lsh: Any) -> Iterator[Match | None]:
    """What the texts repeat; where no LSH is given, one is filled with the rows that they can share a bucket with."""
    settings = opened.settings
    sketches = opened.sketch(asked)
    minima = _minima(sketches.shingles, sketches.starts, settings)
    if lsh is None:
        near = np.flatnonzero(_share_band(opened.minima, minima, settings))
        lsh = _lsh(settings, opened.basename, None)
        _fill(lsh, opened.table[near], near.tolist(), settings)
    for number, ((row, text), minhash) in enumerate(zip(asked, _as_minhashes(minima, settings), strict=True)):
        same = opened.by_key.get(opened.key(row, text))
        if same is not None:
            yield opened.match(same, 1.0)
            continue
        own = set(sketches.shingles[sketches.starts[number] : sketches.starts[number + 1]].tolist())
        candidates = lsh.query(minhash) if own else []
        told = int(sketches.numbers[number])
        yield _best(opened, own, told, sorted(int.from_bytes(key, "big") for key in candidates))


class _Index:
    """An index as it stands on disk, its segments checked against their digests."""

    def __init__(self, folder: Path) -> None:
        if not (folder / INDEX_RECORD).is_file():
            _no_folder(folder)
        record = read_record(folder / INDEX_RECORD)
        if record.get("scheme") != SCHEME:
            raise ProvenanceError(f"the index was made with {record.get('scheme')}", where=folder, fix="make it again")
        self.schema = int(record["schema"])
        if not 1 <= self.schema <= _SCHEMA_NOW:
            raise ProvenanceError(f"the index is of version {self.schema}", where=folder, fix="make it again")
        self.settings = IndexSettings.model_validate(record["settings"])
        self.digest = str(record["digest"])
        self.basename = str(record["environment"]["basename"])
        self.segments: list[dict[str, Any]] = record["segments"]
        parts = []
        for segment in self.segments:
            path = folder / segment["name"]
            if not path.is_file() or digest_file(path) != segment["digest"]:
                raise ProvenanceError("a segment is missing or was changed", where=path, fix="make the index again")
            parts.append(pl.read_parquet(path))
        self.table = pl.concat(parts) if parts else pl.DataFrame(schema=_SCHEMA)

    def key(self, row: Row, text: str) -> bytes:
        """What is equal for texts that are the same."""
        scene = scene_number(row) if self.schema >= _BARE_WORDS else 0
        return exact_key(text_key(text) + scene.to_bytes(8, "big")) if scene else text_key(text)

    def sketch(self, texts: Sequence[tuple[Row, str]]) -> Sketches:
        """Sketches of rows' texts, as the index has them."""
        scenes = np.zeros(len(texts), np.uint64)
        if self.schema >= _BARE_WORDS:
            scenes[:] = [scene_number(row) for row, _ in texts]
        return sketch([text for _, text in texts], self.settings.banding(self.schema), scenes=scenes)

    @cached_property
    def by_key(self) -> Mapping[bytes, int]:
        """The number of the row with each text's key."""
        return {key: number for number, key in enumerate(self.table["key"])}

    @cached_property
    def minima(self) -> NDArray[np.uint32]:
        """The MinHashes of all rows, of shape (n, bands * rows)."""
        found: NDArray[np.uint32] = self.table["minima"].explode().drop_nulls().to_numpy()
        return found.reshape(self.table.height, self.settings.bands * self.settings.rows)

    def match(self, number: int, similarity: float) -> Match:
        row = self.table.row(number, named=True)
        return Match(row["id"], row["dataset"], round(similarity, 4))


_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "dataset": pl.String,
    "key": pl.Binary,
    "minima": pl.List(pl.UInt32),
    "shingles": pl.List(pl.UInt32),
    "numbers": pl.UInt64,
}


def _best(opened: _Index, own: set[int], told: int, candidates: Sequence[int]) -> Match | None:
    best, best_similarity = -1, 0.0
    for number in candidates:
        if number >= opened.table.height:
            continue  # of an addition that was killed before it was recorded
        if opened.schema >= _BARE_WORDS and opened.table["numbers"][number] != told:
            continue
        other = set(opened.table["shingles"][number])
        similarity = len(own & other) / len(own | other)
        if similarity >= opened.settings.threshold and similarity > best_similarity:
            best, best_similarity = number, similarity
    return opened.match(best, best_similarity) if best >= 0 else None


def _texts(rows: Sequence[Row], settings: IndexSettings) -> list[tuple[Row, str]]:
    return [(row, chosen_text(row, settings.on)) for row in rows]


def _segment(dataset: str, fresh: Sequence[tuple[bytes, Row, str]], opened: _Index) -> pl.DataFrame:
    sketches = opened.sketch([(row, text) for _, row, text in fresh])
    minima = _minima(sketches.shingles, sketches.starts, opened.settings)
    bounds = zip(sketches.starts, sketches.starts[1:], strict=False)
    found = pl.DataFrame(
        {
            "id": [row.id for _, row, _ in fresh],
            "dataset": [dataset] * len(fresh),
            "key": [key for key, _, _ in fresh],
            "minima": minima.tolist(),
            "shingles": [np.unique(sketches.shingles[first:last]).tolist() for first, last in bounds],
            "numbers": sketches.numbers.tolist(),
        },
        schema=_SCHEMA,
    )
    return found if opened.schema >= _BARE_WORDS else found.drop("numbers")


def _minima(shingles: NDArray[np.uint32], starts: NDArray[np.int64], settings: IndexSettings) -> NDArray[np.uint32]:
    return signatures(shingles, starts, settings.bands * settings.rows, settings.seed)


def _as_minhashes(minima: Iterable[NDArray[np.uint32]], settings: IndexSettings) -> Iterator[Any]:
    """Our minima as datasketch's objects."""
    from datasketch import MinHash

    known = permutations(settings.bands * settings.rows, settings.seed)
    for values in minima:
        yield MinHash(hashvalues=values, permutations=known, seed=settings.seed, scheme=SCHEME)


def _share_band(minima: NDArray[np.uint32], asked: NDArray[np.uint32], settings: IndexSettings) -> NDArray[np.bool_]:
    """Rows that agree with one of those asked about in all MinHashes of a band; others may be among them by chance."""
    shared = np.zeros(len(minima), np.bool_)
    for first in range(0, minima.shape[1], settings.rows):
        known, wanted = (_band_keys(each[:, first : first + settings.rows]) for each in (minima, asked))
        shared |= np.isin(known, wanted)
    return shared


def _band_keys(band: NDArray[np.uint32]) -> NDArray[np.uint64]:
    keys = np.zeros(len(band), np.uint64)
    for column in band.T:
        keys = keys * _KEY_FACTOR + column
    return keys


def _filled_lsh(opened: _Index, redis_url: str | None) -> Any:
    """datasketch's LSH with all rows of the index in it: a Redis that lost them gets them from the segments again."""
    lsh = _lsh(opened.settings, opened.basename, redis_url)
    with_shingles = int((opened.table["shingles"].list.len() > 0).sum())
    if lsh.keys.size() < with_shingles:
        _fill(lsh, opened.table, range(opened.table.height), opened.settings)
    return lsh


def _lsh(settings: IndexSettings, basename: str, redis_url: str | None) -> Any:
    """datasketch's LSH over the index's buckets."""
    try:
        from datasketch import MinHashLSH
    except ImportError as error:
        raise ConfigError("the index needs datasketch", fix="pip install 'acidtest[index]'") from error
    config: dict[str, Any] = {"type": "dict", "basename": basename.encode()}
    if settings.storage == "redis":
        config = {"type": "redis", "basename": basename.encode(), "redis": _redis_parameters(redis_url)}
    shape = {"num_perm": settings.bands * settings.rows, "params": (settings.bands, settings.rows)}
    return MinHashLSH(**shape, storage_config=config, prepickle=False)


def _redis_parameters(url: str | None) -> dict[str, Any]:
    url = url or os.environ.get(REDIS_VARIABLE)
    if not url:
        fix = f"say where in the environment: {REDIS_VARIABLE}=redis://HOST:PORT/DATABASE"
        raise ConfigError("this index keeps its buckets in Redis", fix=fix)
    parts = urlsplit(url)
    if parts.scheme != "redis" or not parts.hostname:
        raise ConfigError(f"{parts.scheme or 'this'} is no address of Redis", fix="use redis://HOST:PORT/DATABASE")
    database = int(parts.path.strip("/") or 0)
    parameters = {"host": parts.hostname, "port": parts.port or 6379, "db": database}
    return parameters | ({"password": parts.password} if parts.password else {})


def _fill(lsh: Any, table: pl.DataFrame, numbers: Iterable[int], settings: IndexSettings) -> None:
    """Put the rows that have shingles into the LSH under these numbers."""
    made = _as_minhashes((minima.to_numpy() for minima in table["minima"]), settings)
    with lsh.insertion_session() as session:
        for number, minhash, size in zip(numbers, made, table["shingles"].list.len(), strict=True):
            if size:
                session.insert(number.to_bytes(_KEY_BYTES, "big"), minhash, check_duplication=False)


def _write(
    folder: Path,
    settings: IndexSettings,
    segments: list[dict[str, Any]],
    basename: str | None = None,
    schema: int = _SCHEMA_NOW,
) -> None:
    body = {
        "kind": "index",
        "schema": schema,
        "scheme": SCHEME,
        "settings": settings.model_dump(mode="json"),
        "segments": segments,
        # Keeps the indexes in one Redis apart; chance, and so no part of what the record says.
        "environment": {"basename": basename or f"acidtest-{secrets.token_hex(8)}"},
    }
    write_record(folder / INDEX_RECORD, body)


@contextmanager
def _redis_errors() -> Iterator[None]:
    """Redis' exceptions as ours. Its package is there only with the extra, so they are told by where they come from."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] != "redis":
            raise
        raise ServiceError(f"Redis does not answer: {error}", fix="start it, or correct the address") from error


def _no_folder(folder: Path) -> Any:
    raise DataError("there is no index here", where=folder, fix="make one with `curate index create`")
