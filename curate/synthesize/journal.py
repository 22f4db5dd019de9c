"""The journal of a synthesis: every request sent and every reply got, on disk before anything is done with it.

A run that is killed goes on from here and pays for no reply twice. Lines are only ever added.
"""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec
from filelock import FileLock, Timeout

from curate.core.errors import ProvenanceError, ServiceError, os_errors


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: a request was `sent`, or it came back: with a `reply`, or `failed`. Units: tokens as they were charged.

    A sent request without a second line was cut off: it may have been charged, so its bounds count as spent.
    """

    event: Literal["sent", "reply", "failed"]
    key: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    text: str = ""
    finish_reason: str = ""
    model: str = ""
    detail: str = ""


class Journal:
    """An open journal, for one process and any number of its threads. Raises: ServiceError where another one has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self._lock = FileLock(str(path) + ".lock", timeout=0)
        self._writing = threading.Lock()
        self._file = -1

    def __enter__(self) -> "Journal":
        with os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                fix = "wait until the other run has ended"
                raise ServiceError("another run is writing to this journal", where=self.path, fix=fix) from None
            try:
                self.records, end = _read(self.path)
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                # A line that a kill cut short holds nothing; what is added must not be glued to it.
                os.ftruncate(self._file, end)
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)
        self._lock.release()

    def append(self, record: Record) -> None:
        """Add a line; when this returns, it is on disk."""
        line = msgspec.json.encode(record) + b"\n"
        with self._writing, os_errors(self.path):
            while line:  # a signal or a full disk can cut a write short
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
            self.records.append(record)

    def replies(self) -> dict[str, Record]:
        """The reply to each request that has one; the first counts."""
        found: dict[str, Record] = {}
        for record in self.records:
            if record.event == "reply":
                found.setdefault(record.key, record)
        return found


def read_journal(path: Path) -> list[Record]:
    """The lines of a journal, which may be missing or still be written to."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[Record], int]:
    """The whole lines and where the last one ends. Raises: ProvenanceError for a line that is no record."""
    if not path.exists():
        return [], 0
    with os_errors(path):
        data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    records = []
    decoder = msgspec.json.Decoder(Record)
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            records.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ProvenanceError(
                f"not a line of a journal: {error}", where=f"{path}:{number}",
                fix="repair or delete the line; the reply it held is then asked for again",
            ) from error  # fmt: skip
    return records, end
