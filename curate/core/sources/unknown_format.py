"""What to write into the recipe for records that are in no known format."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from curate.core.rows.formats.format import Fields
from curate.core.rows.formats.guess import as_yaml, find_messages, guess_map, left_over, map_line
from curate.core.rows.formats.mapped import paths_of
from curate.core.rows.formats.pairs import ASKED, find_pair, lowered
from curate.core.rows.formats.registry import FORMATS, find_format
from curate.core.sources.record import Record
from curate.core.sources.records_within import EVERY, records_within

_SHOWN_KEYS = 8
_IF_SO = "if these are what is asked and what is answered"
_PROSE = re.compile(r"[.!?]\s*$|(?:\S+\s+){4}\S")


def unknown_format(record: Fields) -> str:
    """Why the record can't be read, and the line of the recipe that most likely reads such ones."""
    keys = _shown([*record])
    start = f"the keys {keys} are those of no format ({', '.join(FORMATS)})"
    if (inner := _records_within(record)) is not None:
        reads = f"reads, {_IF_SO}" if "map:" in inner else "reads"
        return f"{start}. Records stand within this one, which this in the source {reads}: `{inner}`"
    if any(_PROSE.search(key) for key in record):
        return f"{start}, and look like values: does the file lack its header line?"
    if (found := guess_map(record)) is None:
        return f"{start}, and it has no question with an answer: name an `adapter`, a function that makes rows of it"
    left = left_over(found, record)
    kept = f"; {_shown(left)} then {'stay' if len(left) > 1 else 'stays'} in meta" if left else ""
    talk = find_messages(record)
    reads = "reads it" if talk is not None or find_pair(record) is not None else f"reads it, {_IF_SO}"
    if talk is not None and talk[1] and "answer" not in found:
        reads = "reads its conversation, which has no answer"
    return f"{start}. This in the source {reads}: `{map_line(found)}`{kept}"


def _shown(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return ", ".join(key or '""' for key in sorted(keys)[:_SHOWN_KEYS]) + more


def _records_within(record: Fields) -> str | None:
    """What reads the records that stand within this one, where it is no record itself."""
    at, talk = _guess_at(record), find_messages(record)
    # A conversation that stands in none of these records is the record's own.
    if at is None or (talk is not None and at != EVERY and not talk[0].startswith(f"{at}.")):
        return None
    fields = _first_at(record, at)
    # Questions of a passage, passages of an article: down to the records that hold both sides.
    while isinstance(fields, dict) and (below := _is_around(fields)) is not None:
        at = f"{at}.{EVERY}.{below}"
        fields = _first_at(record, at)
    if isinstance(fields, dict) and find_format(fields) is not None:
        return f"at: {as_yaml(at)}"
    beside = {} if at == EVERY else {key: value for key, value in record.items() if key != at}
    is_asked = any(name in ASKED for name in lowered(beside))
    fields_map = guess_map(fields) if isinstance(fields, dict) and not is_asked else None
    return None if fields_map is None else f"at: {as_yaml(at)}, {map_line(fields_map)}"


def _is_around(record: Fields) -> str | None:
    """Where the records are that this one, no record itself, is around."""
    if find_format(record) is not None or (below := _guess_at(record)) in (None, EVERY):
        return None
    found = guess_map(record)
    if found is None:
        return below
    return below if any(path.startswith(f"{below}.") for path in paths_of([found.get("prompt", "")])) else None


def _first_at(record: Fields, at: str) -> Any:
    """The first of the records within this one."""
    return msgspec.json.decode(next(records_within(Record(1, 0, msgspec.json.encode(record)), at)).raw)


def _guess_at(record: Mapping[str, Any]) -> str | None:
    """Where records stand within this one: the one list of objects that are no messages, or an object of objects."""
    lists = [key for key, value in record.items() if _is_records(value) and not set("{}.*") & set(key)]
    if len(lists) == 1:
        return lists[0]
    if len(lists) > 1:
        return max(lists, key=lambda key: len(record[key]))
    objects = [value for value in record.values() if isinstance(value, dict) and value]
    if len(objects) == len(record) > 1 and len({frozenset(value) for value in objects}) == 1:
        return EVERY
    return None


def _is_records(value: object) -> bool:
    """Is the value a list of objects, none of them a message?"""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, dict) and item and "role" not in item and "from" not in item for item in value)
