"""A mapping from the recipe: which key of a record is the prompt, which the answer, and so on."""

from collections.abc import Mapping
from typing import Any

from curate.core.digests import canonical_json
from curate.core.rows.formats.format import Fields, Format, UnfitError
from curate.core.rows.formats.messages import as_messages
from curate.core.rows.formats.tools import as_tools

_MISSING = object()


def mapped(fields: Mapping[str, str]) -> Format:
    """The format that reads the row's fields from these dotted paths; top-level keys it does not use go to `meta`."""
    used = {path.partition(".")[0] for path in fields.values()}

    def convert(record: Fields) -> Fields:
        found = {name: _look_up(record, path) for name, path in fields.items()}
        values: Fields = {"meta": {key: value for key, value in record.items() if key not in used}}
        for name in ("id", "label", "group", "source"):
            if found.get(name, _MISSING) not in (None, _MISSING):
                values[name] = found[name]
        if "tools" in fields and found["tools"] is not _MISSING:
            values["tools"] = as_tools(found["tools"])
        return {**values, "messages": _messages(found, fields)}

    return Format("map", ", ".join(sorted(used)), lambda record: all(key in record for key in used), convert)


def _messages(found: Fields, fields: Mapping[str, str]) -> list[Fields]:
    def text(name: str) -> str:
        value = found[name]
        if value is None or value is _MISSING:
            raise UnfitError(f"there is no {fields[name]} to take the {name} from")
        return value if isinstance(value, str) else canonical_json(value).decode()

    if "messages" in found:
        value = found["messages"]
        return as_messages(None if value is _MISSING else value, fields["messages"])
    system = [{"role": "system", "content": text("system")}] if "system" in found else []
    return [*system, {"role": "user", "content": text("prompt")}, {"role": "assistant", "content": text("answer")}]


def _look_up(record: Any, path: str) -> Any:
    """The value at a dotted path; numbers count through lists."""
    for part in path.split("."):
        if isinstance(record, dict) and part in record:
            record = record[part]
        elif isinstance(record, list) and part.isdigit() and int(part) < len(record):
            record = record[int(part)]
        else:
            return _MISSING
    return record
