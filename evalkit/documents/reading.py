"""Files of documents as sections of plain text under their headings. A file that can't be read is named with why."""

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.digests import digest_file, digest_json
from curate.core.errors import DataError, os_errors
from curate.core.paths import find_path

_LARGEST_BYTES = 64 * 2**20  # a document of text alone is far smaller; a log or a dump would fill the memory
_BLOCKS = ["address", "article", "blockquote", "dd", "div", "dl", "dt", "figcaption", "footer", "form", "header", "li"]
_BLOCKS += ["main", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"]
_HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
_NOT_TEXT = ["head", "nav", "noscript", "script", "style", "svg", "template"]
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_TEXT_KEYS = ("text", "content", "body", "passage")
_NAME_KEYS = ("source", "url", "id")


@dataclass(frozen=True, slots=True)
class Section:
    """Text under one heading. `heading` is the path of headings down to it, `Returns > Refunds`; empty for none."""

    file: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a line of one, that gave no text, and why."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A file: the name that passages show, where it is, and its digest."""

    name: str
    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class DocumentFiles:
    """The files of one contender's documents, by name."""

    files: tuple[DocumentFile, ...]

    @property
    def digest(self) -> str:
        """The digest of names and contents."""
        return digest_json([[file.name, file.digest] for file in self.files])


class _UnreadableError(Exception):
    """This file gives no text; the message says why."""


def find_files(paths: Sequence[str], folder: Path) -> DocumentFiles:
    """The files that `paths` name, folders with all below them; hidden ones are left out.

    Raises: DataError for a path that isn't there and for a folder without files.
    """
    found: dict[str, Path] = {}
    for value in paths:
        place = find_path(value, folder)
        with os_errors(place):
            inside = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        shown = [path for path in inside if not any(part.startswith(".") for part in path.relative_to(place).parts)]
        if not shown or not place.exists():
            fault = "no document in this folder" if place.is_dir() else "no such file or folder"
            raise DataError(fault, where=place, fix="name the documents in `documents: {paths: [...]}`")
        for path in shown:
            name = path.relative_to(place).as_posix() if place.is_dir() else place.name
            found[name if name not in found else f"{value.rstrip('/')}/{name}"] = path
    return DocumentFiles(tuple(DocumentFile(name, found[name], digest_file(found[name])) for name in sorted(found)))


def read_sections(file: DocumentFile) -> tuple[list[Section], list[Unreadable]]:
    """The sections of a file, and what of it could not be read."""
    unreadable: list[Unreadable] = []
    try:
        sections = list(_reader(file)(file, unreadable))
    except (_UnreadableError, OSError) as error:
        return [], [*unreadable, Unreadable(file.name, str(error))]
    if not sections and not unreadable:
        unreadable.append(Unreadable(file.name, "no text in it"))
    return sections, unreadable


def _reader(file: DocumentFile) -> "Reader":
    if file.path.suffix.lower() not in _READERS:
        raise _UnreadableError(f"not a kind of file that is read: {file.path.suffix or 'no ending'}")
    if file.path.stat().st_size > _LARGEST_BYTES:
        raise _UnreadableError(f"larger than {_LARGEST_BYTES // 2**20} MB")
    return _READERS[file.path.suffix.lower()]


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\0", "")
    except UnicodeDecodeError as error:
        raise _UnreadableError("not UTF-8 text") from error


def _text(file: DocumentFile, _: list[Unreadable]) -> Iterator[Section]:
    text = _decoded(file.path).strip()
    if text:
        yield Section(file.name, "", text)


def _markdown(file: DocumentFile, _: list[Unreadable]) -> Iterator[Section]:
    """Sections at `# headings` and underlined ones; what looks like one inside a code block is text."""
    outline = _Outline(file.name)
    fence = ""
    for line in _decoded(file.path).splitlines():
        marks = _FENCE.match(line)
        if marks and not fence:
            fence = marks[1]
        elif marks and marks[1].startswith(fence):
            fence = ""
        heading = None if fence else _HEADING.match(line)
        if heading:
            yield from outline.enter(len(heading[1]), heading[2])
        elif not fence and _UNDERLINE.match(line) and outline.lines and outline.lines[-1].strip():
            title = outline.lines.pop()
            yield from outline.enter(1 if "=" in line else 2, title.strip())
        else:
            outline.lines.append(line)
    yield from outline.end()


class _Outline:
    """Text as it is read, under the headings above it."""

    def __init__(self, file: str) -> None:
        self.lines: list[str] = []
        self._file = file
        self._above: list[tuple[int, str]] = []

    def enter(self, level: int, title: str) -> Iterator[Section]:
        """Begin a section; yields the one that ends here."""
        yield from self.end()
        self._above = [*((depth, text) for depth, text in self._above if depth < level), (level, title)]

    def end(self) -> Iterator[Section]:
        """Yield the section so far, where it has any text."""
        text = "\n".join(self.lines).strip()
        self.lines = []
        if text:
            yield Section(self._file, " > ".join(title for _, title in self._above if title), text)


def _html(file: DocumentFile, _: list[Unreadable]) -> Iterator[Section]:
    from bs4 import BeautifulSoup, Tag
    from bs4.element import NavigableString

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about text that looks like a file name, or XML read as HTML
        soup = BeautifulSoup(file.path.read_bytes(), "html.parser")
    for tag in soup(_NOT_TEXT):
        tag.decompose()
    outline = _Outline(file.name)
    pieces: list[str] = []

    def close() -> None:
        text = " ".join("".join(pieces).split())
        pieces.clear()
        if text:
            outline.lines += [text, ""]

    def walk(tag: Tag) -> Iterator[Section]:
        for child in tag.children:
            if type(child) is NavigableString:  # comments and declarations are kinds of their own
                pieces.append(str(child))
            elif isinstance(child, Tag) and child.name in _HEADINGS:
                close()
                yield from outline.enter(int(child.name[1]), " ".join(child.get_text(" ").split()))
            elif isinstance(child, Tag):
                block = child.name in _BLOCKS
                if child.name == "br":
                    pieces.append(" ")
                if child.name in ("td", "th"):  # a row stays one line
                    pieces.append(" | " if "".join(pieces).strip() else "")
                elif block:
                    close()
                yield from walk(child)
                if block and child.name not in ("td", "th"):
                    close()

    try:
        yield from walk(soup)
    except RecursionError as error:
        raise _UnreadableError("its elements are nested too deeply") from error
    close()
    yield from outline.end()


def _pdf(file: DocumentFile, unreadable: list[Unreadable]) -> Iterator[Section]:
    """A section per page: a PDF knows lines on pages, not headings."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it logs every oddity of a file
    try:
        document = pypdf.PdfReader(file.path)
        locked = document.is_encrypted and not document.decrypt("")
        pages = 0 if locked else len(document.pages)
    except Exception as error:  # pypdf raises what Python raises on damaged files, beside errors of its own
        raise _UnreadableError(f"not a readable PDF: {error}") from error
    if locked:
        raise _UnreadableError("it asks for a password")
    empty = 0
    for number in range(pages):
        try:
            text = document.pages[number].extract_text().replace("\0", "").strip()
        except Exception as error:  # noqa: BLE001 - one damaged page is not the document
            unreadable.append(Unreadable(f"{file.name}, page {number + 1}", f"{type(error).__name__}: {error}"))
            continue
        if text:
            yield Section(file.name, f"page {number + 1}", text)
        else:
            empty += 1
    if empty == pages:
        raise _UnreadableError("no text in it; pages that are pictures have to be recognised first")


def _json_lines(file: DocumentFile, unreadable: list[Unreadable]) -> Iterator[Section]:
    """A section per line: an object with `text`, and `title` and `source` where it has them."""
    for number, line in enumerate(_decoded(file.path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            unreadable.append(Unreadable(f"{file.name}:{number}", f"not JSON: {error}"))
            continue
        text = _value(record, _TEXT_KEYS)
        if text:
            yield Section(_value(record, _NAME_KEYS) or file.name, _value(record, ("title",)), text)
        else:
            unreadable.append(Unreadable(f"{file.name}:{number}", f"no text under {', '.join(_TEXT_KEYS)}"))


def _value(record: Any, keys: Sequence[str]) -> str:
    """The text under the first of these keys that holds any."""
    values = (record.get(key) for key in keys) if isinstance(record, dict) else ()
    return next((str(value).strip() for value in values if isinstance(value, str | int) and str(value).strip()), "")


Reader = Callable[[DocumentFile, list[Unreadable]], Iterator[Section]]
_READERS: dict[str, Reader] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _text,
    ".rst": _text,
    ".html": _html,
    ".htm": _html,
    ".xhtml": _html,
    ".pdf": _pdf,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
