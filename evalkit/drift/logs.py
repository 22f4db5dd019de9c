"""Production logs as entries: rows in any of curate's formats, or OpenAI requests with their responses.

A line that can't be used is counted with the reason and skipped; logs are other people's files.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from curate.core.errors import ConfigError, DataError
from curate.core.files import read_lines
from curate.core.rows.formats.format import UnfitError
from curate.core.rows.formats.registry import find_format
from curate.core.rows.row import SCENE, Message
from curate.core.seeding import stable_fraction

_THUMB_KEYS = ("thumb", "thumbs", "feedback", "rating", "vote")
_UP = frozenset({"up", "positive", "good", "like", "liked", "thumbs_up", "+1", "1", "true", "👍"})
_DOWN = frozenset({"down", "negative", "bad", "dislike", "disliked", "thumbs_down", "-1", "0", "false", "👎"})
_SHOWN_LINES = 5  # numbers of bad lines a reason: enough to look at


@dataclass(frozen=True, slots=True)
class Entry:
    """One exchange. `thumb` is True for up; `schema` what the answer had to fit; `calls` its tool calls."""

    question: str
    answer: str
    label: str | None = None
    thumb: bool | None = None
    schema: dict[str, Any] | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    belongs_to: str | None = None
    """The conversation or user whose exchanges are no news of one another, where a field says so."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The entries in the order of the files, and why lines were left out: reason -> count, and some places.

    `dependent`: so many more exchanges are of a conversation or user of which one is among the entries.
    """

    entries: list[Entry]
    lines: int
    bad: Counter[str]
    places: dict[str, list[str]]
    dependent: int = 0


def one_of_each(logs: Logs, field_name: str, seed: int) -> Logs:
    """One exchange of each conversation or user, drawn by the seed; exchanges that name none stand alone.

    Intervals take exchanges for independent, and those of one conversation are not.
    Raises: ConfigError where no line has the field.
    """
    drawn: dict[str, int] = {}
    for place, entry in enumerate(logs.entries):
        name = entry.belongs_to
        if name is not None:
            drawn[name] = min(drawn.get(name, place), place, key=lambda at: stable_fraction(seed, f"{at}"))
    if not drawn:
        raise ConfigError(
            f"no line of the logs has a field {field_name}",
            where="--one-per",
            fix="name a field of the line, its request, `meta` or `metadata`",
        )
    chosen = set(drawn.values())
    kept = [one for place, one in enumerate(logs.entries) if one.belongs_to is None or place in chosen]
    return replace(logs, entries=kept, dependent=len(logs.entries) - len(kept))


def read_logs(paths: list[Path], one_per: str | None = None) -> Logs:
    """The entries of log files; the field `one_per` says what each belongs to.

    Raises: DataError where a file can't be read, or no line of any is an exchange.
    """
    entries: list[Entry] = []
    bad: Counter[str] = Counter()
    places: dict[str, list[str]] = {}
    lines = 0
    for path in paths:
        for line in read_lines(path):
            lines += 1
            try:
                entries.append(_entry(line.raw, one_per))
            except UnfitError as reason:
                bad[str(reason)] += 1
                if bad[str(reason)] <= _SHOWN_LINES:
                    places.setdefault(str(reason), []).append(f"{path}:{line.number}")
    if not entries:
        reasons = "; ".join(f"{count} times: {reason}" for reason, count in bad.most_common(3))
        raise DataError(
            f"no line of the logs is an exchange: {reasons or 'they are empty'}",
            where=", ".join(map(str, paths)),
            fix='give lines like {"messages": [...]} or {"request": {...}, "response": {...}}',
        )
    return Logs(entries, lines, bad, places)


def _entry(raw: bytes, one_per: str | None) -> Entry:
    record, entry = _read(raw)
    return replace(entry, belongs_to=_belongs_to(record, one_per)) if one_per else entry


def _belongs_to(record: Mapping[str, Any], name: str) -> str | None:
    request = _object(record.get("request"))
    places = (
        record,
        _object(record.get("meta")),
        _object(record.get("metadata")),
        request,
        _object(request.get("body")),
    )
    return next((str(place[name]) for place in places if place.get(name) is not None), None)


def _read(raw: bytes) -> tuple[dict[str, Any], Entry]:
    try:
        record = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnfitError("not JSON") from error
    if not isinstance(record, dict):
        raise UnfitError("not a JSON object")
    request = record.get("request")
    if isinstance(request, dict) or "choices" in record:
        return record, _exchange(record, request if isinstance(request, dict) else record)
    form = find_format(record)
    if form is None:
        raise UnfitError("neither a row nor a request with its response")
    try:
        values = form.convert(record)
    except UnfitError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UnfitError("its fields are not what its format says") from error
    return record, _from_messages(record, values["messages"], values.get("tools"))


def _exchange(record: Mapping[str, Any], request: Mapping[str, Any]) -> Entry:
    """An OpenAI request with its response, plain, wrapped as batches do it, or stored as one object."""
    request = _object(request.get("body")) or request
    response = _object(record.get("response", record))
    response = _object(response.get("body")) or response
    if not response or record.get("error") or response.get("error"):
        raise UnfitError("the call failed: there is no answer")
    choices = response.get("choices")
    message = _object(_object(choices[0]).get("message")) if isinstance(choices, list) and choices else {}
    if not message:
        raise UnfitError("the response has no message")
    messages = request.get("messages")
    if not isinstance(messages, list):
        raise UnfitError("the request has no messages")
    schema = _object(_object(request.get("response_format")).get("json_schema")).get("schema")
    answer = {"role": "assistant", **message, "content": message.get("content") or message.get("refusal") or ""}
    return _from_messages(record, [*messages, answer], request.get("tools"), schema)


def _object(value: object) -> dict[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _from_messages(record: Mapping[str, Any], given: list[Any], tools: Any, schema: Any = None) -> Entry:
    try:
        messages = msgspec.convert(given, list[Message])
    except msgspec.ValidationError as error:
        raise UnfitError("its messages are malformed") from error
    last = max((index for index, message in enumerate(messages) if message.role == "assistant"), default=None)
    if last is None or not last:
        raise UnfitError("no question with an answer in it")
    schema = _object(schema) or _object(_object(record.get("meta")).get("answer_schema"))
    label = record.get("label")
    return Entry(
        question="\n".join(message.text for message in messages[:last] if message.role not in SCENE),
        answer=messages[last].text,
        label=label if isinstance(label, str) else None,
        thumb=_thumb(record),
        schema=schema or None,
        calls=messages[last].tool_calls or [],
        tools=[tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else [],
    )


def _thumb(record: Mapping[str, Any]) -> bool | None:
    """Whether a user was content: True, False, or None where the line doesn't say or says it in other words."""
    for key in _THUMB_KEYS:
        value = record.get(key)
        if isinstance(value, dict):
            value = value.get("score", value.get("value"))
        if value is None:
            continue
        word = str(value).strip().lower().removesuffix(".0")
        return True if word in _UP else False if word in _DOWN else None
    return None
