"""A file's text as UTF-8, whatever it is written in: unpacked, recoded, its lines ending in line feeds."""

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from curate.core.errors import DataError
from curate.core.sources.compressed import opened
from curate.core.sources.layout import AS_FOUND, Layout, is_utf8

BOM = codecs.BOM_UTF8
WESTERN = "cp1252"
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_CHUNK_BYTES = 1 << 18
# What Western text doesn't have when it is read as such: a sign or a capital letter within a word, three letters with
# marks in a row. Most of what another encoding makes of its letters is of these kinds.
_UNLIKELY = re.compile(
    r"(?<=[^\W\d_])[¡-©«-±´-¹»-¿×÷†‡ˆ˜¢‰‹›](?=[^\W\d_])|(?<=[a-z])[À-ÖØ-ÞŠŒŽŸ]|[À-ÖØ-öø-ÿŠŒŽšœžŸ]{3}|[\x80-\x9f]"
)
_MOST_UNLIKELY = 0.1


@contextmanager
def opened_text(path: Path, layout: Layout = AS_FOUND) -> Iterator[IO[bytes]]:
    """The file's text to read, as UTF-8. Raises: DataError where it can't be read, or isn't in the named encoding."""
    with opened(path) as file:
        head = file.peek()
        encoding = layout.encoding or _marked(head)
        recoded = encoding is not None and not is_utf8(encoding)
        if recoded or _ends_in_returns(head):
            recoding = _Recoding(file, path, encoding or "utf-8", recoded=recoded, returns=_ends_in_returns(head))
            with io.BufferedReader(recoding, _CHUNK_BYTES) as text:
                yield text
        else:
            yield file


def is_as_written(path: Path, layout: Layout) -> bool:
    """Is the file's text what its bytes are, so that it can be read from any line's start?"""
    with opened(path) as file:
        head = file.peek()
    encoding = layout.encoding or _marked(head)
    return (encoding is None or is_utf8(encoding)) and not _ends_in_returns(head)


def table_encoding(path: Path, layout: Layout) -> str | None:
    """The encoding of a table, which often isn't UTF-8: as named or marked, else Windows-1252 where the file can't be
    UTF-8 and reads well as that; None is UTF-8.
    """
    if layout.encoding is not None:
        return layout.encoding
    with opened(path) as file:
        if (marked := _marked(file.peek())) is not None:
            return marked
        decoder = codecs.getincrementaldecoder("utf-8")()
        while data := file.read(_CHUNK_BYTES):
            waiting = decoder.getstate()[0]
            try:
                text = decoder.decode(data)
            except UnicodeDecodeError:
                return WESTERN if _is_western(waiting + data, file) else None
            if not text.isascii() and text.lstrip("\ufeff"):
                return None  # UTF-8 that is damaged later on is still UTF-8
    return None


def _is_western(data: bytes, file: IO[bytes]) -> bool:
    marked = unlikely = 0
    while data:
        if not data.decode("utf-8", "ignore").isascii():
            return False
        try:
            text = data.decode(WESTERN)
        except UnicodeDecodeError:
            return False
        marked += sum(not character.isascii() for character in text)
        unlikely += len(_UNLIKELY.findall(text))
        data = file.read(_CHUNK_BYTES)
    return unlikely <= marked * _MOST_UNLIKELY


def _marked(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def _ends_in_returns(head: bytes) -> bool:
    return b"\r" in head.rstrip(b"\r") and b"\n" not in head


class _Recoding(io.RawIOBase):
    """Reads text in any encoding as UTF-8; carriage returns become line feeds where lines end in them alone."""

    def __init__(self, file: IO[bytes], path: Path, encoding: str, *, recoded: bool, returns: bool) -> None:
        self._file, self._path, self._encoding, self._returns = file, path, encoding, returns
        self._decoder: Any = codecs.getincrementaldecoder(encoding)() if recoded else None
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._file.read(_CHUNK_BYTES)
            self._ready = self._recode(data)
            if not data and not self._ready:
                return 0
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _recode(self, data: bytes) -> bytes:
        if self._decoder is not None:
            try:
                data = self._decoder.decode(data, not data).encode("utf-8", "surrogatepass")
            except UnicodeError as error:
                fix = "name the file's own `encoding` in the source, or write it again as UTF-8"
                raise DataError(f"the file is not {self._encoding}: {error}", where=self._path, fix=fix) from error
        return data.replace(b"\r", b"\n") if self._returns else data
