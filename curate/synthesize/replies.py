"""From replies to rows: a reply that isn't what was asked for is a rejection with a reason."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from curate.core.digests import canonical_json
from curate.core.rows.answer_schema import BadSchemaError, Schemas
from curate.core.rows.row import SCENE, Row, content_id
from curate.synthesize.config import Synthesize
from curate.synthesize.journal import Record
from curate.synthesize.requests import Request, Wording
from curate.table.rejections import Because, Rejection, reject_raw

STAGE = "synthesize"
_NOT_META = frozenset({"prompt", "answer", *Row.__struct_fields__})
# Many teachers put the JSON they were asked for into one code block; that is wrapping, not prose.
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
Adapter = Callable[[Any, dict[str, Any]], Any]


class _BadReplyError(Exception):
    """A reply that makes no row: the reason's id and what was seen. Never leaves this module."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def read_replies(
    requests: Sequence[Request],
    replies: Mapping[str, Record],
    settings: Synthesize,
    wording: Wording,
    adapter: Adapter | None,
) -> tuple[list[Row], list[Rejection]]:
    """The rows that the replies make, in the order of the requests, and what was left out."""
    rows: dict[str, Row] = {}
    rejections: list[Rejection] = []
    schemas = Schemas()
    for request in requests:
        record = replies.get(request.key)
        if record is None:
            continue
        try:
            items = _items(record, request, wording.schema, schemas, adapter)
        except _BadReplyError as bad:
            rejections.append(_reject(request, record, bad.reason, bad.detail))
            continue
        for item in items:
            try:
                row = _row(item, request, record, settings, wording)
            except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, OverflowError) as error:
                rejections.append(_reject(request, record, "not-a-row", str(error)))
                continue
            if row.id in rows:
                because = Because(row.id, 1.0)
                rejections.append(_reject(request, record, "repeated", "another reply made the same row", because))
            else:
                rows[row.id] = row
    return list(rows.values()), rejections


def no_reply(request: Request, detail: str) -> Rejection:
    """The rejection for a request that got no reply in this run."""
    return reject_raw(request.seed.place, b"", STAGE, "no-reply", _about(request, detail))


def _reject(request: Request, record: Record, reason: str, detail: str, because: Because | None = None) -> Rejection:
    raw = record.text.encode("utf-8", "backslashreplace")
    return reject_raw(request.seed.place, raw, STAGE, reason, _about(request, detail), because_of=because)


def _about(request: Request, detail: str) -> str:
    return f"seed row {request.seed.row.id}, request {request.number}: {detail}"


def _items(
    record: Record, request: Request, schema: Any, schemas: Schemas, adapter: Adapter | None
) -> list[dict[str, Any]]:
    """The rows' values in a reply. Raises: _BadReplyError."""
    if record.finish_reason == "length":
        raise _BadReplyError("cut-off", "the reply reached max_tokens before its end")
    if record.finish_reason in ("content_filter", "refusal"):
        raise _BadReplyError("refused", f"the teacher did not answer ({record.finish_reason})")
    fenced = _FENCED.fullmatch(record.text)
    try:
        reply = msgspec.json.decode(fenced[1] if fenced else record.text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _BadReplyError("not-json", str(error)) from error
    try:
        fault = schemas.fault(schema, reply)
    except BadSchemaError as error:  # it compiled when it was read, so this reply led it somewhere that it can't go
        fault = str(error)
    if fault is not None:
        raise _BadReplyError("wrong-schema", fault)
    items = _adapted(reply, request, adapter) if adapter else _plain(reply)
    if not items:
        raise _BadReplyError("no-rows", "the reply holds no rows")
    if not all(isinstance(item, dict) for item in items):
        raise _BadReplyError("not-a-row", "a row is an object with keys")
    return items


def _plain(reply: Any) -> list[Any]:
    if isinstance(reply, dict) and isinstance(reply.get("rows"), list):
        return list(reply["rows"])
    return list(reply) if isinstance(reply, list) else [reply]


def _adapted(reply: Any, request: Request, adapter: Adapter) -> list[Any]:
    try:
        made = adapter(reply, msgspec.to_builtins(request.seed.row))
    except Exception as error:  # a user's function can raise anything; the job goes on
        raise _BadReplyError("adapter-failed", f"{type(error).__name__}: {error}") from error
    if not isinstance(made, list):
        raise _BadReplyError("adapter-failed", f"returned a {type(made).__name__}, not a list")
    return made


def _row(item: dict[str, Any], request: Request, record: Record, settings: Synthesize, wording: Wording) -> Row:
    """The row for an item: `messages`, or `prompt` and `answer` behind the seed's system messages.

    It has its seed's group, because the two must not stand on different sides of a split.
    Raises: msgspec.MsgspecError and the like where the item makes no row.
    """
    seed = request.seed.row
    given = item.get("meta", {})
    meta = {**given, **{key: value for key, value in item.items() if key not in _NOT_META}}
    meta["synthetic"] = _provenance(request, record, settings, wording)
    values = {
        "id": "",
        "messages": item["messages"] if "messages" in item else _messages(item, seed),
        "tools": item.get("tools", seed.tools),
        "label": item.get("label", settings.label if settings.label is not None else seed.label),
        "source": settings.name,
        "origin": "synthetic",
        "group": seed.group,
        "meta": meta,
    }
    row = msgspec.convert(values, Row, from_attributes=True)
    row = msgspec.structs.replace(row, id=content_id(row.messages, row.tools))
    msgspec.json.encode(row)  # what an adapter returns may hold things that JSON can't
    return row


def _messages(item: dict[str, Any], seed: Row) -> list[Any]:
    if "prompt" not in item or "answer" not in item:
        raise msgspec.ValidationError("a row needs `messages`, or `prompt` and `answer`")
    answer = item["answer"]
    return [
        *(message for message in seed.messages if message.role in SCENE),
        {"role": "user", "content": item["prompt"]},
        {"role": "assistant", "content": answer if isinstance(answer, str) else canonical_json(answer).decode()},
    ]


def _provenance(request: Request, record: Record, settings: Synthesize, wording: Wording) -> dict[str, Any]:
    return {
        "teacher": settings.teacher.model,
        "answered_by": record.model,
        "temperature": settings.teacher.temperature,
        "seed_row": request.seed.row.id,
        "number": request.number,
        "template": wording.digests["prompt"],
        "prompt": request.prompt_digest,
        "request": request.key,
    }
