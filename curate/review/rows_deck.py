"""Decks of rows: a dataset's, or those of JSON lines in any row format. Rows are read when they are looked at."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from curate.core.errors import DataError
from curate.core.manifest import SIDES
from curate.core.review.decisions import Key, row_digest
from curate.core.review.items import FLAG, SKIP, Block, Choice, Facts, Item, Kind
from curate.core.review.layout import message_blocks, row_blocks
from curate.core.rows.row import Message, Row
from curate.core.sources.known_folders import row_files
from curate.core.sources.record import MAX_LINE_BYTES, Record
from curate.core.sources.record_to_row import STAGE, RowReader, Unread
from curate.core.sources.records import Input, is_plain_lines
from curate.core.sources.row_readers import make_reader, pinned
from curate.core.sources.source import LooseFiles
from curate.review.built_by import built_by
from curate.review.cluster_file import Clusters
from curate.review.line_index import LineIndex
from curate.table.rejections import Rejection, reject_raw
from curate.table.row_table import Place
from curate.table.selection import RowSelection
from curate.table.stage import Context
from curate.validate.stage import find_errors

REASONS = (
    *("wrong answer", "unclear request", "off topic", "wrong form", "personal data"),
    *("unsafe", "repeats another", "poor style", "other"),
)
_SHOWN_FAULT = 4096  # bytes of a line that is too long to be read
_CACHED = 256  # rows: more than a screen shows


def row_kind(classes: Sequence[str] = ()) -> Kind:
    """Rows: kept, dropped, edited; digits are reasons to drop one, or the `classes` to put one into."""
    named = [(str(number), name) for number, name in enumerate(classes or REASONS, start=1)]
    action = "class" if classes else "drop"
    digits = [Choice(key, key, f"{action}: {name}", action, name, in_footer=False) for key, name in named]
    keep, drop = Choice("a", "keep", "keep", "keep"), Choice("x", "drop", "drop", "drop")
    what = "1-9 class" if classes else "1-9 drop, why"
    return Kind("rows", "rows", (keep, drop, FLAG, SKIP, *digits), editable=True, digits=what)


class _Head(msgspec.Struct):
    """What filters and the journal ask of a row; everything else is passed over."""

    id: str = ""
    label: str | None = None
    source: str | None = None
    origin: str = "gold"
    group: str | None = None


class _Said(msgspec.Struct):
    """What text filters ask of a row."""

    messages: list[Message]


class RowDeck:
    """The rows of JSON lines files. `folder` is the dataset's, where there is one: its clusters are known then."""

    def __init__(self, paths: Sequence[Path], kind: Kind | None = None, folder: Path | None = None) -> None:
        self.kind = kind or row_kind()
        self.index = LineIndex(paths)
        self._readers = [_reader(path) for path in paths]
        self._folder, self._clusters = folder, Clusters(folder)
        self._decode = msgspec.json.Decoder(_Head).decode
        self._decode_messages = msgspec.json.Decoder(_Said).decode
        self._measures: dict[str, NDArray[np.float64] | None] = {}
        self._row = lru_cache(_CACHED)(self._read)

    def __len__(self) -> int:
        return len(self.index)

    def row(self, at: int) -> Row | Rejection:
        """The row, or why the line is none."""
        return self._row(at)

    def _read(self, at: int) -> Row | Rejection:
        number, place = self.index.file(at), self.index.place(at)
        size, fault = self.index.size(at), None
        if size > MAX_LINE_BYTES:
            fault = ("line-too-long", f"{size:,} bytes")
        raw = self.index.read(at, _SHOWN_FAULT if fault else None)
        line = int(place.rpartition(":")[2])
        found = self._readers[number].find(Record(line, 0, raw, None, fault))
        if isinstance(found, Unread):
            at_line = Place(self.index.paths[number].stem, place, line, 0)
            return reject_raw(at_line, raw, STAGE, found.reason, found.detail, id=found.id)
        return found[0]

    def key(self, at: int) -> Key:
        """The row's id, and the digest of its line."""
        return Key(self._id(at), row_digest(self.index.read(at)), self.index.place(at))

    def _id(self, at: int) -> str:
        if (head := self._head(at)) is not None and head.id:
            return head.id
        found = self._row(at)
        return found.id or self.index.place(at)

    def _head(self, at: int) -> _Head | None:
        if self.index.size(at) > MAX_LINE_BYTES:
            return None
        try:
            return self._decode(self.index.read(at))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None

    def item(self, at: int) -> Item:
        """The row with its messages; a line that is none, with the reason."""
        found, key = self._row(at), self.key(at)
        raw = self.index.read(at, MAX_LINE_BYTES).decode("utf-8", "backslashreplace")
        if isinstance(found, Rejection):
            fault = Block(f"this line is no row: {found.reason}", f"{found.detail}\n\n{raw[:_SHOWN_FAULT]}", "fault")
            return Item(key, f"{key.place} · not a row", (fault,), raw=raw)
        return Item(
            key, " · ".join(filter(None, (found.id, found.label, found.source, key.place))), row_blocks(found),
            why=self._clusters.why(found.id), metadata=metadata(found), raw=raw, row=found,
        )  # fmt: skip

    def heading(self, at: int) -> str:
        """The row's question."""
        found = self._row(at)
        if isinstance(found, Rejection):
            return f"(not a row: {found.reason})"
        return heading(found)

    def field(self, at: int, name: str) -> str | None:
        """One of the row's fields, or its cluster."""
        if name == "cluster":
            return self._clusters.of(self._id(at))
        head = self._head(at)
        if head is None or not head.id or (head.source is None and name == "source"):
            found = self._row(at)
            return None if isinstance(found, Rejection) else getattr(found, name, None)
        value = getattr(head, name, None)
        return value if isinstance(value, str) else None

    def text(self, at: int) -> str:
        """What the row's messages say."""
        try:
            # Straight from the bytes: a filter asks for the text of every row.
            messages = self._decode_messages(self.index.read(at)).messages
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            found = self._row(at)
            if isinstance(found, Rejection):
                return found.raw
            messages = found.messages
        return "\n".join(map(_said, messages))

    def measure(self, name: str) -> NDArray[np.float64] | None:
        """`length` of the line, `similarity` of the nearest duplicate, `uncertainty` as `meta.uncertainty` says."""
        if name not in self._measures:
            self._measures[name] = self._measured(name)
        return self._measures[name]

    def _measured(self, name: str) -> NDArray[np.float64] | None:
        if name == "length":
            return self.index.sizes.astype(np.float64)
        found = np.full(len(self), np.nan)
        if name == "similarity" and self._clusters.nearest:
            found[:] = [self._clusters.nearest.get(self._id(at), np.nan) for at in range(len(self))]
        elif name == "uncertainty":
            found[:] = [_number(self._row(at), name) for at in range(len(self))]
        return None if np.isnan(found).all() else found

    def find(self, keys: Iterable[Key]) -> Mapping[Key, int]:
        """Where these rows are: on the line where they were, else the first row that is the same."""
        found: dict[Key, int] = {}
        moved: dict[str, list[Key]] = {}
        for key in keys:
            at = self.index.at(key.place)
            if at is not None and self.key(at) == key:
                found[key] = at
            else:
                moved.setdefault(key.item, []).append(key)
        if moved:
            for at in range(len(self)):
                for key in moved.get(self._id(at), ()):
                    if key not in found and row_digest(self.index.read(at)) == key.digest:
                        found[key] = at
        return found

    def ids(self, wanted: set[str]) -> dict[str, int]:
        """Where the rows with these ids are."""
        return {name: at for at in range(len(self)) if (name := self._id(at)) in wanted} if wanted else {}

    def faults(self, item: Item, row: Row) -> Sequence[str]:
        """What the rules that the dataset was built by say of the row, and whether its id is still the same."""
        rows = RowSelection.of_rows([row], "edited", "edited")
        faults = [f"{rule}: {detail}" for rule, detail in find_errors(rows, self._context).values()]
        if item.row is not None and row.id != item.row.id:
            faults.append(f"the id has to stay {item.row.id}")
        return faults

    @cached_property
    def _context(self) -> Context:
        return built_by(self._folder)


def open_rows(target: Path, kind: Kind) -> RowDeck:
    """The rows of a dataset folder or a file. Raises: DataError where there is none."""
    if target.is_dir():
        paths = row_files(target) or [path for side in SIDES if (path := target / f"{side}.jsonl").is_file()]
        if not paths:
            fix = "name a dataset that `curate build` wrote, or a file of rows"
            raise DataError("no dataset: no train.jsonl, val.jsonl or test.jsonl", where=target, fix=fix)
        return RowDeck(paths, kind, target)
    if not target.exists():
        raise DataError("no such file or folder", where=target, fix="name a dataset folder or a file of rows")
    if not is_plain_lines(target):
        fix = "write it as JSON lines first: curate validate FILE --output FOLDER"
        raise DataError("only JSON lines that are not packed can be reviewed in their place", where=target, fix=fix)
    return RowDeck([target], kind, target.parent)


def heading(row: Row) -> str:
    """What a list shows of a row: its label, and the last thing the user said."""
    asked = next((message.text for message in reversed(row.messages) if message.role == "user"), "")
    return f"[{row.label}] {asked or row.answer}" if row.label else asked or row.answer


def metadata(row: Row) -> Facts:
    """A row's fields beside its messages."""
    plain = [(name, getattr(row, name)) for name in ("id", "label", "source", "origin", "group")]
    more = [(f"meta.{name}", value) for name, value in row.meta.items()]
    tools = [(f"tool {number}", tool) for number, tool in enumerate(row.tools or (), start=1)]
    return tuple((name, _text(value)) for name, value in (*plain, *more, *tools) if value is not None)


def differences(one: Facts, other: Facts) -> Facts:
    """In what two rows' fields differ; their ids do anyway."""
    here, there = dict(one), dict(other)
    names = [name for name in dict.fromkeys((*here, *there)) if here.get(name) != there.get(name) and name != "id"]
    return tuple((f"{name} differs", f"{here.get(name, 'none')} | {there.get(name, 'none')}") for name in names)


def _said(message: Message) -> str:
    if isinstance(message.content, str) and not message.tool_calls and not message.reasoning_content:
        return message.content
    return "\n".join(block.text for block in message_blocks([message]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8", "replace")


def _number(row: Row | Rejection, name: str) -> float:
    value = None if isinstance(row, Rejection) else row.meta.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _reader(path: Path) -> RowReader:
    source = LooseFiles(name=path.stem or "rows", path=str(path))
    if not path.stat().st_size:
        return make_reader(source, Input(path.name, path, "chat"), None, {})
    return make_reader(source, pinned(source, Input(path.name, path)), None, {})
