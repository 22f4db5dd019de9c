"""Answers that were paid for, kept by content in one SQLite file: a killed run goes on and asks nothing twice."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from curate.core.errors import ServiceError, os_errors
from evalkit.backends.types import Answer

FILE_NAME = "answers.sqlite"
_WAIT_S = 30.0  # for another process that writes to the same file
_LOG_PAGES = 10_000  # of 4 KB, about 5,000 answers; a power cut costs what the system has not written by then
_AT_ONCE = 500  # below SQLite's oldest limit on the number of parameters


class AnswerCache:
    """Answers by key. Each is on disk, whole, as soon as `put` returns; failed answers are not kept."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def get(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The answers that are there."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Answer] = {}
        with _errors(self._path):
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, answer FROM answers WHERE key IN ({marks})"  # noqa: S608 - question marks only
                for key, data in self._connection.execute(query, part):
                    found[key] = msgspec.json.decode(data, type=Answer)
        return found

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; it takes the place of an older one."""
        self.put_all([(key, answer)])

    def put_all(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Keep answers in one write."""
        lines = [(key, msgspec.json.encode(answer)) for key, answer in answers if key and answer.error is None]
        if not lines:
            return
        with _errors(self._path), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", lines)


@contextmanager
def open_cache(folder: Path) -> Iterator[AnswerCache]:
    """The cache in `folder`, made where there is none. Raises: ServiceError where it can't be used."""
    path = folder / FILE_NAME
    with os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _errors(path):
        connection = sqlite3.connect(path, timeout=_WAIT_S)
    try:
        with _errors(path):
            # With a write-ahead log a kill at any point leaves every answer that `put` returned for.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            # Copying the log into the file waits for the disk, and every request in flight with it: seldom is enough.
            connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB) WITHOUT ROWID")
        yield AnswerCache(connection, path)
    finally:
        connection.close()


def peek_cache(folder: Path, keys: Iterable[str]) -> dict[str, Answer]:
    """The answers kept in `folder`, without making a file where there is none."""
    if not (folder / FILE_NAME).is_file():
        return {}
    with open_cache(folder) as cache:
        return cache.get(keys)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise ServiceError(
            f"the answers kept here can't be used: {error}",
            where=path,
            fix="check disk space and permissions; deleting the file loses nothing but finished answers",
        ) from error
