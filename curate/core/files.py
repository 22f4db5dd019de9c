"""Files: atomic writes of files and folders, and lines of JSON with their numbers and byte offsets."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from curate.core.errors import DataError, os_errors

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: its number from 1, the byte offset where it starts, its bytes without the line end."""

    number: int
    offset: int
    raw: bytes


def refuse_device(path: Path) -> None:
    """Raises: DataError for a device, such as /dev/zero: it may never end."""
    if path.is_char_device() or path.is_block_device():
        raise DataError("a device, not a file", where=path, fix="name a file")


def read_lines(path: Path) -> Iterator[Line]:
    """Every line that isn't blank, in order. A leading UTF-8 byte order mark is passed over."""
    offset = 0
    refuse_device(path)
    with os_errors(path), path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            text = raw.rstrip(b"\r\n")
            if number == 1:
                text = text.removeprefix(b"\xef\xbb\xbf")
            if text.strip():
                yield Line(number, offset, text)
            offset += len(raw)


def decode_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Each line of a file that acidtest wrote, as `kind`. Raises: DataError with path and line for a bad one."""
    decoder = msgspec.json.Decoder(kind)
    for line in read_lines(path):
        try:
            yield decoder.decode(line.raw)
        except msgspec.MsgspecError as error:
            raise DataError(f"not a {kind.__name__}: {error}", where=f"{path}:{line.number}") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes `path`'s place when the block ends well, and leaves no trace when it doesn't.

    The bytes are on disk before the name changes, so a reader sees the old file or the whole new one.
    """
    with os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files for their owner alone; a dataset is as readable as any other file.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes `path`'s place when the block ends well, and leaves no trace when it doesn't.

    An earlier folder stays until the new one is complete and on disk.
    """
    with os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as written:
                        os.fsync(written.fileno())
                    file.chmod(0o666 & ~_umask())
            # mkdtemp makes folders for their owner alone, and so do some libraries with files.
            temporary.chmod(0o777 & ~_umask())
            shutil.rmtree(path, ignore_errors=True)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write `lines`, each with a line end, to `path` atomically."""
    with atomic_write(path) as file:
        file.writelines(line + b"\n" for line in lines)


def json_lines(items: Iterable[object]) -> bytes:
    """The items as lines of JSON, each with its end."""
    return msgspec.json.Encoder().encode_lines(items)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` atomically; unpaired surrogates become replacement characters."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
