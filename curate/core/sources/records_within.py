"""Records that stand within another one, such as those under `data` of a file that is one object."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from curate.core.sources.record import Record

EVERY = "*"
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class _Found(NamedTuple):
    """A value within a record: its JSON, the key it has in an object, and the texts and numbers around it."""

    raw: bytes
    key: str | None
    around: dict[str, Any]


def records_within(record: Record, at: str) -> Iterator[Record]:
    """The records at a dotted path of a record, `*` for every item; a list at its end counts item by item.

    Each stands on the line it begins on, and has the texts, numbers and truth values of the objects around it, ids
    aside, where it has no such key itself; one of an object by names is called by its name. Where there is none, one
    record with that as its fault.
    """
    if record.fault is not None:
        yield record
        return
    raw = record.raw if record.fields is None else msgspec.json.encode(record.fields)
    offset, line, none = 0, record.number, True
    try:
        for found in _walk(_Found(raw, None, {}), at.split(".")):
            none = False
            start = raw.find(found.raw, offset)
            if start >= 0 and record.fields is None:
                line += raw.count(b"\n", offset, start)
                offset = start
            yield Record(line, record.offset + offset, _named(found))
    except _UNREADABLE:
        yield record  # reading it says what is wrong
        return
    if none:
        yield Record(record.number, record.offset, record.raw, fault=("nothing-within", f"there is nothing at {at}"))


def _walk(found: _Found, path: list[str]) -> Iterator[_Found]:
    items = _items(found)
    if not path:
        if isinstance(items, list):
            yield from (_Found(bytes(raw), None, found.around) for raw in items)
        else:
            yield found
    elif isinstance(items, list):
        chosen = items if path[0] == EVERY else items[int(path[0]) :][:1] if path[0].isdecimal() else []
        for raw in chosen:
            yield from _walk(_Found(bytes(raw), None, found.around), path[1:])
    elif isinstance(items, dict):
        names = [*items] if path[0] == EVERY else [path[0]] if path[0] in items else []
        around = found.around | _plain(items)
        for name in names:
            key = name if path[0] == EVERY else None
            inner = around if key is None else found.around
            yield from _walk(_Found(bytes(items[name]), key, inner), path[1:])


def _items(found: _Found) -> dict[str, msgspec.Raw] | list[msgspec.Raw] | None:
    """What a list or an object holds, undecoded."""
    first = found.raw.lstrip()[:1]
    if first == b"[":
        return msgspec.json.decode(found.raw, type=list[msgspec.Raw])
    return msgspec.json.decode(found.raw, type=dict[str, msgspec.Raw]) if first == b"{" else None


def _plain(items: dict[str, msgspec.Raw]) -> dict[str, Any]:
    """The texts, numbers and truth values of an object, by their keys."""
    return {key: msgspec.json.decode(raw) for key, raw in items.items() if key != "id" and bytes(raw)[:1] not in b"[{n"}


def _named(found: _Found) -> bytes:
    """The record with what stands around it and its name; the bytes it is written in where there is nothing to add."""
    items = _items(found) if found.around or found.key is not None else None
    if not isinstance(items, dict):
        return found.raw
    more = {key: value for key, value in found.around.items() if key not in items}
    if found.key is not None and "id" not in items:
        more["id"] = found.key
    return msgspec.json.encode({**more, **items}) if more else found.raw
