"""Files opened by what they are: gzip, zstd, bzip2 and xz are unpacked in passing, known by their first bytes."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from curate.core.errors import DataError, os_errors

_MARKS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_HEAD_BYTES = max(map(len, _MARKS))
_PROMISES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
_CHUNK_BYTES = 1 << 18


def is_packed(path: Path) -> bool:
    """Is the file compressed, or does its name say so? Raises: DataError where it can't be read."""
    with os_errors(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return _packing(head) is not None or path.suffix.lower() in _PROMISES


def _packing(head: bytes) -> str | None:
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The file's content to read. Raises: DataError where it can't be read or its compression is damaged."""
    with os_errors(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        kind = _packing(head)
        _check_name(path, kind, head)
        if kind is None:
            yield file
            return
        try:
            with io.BufferedReader(_unpacking(kind, file), _CHUNK_BYTES) as unpacked:
                yield unpacked
        except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, _DamagedError) as error:
            fix = "it is damaged or was cut off: make or fetch it again"
            raise DataError(f"the {kind} file can't be unpacked: {error}", where=path, fix=fix) from error


def _unpacking(kind: str, file: IO[bytes]) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    return _Zstd(file) if kind == "zstd" else _Bzip2(file)


def _check_name(path: Path, kind: str | None, head: bytes) -> None:
    promised = _PROMISES.get(path.suffix.lower())
    if promised is not None and kind != promised and head:
        raise DataError(f"not a {promised} file", where=path, fix=f"correct its name, or pack it with {promised}")


class _DamagedError(Exception):
    """Compressed data that can't be unpacked."""


class _Bzip2(bz2.BZ2File):
    """Unpacks bzip2; a stream that is damaged is told from a disk that is."""

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            if error.errno is None:
                raise _DamagedError(str(error)) from error
            raise


class _Zstd(io.RawIOBase):
    """Unpacks zstd frames one after the other, and notices a last one that was cut off."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise DataError("reading .zst files needs a package", fix="pip install zstandard") from error
        self._file, self._fault = file, zstandard.ZstdError
        self._new: Any = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = self._new()
        self._ready, self._began = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._began = self._new(), False
            packed = packed or self._file.read(_CHUNK_BYTES)
            if not packed:
                if self._began:
                    raise _DamagedError("it ends within a frame")
                return 0
            self._began = True
            try:
                self._ready = self._frame.decompress(packed)
            except self._fault as error:
                raise _DamagedError(str(error)) from error
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
