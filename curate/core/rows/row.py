"""The row: one training or evaluation example. The type that every stage, the trainer and the harness share."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from curate.core.digests import digest_json

Origin = Literal["gold", "synthetic"]
# The roles that set the scene. A template there is the same for a whole source and says nothing about a row.
SCENE = frozenset({"system", "developer"})
# Keys of `meta` that say more of the conversation: the answer of a pair that was rejected (text or messages), whether
# people found the answer good (true or false), and what keys of messages held that no field takes: {"0": {key: value}}.
REJECTED, DESIRABLE, MESSAGE_EXTRAS = "rejected", "desirable", "message_extras"
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. `content` is text, a list of parts, or null beside `tool_calls`; `weight` 0: not in the loss.

    `reasoning_content` is what the model thought before its answer or calls.
    """

    role: str
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    weight: float | None = None

    @property
    def text(self) -> str:
        """The content as plain text; parts that are not text are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.get("text", "") for part in self.content or () if isinstance(part.get("text", ""), str))


class Row(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One example. `group` holds rows that must stay on one side of a split; `meta` holds whatever else came along."""

    id: str
    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    label: str | None = None
    source: str | None = None
    origin: Origin = "gold"
    group: str | None = None
    meta: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def prompt(self) -> list[Message]:
        """The messages before the last answer."""
        return self.messages[: self._answer_index()]

    @property
    def answer(self) -> str:
        """The text of the last assistant message, empty where there is none."""
        index = self._answer_index()
        return self.messages[index].text if index < len(self.messages) else ""

    def _answer_index(self) -> int:
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].role == "assistant":
                return index
        return len(self.messages)


def encode_row(row: Row) -> bytes:
    """The row as one line of JSON, fields in the order of their definition: equal rows give equal bytes."""
    return _ENCODER.encode(row)


def encode_rows(rows: Sequence[Row]) -> bytes:
    """The rows as `encode_row` writes them, a line end after each."""
    return _ENCODER.encode_lines(rows)


def content_id(messages: list[Message], tools: list[dict[str, Any]] | None = None) -> str:
    """An id for a row that has none: 16 hex digits of the digest of its content."""
    return digest_json([messages, tools]).removeprefix("sha256:")[:16]


def message_dicts(messages: list[Message]) -> list[dict[str, Any]]:
    """The messages as plain dictionaries, absent fields left out: what chat templates and endpoints take."""
    plain: list[dict[str, Any]] = msgspec.to_builtins(messages)
    return plain
