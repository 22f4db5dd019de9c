"""Journals: files of JSON lines that are only ever added to, each line on disk before anything is done with it."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec
from filelock import FileLock, Timeout

from curate.core.errors import ProvenanceError, ServiceError, os_errors

R = TypeVar("R", bound=msgspec.Struct)


class Journal(Generic[R]):
    """An open journal, for one process and any number of its threads. Raises: ServiceError where another one has it."""

    kind: type[R]
    """What a line is."""
    loss = "what it held is then to be done again"
    """What it means to delete a damaged line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[R] = []
        self._lock = FileLock(str(path.with_name(f".{path.name}.lock")), timeout=0)
        self._writing = threading.Lock()
        self._file = -1

    def __enter__(self) -> Self:
        with os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                fix = "wait until the other run has ended"
                raise ServiceError("another run is writing to this journal", where=self.path, fix=fix) from None
            try:
                self.records, end = read_whole_lines(self.path, self.kind, self.loss)
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

    def append(self, *records: R) -> None:
        """Add a line for each; when this returns, all are on disk."""
        data = memoryview(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        with self._writing, os_errors(self.path):
            whole = os.fstat(self._file).st_size
            try:
                while data:  # a signal or a full disk can cut a write short
                    data = data[os.write(self._file, data) :]
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, whole)  # a part of a line would spoil the next one
                raise
            self.records += records


def read_whole_lines(path: Path, kind: type[R], loss: str) -> tuple[list[R], int]:
    """The lines that have an end, and where the last of them ends. Raises: ProvenanceError for one that is no record.

    The file may be missing, or still be written to.
    """
    if not path.exists():
        return [], 0
    with os_errors(path):
        data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    records = []
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            records.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ProvenanceError(
                f"not a line of a journal: {error}", where=f"{path}:{number}", fix=f"repair or delete the line; {loss}"
            ) from error
    return records, end
