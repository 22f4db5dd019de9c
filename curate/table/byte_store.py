"""Bytes that stay on disk until they are asked for: those of input files, and those of a temporary file of our own."""

import fcntl
import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import reduction
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError, os_errors

FEW_BYTES = 4 << 20  # small datasets touch no disk but for their output
_OPEN_FILES = 64  # a source may have thousands of shards, and a process a thousand open files


class ByteStore(Protocol):
    """Something that bytes can be read from by their place."""

    def read(self, start: int, size: int) -> bytes:
        """The bytes at this place."""


class ByteSpool:
    """Bytes that are put aside: a few in memory, more in a temporary file that is gone with its last process.

    Once it is shared, processes that begin with it can add to it and read what others added.
    """

    def __init__(self, few: int = FEW_BYTES) -> None:
        self._where, self._limit = Path(tempfile.gettempdir()), few
        self._few = bytearray()
        self._file: IO[bytes] | None = None
        self._mapped: NDArray[np.uint8] | None = None

    def share(self) -> None:
        """Let other processes have this spool too."""
        if self._file is None:
            with os_errors(self._where):
                self._file = tempfile.TemporaryFile(prefix="acidtest-", buffering=0)  # noqa: SIM115 - lives with this
            few, self._few = self._few, bytearray()
            self.add(few)

    def __reduce__(self) -> tuple[Callable[[Any], "ByteSpool"], tuple[Any]]:
        self.share()
        assert self._file is not None
        return _passed_on, (reduction.DupFd(self._file.fileno()),)

    def add(self, data: bytes | bytearray | memoryview) -> int:
        """Keep these bytes and say where they start."""
        size = len(data)
        if self._file is None and len(self._few) + size > self._limit:
            self.share()
        if self._file is None:
            start = len(self._few)
            self._few += data
            return start
        handle = self._file.fileno()
        with os_errors(self._where):
            with _locked(handle):  # by the system, which ends it with a process that dies
                start = os.fstat(handle).st_size
                os.ftruncate(handle, start + size)
            left, at = memoryview(data), start
            while left:
                written = os.pwrite(handle, left, at)
                left, at = left[written:], at + written
        return start

    def read(self, start: int, size: int) -> bytes:
        """The bytes at this place."""
        if self._file is None:
            return bytes(self._few[start : start + size])
        return os.pread(self._file.fileno(), size, start)

    def view(self) -> NDArray[np.uint8]:
        """All bytes that are there now; those in a file are mapped, so that the system keeps what is asked for."""
        if self._file is None:
            return np.frombuffer(bytes(self._few), np.uint8)
        size = os.fstat(self._file.fileno()).st_size
        if self._mapped is None or self._mapped.size < size:
            mapped = mmap.mmap(self._file.fileno(), size, prot=mmap.PROT_READ) if size else b""
            self._mapped = np.frombuffer(mapped, np.uint8)
        return self._mapped

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _passed_on(handle: Any) -> ByteSpool:
    spool = ByteSpool()
    spool._file = os.fdopen(handle.detach(), "r+b", buffering=0)
    return spool


@contextmanager
def _locked(handle: int) -> Iterator[None]:
    fcntl.lockf(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(handle, fcntl.LOCK_UN)


class SourceBytes:
    """The bytes of an input file as it was when this was made."""

    _open: "list[SourceBytes]" = []  # noqa: RUF012 - shared on purpose: the limit is that of the process
    _turn = threading.Lock()  # one thread's file must not be closed while another reads it

    def __init__(self, path: Path) -> None:
        self._path, self._handle = path, -1
        with os_errors(path):
            self._state = _state(path.stat())

    def read(self, start: int, size: int) -> bytes:
        """The bytes at this place. Raises: DataError where the file has changed since."""
        with self._turn:
            if self._handle < 0:
                self._reopen()
            found = os.pread(self._handle, size, start)
        if len(found) < size:
            self._refuse()
        return found

    def check(self) -> None:
        """Raises: DataError where the file has changed since this was made."""
        with os_errors(self._path):
            if _state(self._path.stat()) != self._state:
                self._refuse()

    def _reopen(self) -> None:
        with os_errors(self._path):
            handle = os.open(self._path, os.O_RDONLY)
        self._handle = handle
        if _state(os.fstat(handle)) != self._state:
            self._refuse()
        self._open.append(self)
        if len(self._open) > _OPEN_FILES:
            self._open.pop(0).close()

    def _refuse(self) -> None:
        raise DataError("the file was changed while it was read", where=self._path, fix="run the command again")

    def close(self) -> None:
        """Give the file back; it is opened again when it is read."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __del__(self) -> None:
        self.close()


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino
