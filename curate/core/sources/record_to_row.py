"""One record becomes a row, or a rejection with the reason."""

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from curate.core.rows.formats.blocks import is_empty
from curate.core.rows.formats.chat import CHAT
from curate.core.rows.formats.format import Fields, Format, UnfitError
from curate.core.rows.formats.guess import guess_map, map_line
from curate.core.rows.formats.messages import MESSAGE_KEYS, are_ours
from curate.core.rows.formats.registry import ANY, FORMATS, as_record, find_format
from curate.core.rows.formats.tools import CALL_TAG, as_tools
from curate.core.rows.row import DESIRABLE, MESSAGE_EXTRAS, REJECTED, SCENE, Message, Origin, Row, content_id
from curate.core.sources.json_values import explain
from curate.core.sources.record import Record
from curate.core.sources.repeated_keys import may_repeat, repeated_key
from curate.core.sources.source import Source
from curate.core.sources.unknown_format import unknown_format

STAGE = "read"
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
# Deeper than any schema or chat, and far from where walking it would end Python's stack.
MAX_DEPTH = 64
# Whole numbers past 64 bits can be held by neither Parquet, nor polars, nor most readers of JSON.
_LOW, _HIGH = -(1 << 63), (1 << 64) - 1
_LONG_NUMBER = re.compile(rb"\d{19}")
_NOT_A_NUMBER = re.compile(rb"[:,\[]\s*(?:NaN|-?Infinity)\b")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ROW_KEYS = frozenset(Row.__struct_fields__)
_TEXT_KEYS = ("id", "label", "source", "group")
_OTHERS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXT_KEYS, lambda value: isinstance(value, str | int | float)),
    "meta": lambda value: isinstance(value, dict),
}
_TALK = SCENE | {"user", "assistant"}
# Rows for KTO as TRL has them hold nothing else: there a label is a judgement however it is written. Elsewhere it is
# one where it is a boolean, and these keys are.
_KTO_KEYS = frozenset({"prompt", "completion", "label", "id"})
_JUDGEMENTS = frozenset({"label", "desirable", "kto_tag", "kto_label"})
_SAID: Mapping[object, bool] = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}
_CALL_TAG = CALL_TAG.encode()
_SHOWN_KEYS = 8  # enough to see what was not read; manifest.json has all of them
Adapter = Callable[[Any], Any]
Joined = Mapping[str, Mapping[str, dict[str, Any]]]


class _KnownMessage(Message, frozen=True, forbid_unknown_fields=True):
    """A message that has no key but those we know."""


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row as files have it, without keys that we don't know: what it does not say comes from its source."""

    messages: list[_KnownMessage]
    id: str = ""
    tools: list[dict[str, Any]] | None = None
    label: str | None = None
    source: str | None = None
    origin: Origin | None = None
    group: str | None = None
    meta: dict[str, Any] = msgspec.field(default_factory=dict)


class Unread(NamedTuple):
    """Why a record is no row; `id` is what it calls itself, where it does."""

    reason: str
    detail: str
    id: str | None = None


class RowReader:
    """Reads the records of one file of a source. `form` is None where its records are in no format that is known."""

    def __init__(self, source: Source, form: Format | None, adapter: Adapter | None, joined: Joined) -> None:
        self._source, self._form, self._adapter, self._joined = source, form, adapter, joined
        # One object with the default of rows: encoding leaves defaults out, and knows them by identity.
        self._origin: Origin = "gold" if source.origin == "gold" else source.origin
        self._decode = msgspec.json.Decoder(_Given).decode
        self.kept_keys: Counter[str] = Counter()
        """In how many rows a key was kept in `meta`, by its name, because rows have no field for it."""
        self.direct = form in (CHAT, ANY) and adapter is None and not joined
        """Are records rows as they are, so that what fits (`curate.read.fast.chat_lines`) needs no closer look?"""

    def find_all(self, record: Record) -> Iterator[tuple[Row, bool] | Unread]:
        """What `find` returns, for each row that an adapter makes of the record."""
        if self._adapter is None:
            yield self.find(record)
        elif record.fault is not None:
            yield Unread(*record.fault)
        else:
            for found in self._adapted(record, self._adapter):
                yield found if isinstance(found, Unread) else (found, False)

    def find(self, record: Record) -> tuple[Row, bool] | Unread:
        """The record's row and whether its bytes are the row's line as they are, or why it is none."""
        if record.fault is not None:
            return Unread(*record.fault)
        if self.direct and record.fields is None and (found := self._read_row(record.raw)) is not None:
            return found
        given = self._given(record)
        found_row = given if isinstance(given, Unread) else self._checked(given)
        return found_row if isinstance(found_row, Unread) else (found_row, False)

    def read(self, record: Record) -> tuple[Row, bool] | Unread:
        """What `find` returns, with messages that compare with others."""
        found = self.find(record)
        if isinstance(found, Unread):
            return found
        row, is_verbatim = found
        # Those straight from bytes are of a stricter type, which equals none but its own.
        messages = [Message(*msgspec.structs.astuple(message)) for message in row.messages]
        return msgspec.structs.replace(row, messages=messages), is_verbatim

    def _read_row(self, raw: bytes) -> tuple[Row, bool] | None:
        """The row straight from its bytes, None where it needs a closer look: unknown keys, deep or large values."""
        try:
            given = self._decode(raw)
        except UNREADABLE:
            return None
        more_than_text = bool(given.tools or given.meta)
        for message in given.messages:
            content = message.content
            if message.tool_calls or message.role not in _TALK or not (content is None or isinstance(content, str)):
                more_than_text = True
        # Where there is nothing but text, digits and brackets are text: the search is spared.
        if may_repeat(raw, _least_keys(given)) and repeated_key(raw) is not None:
            return None
        if more_than_text and (raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or _LONG_NUMBER.search(raw) is not None):
            return None
        if more_than_text and not _is_ours(given, raw):
            return None
        source = self._source
        name, meta = self._named(given.source, given.meta)
        messages: list[Message] = given.messages  # type: ignore[assignment]  # nothing is put into the list
        row = Row(
            id=given.id or content_id(messages, given.tools),
            messages=messages,
            tools=given.tools,
            label=given.label if given.label is not None else source.label,
            source=name,
            origin=given.origin or self._origin,
            group=given.group,
            meta=meta,
        )
        # A line that leaves its origin out means gold to whoever reads it.
        same_origin = row.origin == (given.origin or "gold")
        same = bool(given.id) and row.label == given.label and row.source == given.source and same_origin
        return row, same and b"\n" not in raw

    def _given(self, record: Record) -> Any:
        """What the record holds, with what is joined to it, or why it can't be read."""
        fields: Any = record.fields
        if fields is None:
            try:
                fields = msgspec.json.decode(record.raw)
            except UNREADABLE as error:
                return Unread(*_why_unreadable(record.raw, error))
        if self._adapter is None:
            fields = as_record(fields)
            if not isinstance(fields, dict):
                held = f"the line holds a {type(fields).__name__}, not an object with keys"
                return Unread("not-an-object", f"{held}: an `adapter` can make a row of it")
        if fault := _excess(fields) or _repeated(record):
            return Unread(*fault, _id_of(fields))
        for key, join in self._source.join.items():
            value = fields.get(join.on) if isinstance(fields, dict) else None
            partner = self._joined[key].get(str(value))
            if partner is None:
                return Unread("join-missing", f"{join.path} has no record with {join.on} {value!r}", _id_of(fields))
            fields[key] = partner
        return fields

    def _adapted(self, record: Record, adapter: Adapter) -> Iterator[Row | Unread]:
        """The rows that an adapter makes of a record: one, several, or none, which is a reason of its own."""
        given = self._given(record)
        if isinstance(given, Unread):
            yield given
            return
        given_id = _id_of(given)
        try:
            made = adapter(given)
            if isinstance(made, tuple | Iterator):
                made = list(made)
        except Exception as error:  # noqa: BLE001 - a user's function can raise anything; the job goes on
            yield Unread("adapter-failed", f"{type(error).__name__}: {error}", given_id)
            return
        if made is None or made == []:
            yield Unread("adapter-returned-none", f"{self._source.adapter} left this record out", given_id)
            return
        for number, fields in enumerate(made, start=1) if isinstance(made, list) else [(0, made)]:
            if not isinstance(fields, dict):
                which = f"item {number} of what it returned is" if number else "returned"
                yield Unread("adapter-failed", f"{which} a {type(fields).__name__}, not a dict", given_id)
            elif fault := _excess(fields):
                yield Unread(*fault, given_id)
            else:
                yield self._checked(fields, given_id)

    def _checked(self, fields: Fields, given_id: str | None = None) -> Row | Unread:
        """The row that these fields are, or why they are none."""
        name = given_id or _id_of(fields)
        try:
            return self._make_row(self._converted(fields), fields)
        except UnfitError as error:
            return Unread(*self._why_unfit(fields, str(error)), name)
        except KeyError as error:  # of a format that takes for granted what this record doesn't have
            return Unread(*self._why_unfit(fields, f"{error.args[0]} is missing"), name)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, OverflowError) as error:
            return Unread("not-a-row", str(error), name)

    def _named(self, own: str | None, meta: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The name of a row's source, and its meta with what it calls its source itself where that is another name."""
        name = self._source.name
        if own is None or own == name:
            return name, meta
        return (name, kept_in_meta(meta, "source", own)) if self._source.names_rows else (own, meta)

    def _converted(self, fields: Fields) -> Fields:
        if self._adapter is not None:
            return CHAT.convert(fields)
        if self._form is None:
            raise UnfitError("no format fits")
        return self._form.convert(fields)

    def _why_unfit(self, fields: Fields, detail: str) -> tuple[str, str]:
        if self._adapter is None:
            other = find_format(fields)
            if self._form is None or (self._form is ANY and other is None):
                return "unknown-format", unknown_format(fields) if other is None else (
                    f"the file's first records are in no known format, and this one looks like {other.name}: "
                    f"name `format: {other.name}`"
                )
            if self._form.name in FORMATS and other is not None and not self._form.fits(fields):
                return "other-format", f"the file is read as {self._form.name}, and this record looks like {other.name}"
            if self._form.name in FORMATS and not self._form.fits(fields) and (found := guess_map(fields)) is not None:
                return "not-a-row", f"{detail}; `{map_line(found)}` might read it"
        return "not-a-row", detail

    def _make_row(self, values: Fields, record: Fields) -> Row:
        """The row for these values of a record, with what the source says where the row doesn't.

        Keys that rows and messages don't have go into `meta`, and are counted.
        """
        source = self._source
        values = _judged(_without_extras(values), is_kto=record.keys() <= _KTO_KEYS)
        known = {key: value for key, value in values.items() if key in _ROW_KEYS and value is not None}
        extra = {key: value for key, value in values.items() if key not in _ROW_KEYS}
        if source.map is None and self._adapter is None:
            # Keys of ours that mean something else where they come from.
            extra |= {key: known.pop(key) for key in _OTHERS if key in known and not _OTHERS[key](known[key])}
        if "tools" in known:
            known["tools"] = as_tools(known["tools"])
        for key in _TEXT_KEYS:
            if isinstance(known.get(key), int | float):
                known[key] = _group_name(known[key]) if key == "group" else str(known[key])
        if extra:
            known["meta"] = {**known.get("meta", {}), **extra}
        defaults = {"id": "", "origin": self._origin}
        if source.label is not None:
            defaults["label"] = source.label
        row = msgspec.convert({**defaults, **known}, Row)
        name, meta = self._named(row.source, row.meta)
        row = msgspec.structs.replace(row, id=row.id or content_id(row.messages, row.tools), source=name, meta=meta)
        if self._adapter is not None:
            # What comes from JSON can be written as JSON; what a function returns may hold anything.
            msgspec.json.encode(row)
        self._count_kept(row, record)
        return row

    def _count_kept(self, row: Row, record: Fields) -> None:
        if not row.meta:
            return
        own = record.get("meta")
        known = own.keys() if isinstance(own, dict) else ()
        names = {key for key in row.meta if key in record and key not in known and not is_empty(record[key])}
        extras = row.meta.get(MESSAGE_EXTRAS)
        if isinstance(extras, dict) and MESSAGE_EXTRAS not in known:
            names |= {f"messages[].{key}" for more in extras.values() for key in more}
        # Half a character can't be written into a manifest.
        self.kept_keys.update(
            name.encode("utf-8", "backslashreplace").decode() for name in names - {REJECTED, DESIRABLE}
        )


def key_counts(keys: Mapping[str, int]) -> str:
    """The keys with the most rows, in words, the most common first."""
    common = sorted(keys.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{key} ({count} row{'s' if count > 1 else ''})" for key, count in common[:_SHOWN_KEYS]]
    return ", ".join([*shown, *([f"and {len(keys) - _SHOWN_KEYS} more"] if len(keys) > _SHOWN_KEYS else [])])


def _is_ours(given: _Given, raw: bytes) -> bool:
    """Is what the row holds beside text as our rows have it?"""
    if given.tools and (not all(isinstance(tool.get("function"), dict) for tool in given.tools) or _CALL_TAG in raw):
        return False
    return are_ours(given.messages)


def _without_extras(values: Fields) -> Fields:
    """The values with the keys of messages that no field takes moved to `meta`, under the message's number from 0."""
    messages = values.get("messages")
    if not isinstance(messages, list) or all(message.keys() <= MESSAGE_KEYS for message in messages):
        return values
    kept, extras = [], {}
    for index, message in enumerate(messages):
        kept.append({key: value for key, value in message.items() if key in MESSAGE_KEYS})
        if more := {k: v for k, v in message.items() if k not in MESSAGE_KEYS and not is_empty(v)}:
            extras[str(index)] = more
    return {**values, "messages": kept, **({MESSAGE_EXTRAS: extras} if extras else {})}


def _judged(values: Fields, *, is_kto: bool) -> Fields:
    """The values with a judgement of the answer, as rows for KTO have one, as `meta.desirable`: it is no class."""
    if _JUDGEMENTS.isdisjoint(values):
        return values
    said: dict[str, bool] = {key: values[key] for key in sorted(_JUDGEMENTS) if isinstance(values.get(key), bool)}
    label = values.get("label")
    if is_kto and "label" not in said:
        written = _SAID.get(label.strip().lower() if isinstance(label, str) else label)
        said |= {} if written is None else {"label": written}
    if not said:
        return values
    if len(set(said.values())) > 1:
        raise UnfitError(f"{' and '.join(said)} judge the answer differently")
    meta = values.get("meta")
    meta = {**(meta if isinstance(meta, dict) else {}), DESIRABLE: next(iter(said.values()))}
    return {**{key: value for key, value in values.items() if key not in said}, "meta": meta}


def _repeated(record: Record) -> tuple[str, str] | None:
    key = repeated_key(record.raw) if record.fields is None else None
    return ("repeated-key", f"an object has the key {key!r} twice: one of its values would be lost") if key else None


def kept_in_meta(meta: dict[str, Any], key: str, value: str) -> dict[str, Any]:
    """The meta with this value too: under the key, or where another value is there under `key_2` and so on."""
    names = itertools.chain([key], (f"{key}_{number}" for number in itertools.count(2)))
    free = next(name for name in names if meta.get(name, value) == value)
    return {**meta, free: value}


def _group_name(value: float) -> str:
    """A number as text, the same for equal numbers: 12 and 12.0 are one group; true and false as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if float(value).is_integer() else str(value)


def _id_of(fields: object) -> str | None:
    """What a record calls itself."""
    name = fields.get("id") if isinstance(fields, dict) else None
    return name if isinstance(name, str) else None


def _least_keys(given: _Given) -> int:
    """How many keys the line of a row has at least, by what it says."""
    keys = 1 + sum(map(bool, (given.id, given.label, given.source, given.origin, given.group)))
    for message in given.messages:
        keys += 2 if message.content is not None else 1
    return keys


def _excess(value: object) -> tuple[str, str] | None:
    """What in a decoded record is too deep or too large for those who read it later."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return "too-deep", f"objects and lists stand within each other more than {MAX_DEPTH} deep"
        below: list[object] = []
        for item in level:
            for part in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
                if isinstance(part, dict | list):
                    below.append(part)
                elif isinstance(part, float) and not math.isfinite(part):
                    return "not-a-number", f"{part} is no JSON: write null or text"
                elif isinstance(part, int) and not _LOW <= part <= _HIGH:
                    return "huge-number", "a whole number that does not fit into 64 bits: write it as text"
        level = below
    return None


def _has_half_a_character(raw: bytes) -> bool:
    try:
        json.dumps(json.loads(raw), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _why_unreadable(raw: bytes, error: Exception) -> tuple[str, str]:
    try:
        raw.decode()
    except UnicodeDecodeError as fault:
        what = f"byte 0x{raw[fault.start]:02x} at position {fault.start} is not UTF-8"
        return "not-utf-8", f"{what}: name the file's `encoding`, or convert it"
    if isinstance(error, RecursionError):
        return "too-deep", "objects and lists stand within each other too deep to be read"
    if raw.startswith(b"\xef\xbb\xbf"):
        return "byte-order-mark", "a byte order mark within the file: files were put together without removing theirs"
    if b"\x00" in raw:
        return "nul-bytes", f"NUL at position {raw.index(0)}: the file is damaged, or name `encoding: utf-16-le`"
    if _NOT_A_NUMBER.search(raw):
        return "not-a-number", "NaN and Infinity are not JSON: write null or text"
    if "out of range" in str(error):
        return "huge-number", f"{error}: write it as text"
    if _SURROGATE.search(raw) and _has_half_a_character(raw):
        return "unpaired-surrogate", "half of a character that takes two \\u escapes: it can't be written as UTF-8"
    return "not-json", explain(raw) or str(error)
