"""Large arrays: in memory up to a limit, beyond it in a temporary file that is mapped."""

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.core.errors import os_errors

_PAGES = Path("/proc/self/statm")
_NUMBERED = 1 << 16  # numbers that are made at once


class ArrayAllocator:
    """Gives arrays. What would bring the process over `limit` bytes comes from a file; without a limit nothing does."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._used = _resident() if limit is not None else 0
        self._mapped: list[mmap.mmap] = []

    def empty(self, shape: int | tuple[int, ...], kind: Any) -> NDArray[Any]:
        """An array that holds anything."""
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        if not size or self._limit is None or self._used + size <= self._limit:
            self._used += size
            return np.empty(shape, kind)
        where = Path(tempfile.gettempdir())
        with os_errors(where), tempfile.TemporaryFile(prefix="acidtest-") as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                # Space is taken now: a disk that is full later would end the process without a word.
                os.posix_fallocate(file.fileno(), 0, size)
            mapped = mmap.mmap(file.fileno(), size)
        self._mapped.append(mapped)
        return np.frombuffer(mapped, kind).reshape(shape)

    def filled(self, shape: int | tuple[int, ...], value: int, kind: Any) -> NDArray[Any]:
        """An array that holds this value everywhere."""
        made = self.empty(shape, kind)
        made[...] = value
        self.settle()
        return made

    def numbered(self, size: int, kind: Any) -> NDArray[Any]:
        """An array that holds the numbers from 0."""
        made = self.empty(size, kind)
        for first in range(0, size, _NUMBERED):
            made[first : first + _NUMBERED] = np.arange(first, min(first + _NUMBERED, size))
        self.settle()
        return made

    def settle(self) -> None:
        """Let go of the pages of mapped arrays that are in memory: they are read again where they are needed."""
        for mapped in self._mapped:
            mapped.madvise(mmap.MADV_DONTNEED)


def _resident() -> int:
    """The memory that this process takes, 0 where the system does not say."""
    if not _PAGES.is_file():
        return 0
    return int(_PAGES.read_text().split()[1]) * mmap.PAGESIZE
