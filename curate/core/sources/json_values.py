"""JSON as files have it: a value a line, one array of them, or values that stand one after another."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import msgspec

from curate.core.errors import DataError
from curate.core.sources.encoded import BOM
from curate.core.sources.record import MAX_LINE_BYTES, Record

Shape = Literal["lines", "array", "values"]
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_SHOWN_BYTES = 4096
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[\s,]*")
_NEXT = re.compile(r"\n(?=[{\[])")
# What stands where JSON can't be read, and what that is.
_FAULTS = [
    (r"'", "a text in single quotes, as Python prints it: write it with json.dumps"),
    (r"(?:None|True|False)\b", "a value as Python prints it: write it with json.dumps"),
    (r"//|/\*|#", "a comment, which JSON doesn't have: take it out"),
    (r"[“”„‘’«»]", "a typographic quotation mark: write a straight one"),
    (r",?\s*[\]}]", "a comma before a closing bracket: take it out"),
    (r"[A-Za-z_]\w*\s*:", "a key without quotation marks"),
]


def find_shape(file: IO[bytes]) -> Shape:
    """Which of the three the file's text is, by its first value: its name doesn't say."""
    line = _next_line(file).removeprefix(BOM)
    first = line.lstrip()[:1]
    if first not in (b"{", b"["):
        return "lines"
    if _is_json(line):
        following = _next_line(file).strip()
        if following == b"{":
            return "values"
        # One line with a list is an array of records; where others follow, each is a record.
        return "array" if first == b"[" and not following else "lines"
    if first == b"[":
        following = _next_line(file)
        opens_alone = line.strip() == b"["
        return "lines" if not opens_alone and following.startswith(b"[") and _is_json(following) else "array"
    if line.strip() == b"{":
        return "values"
    text = (line + file.read(MAX_LINE_BYTES)).decode("utf-8", "replace").lstrip()
    try:
        end = _DECODER.raw_decode(text)[1]
    except (ValueError, RecursionError):
        return "lines"  # the first of them is damaged
    # One value that only other readers take for JSON is still a line.
    return "lines" if not text.partition("\n")[0][end:].strip() and "\n" not in text[:end] else "values"


def _next_line(file: IO[bytes]) -> bytes:
    while (line := file.readline(MAX_LINE_BYTES)) and line.removeprefix(BOM).isspace():
        pass
    return line


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except UNREADABLE:
        return False
    return True


def read_json_lines(file: IO[bytes], start: int = 0, end: int | None = None) -> Iterator[Record]:
    """Every line that isn't blank, of those that begin from `start` up to `end`; their numbers count from there.

    A line that is too long is a fault of its own and never held in memory whole.
    """
    offset, number = start, 0
    if start:
        file.seek(start)
    readline = file.readline
    while (end is None or offset < end) and (raw := readline(MAX_LINE_BYTES)):
        number += 1
        first = offset
        offset += len(raw)
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            while more := readline(MAX_LINE_BYTES):
                offset += len(more)
                if more.endswith(b"\n"):
                    break
            detail = f"the line has {offset - first} bytes, more than {MAX_LINE_BYTES}; its first {_SHOWN_BYTES} follow"
            yield Record(number, first, raw[:_SHOWN_BYTES], fault=("line-too-long", detail))
            continue
        text = raw.rstrip(b"\r\n")
        skipped = 0
        if not first and text.startswith(BOM):
            text, skipped = text.removeprefix(BOM), len(BOM)
        if text and not text.isspace():
            yield Record(number, first, text, start=first + skipped)


def read_array(file: IO[bytes], path: Path) -> Iterator[Record]:
    """Every value of the one array that the file is. Raises: DataError where it can't be read."""
    data = file.read()
    try:
        items = msgspec.json.decode(data.removeprefix(BOM), type=list[msgspec.Raw])
    except UNREADABLE as error:
        place, detail = _where_and_what(data, error)
        raise DataError(
            f"a JSON array that can't be read: {detail}",
            where=f"{path}{place}",
            fix="repair the file, or write one record a line: then only damaged records are left out",
        ) from error
    offset, line = 0, 1
    for item in items:
        raw = bytes(item)
        start = data.index(raw, offset)
        line += data.count(b"\n", offset, start)
        yield Record(line, start, raw)
        line += data.count(b"\n", start, start + len(raw))
        offset = start + len(raw)


def read_values(file: IO[bytes]) -> Iterator[Record]:
    """Every value of a file in which they follow one another, over as many lines as each takes.

    Where one is damaged, reading goes on with the next line that begins with a bracket.
    """
    text = file.read().removeprefix(BOM).decode("utf-8", "surrogateescape")
    at = offset = 0
    line = 1
    while (start := _space(text, at)) < len(text):
        offset += _size(text[at:start])
        line += text.count("\n", at, start)
        fault: tuple[str, str] | None = None
        try:
            at = _DECODER.raw_decode(text, start)[1]
        except (ValueError, RecursionError) as error:
            following = _NEXT.search(text, start + 1)
            at = following.start() if following is not None else len(text)
            fault = "not-json", str(error)
        raw = text[start:at].encode("utf-8", "surrogateescape")
        if fault is not None:
            fault = fault[0], explain(raw) or fault[1]
        yield Record(line, offset, raw, fault=fault)
        offset += len(raw)
        line += text.count("\n", start, at)


def explain(raw: bytes) -> str | None:
    """What it is that makes these bytes no JSON, where it is one of the things that people meet."""
    fault = _fault(raw)
    return fault[1] if fault is not None else None


def _fault(raw: bytes) -> tuple[int, str] | None:
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        at, message = error.pos, error.msg
    except (ValueError, RecursionError):
        return None
    else:
        return None
    rest = text[at:].lstrip()
    place = f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"
    place = place.removeprefix("line 1, ")
    if not rest or message.startswith("Unterminated string"):
        return at, "it ends in the middle of a value: it was cut off, or goes on in the next line"
    if message.startswith("Extra data"):
        return at, f"another value follows the first at {place}: write one a line"
    if message.startswith("Invalid control character"):
        return at, f"a line break or another control character within a text, at {place}: write it as \\n"
    for pattern, what in _FAULTS:
        if re.match(pattern, rest):
            return at, f"at {place} stands {what}"
    return None


def _where_and_what(data: bytes, error: Exception) -> tuple[str, str]:
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        return f":{line}", f"byte 0x{data[fault.start]:02x} is not UTF-8: name the file's `encoding` in the source"
    fault_at = _fault(data)
    if fault_at is None:
        return "", str(error)
    return f":{data.decode().count(chr(10), 0, fault_at[0]) + 1}", fault_at[1]


def _space(text: str, at: int) -> int:
    """Where the next value begins: commas between values are no part of them."""
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
