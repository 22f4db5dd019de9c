"""Validation: is a row a conversation that ends in an answer, and is the answer what it has to be?"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from curate.answer_schema import BadSchemaError, Schemas, read_schema
from curate.core.places import find_path
from curate.core.rows import Message, Row
from curate.entries import Context, Entry, Outcome, Rejection, reject
from curate.normalize import answer_text

STAGE = "validate"

# Rule ids are stable: people filter rejected.jsonl by them.
RULES = {
    "no-messages": "the row has no messages",
    "unknown-role": "a role is none of system, developer, user, assistant, tool",
    "system-not-first": "a system or developer message stands after another role",
    "role-order": "turns do not alternate: user, assistant (with tool results after its calls), user, ...",
    "empty-turn": "a message holds nothing but whitespace and no tool calls",
    "no-answer": "the last message is not an assistant's",
    "target-not-json": "the answer is not one JSON value",
    "no-schema": "the row lacks the schema that its answer has to satisfy",
    "bad-schema": "the schema that the answer has to satisfy can't be used",
    "target-schema": "the answer does not satisfy its schema",
}
_SCENE = frozenset({"system", "developer"})
_ROLES = _SCENE | {"user", "assistant", "tool"}
# Who may speak after whom; None is the start, after the scene is set.
_FOLLOWS: dict[str | None, frozenset[str]] = {
    None: frozenset({"user"}),
    "user": frozenset({"assistant"}),
    "assistant": frozenset({"user"}),
    "assistant calling": frozenset({"tool"}),
    "tool": frozenset({"tool", "assistant"}),
}

Fault = tuple[str, str]
Rule = Callable[[Row], Fault | None]


def validate(entries: Sequence[Entry], context: Context) -> Outcome:
    """The rows without faults; each other one with the first rule it breaks."""
    rules: list[Rule] = [check_messages]
    if context.recipe.checks.target_schema is not None:
        rules.append(_target_rule(context))
    kept: list[Entry] = []
    rejections: list[Rejection] = []
    for entry in entries:
        fault = next((found for rule in rules if (found := rule(entry.row))), None)
        if fault is None:
            kept.append(entry)
        else:
            rejections.append(reject(entry, STAGE, *fault))
    return Outcome(kept, rejections)


def check_messages(row: Row) -> Fault | None:
    """The first fault in roles, order and content of a row's messages, as rule id and detail."""
    if not row.messages:
        return "no-messages", RULES["no-messages"]
    previous: str | None = None
    for number, message in enumerate(row.messages, start=1):
        role = message.role
        if role not in _ROLES:
            return "unknown-role", f"message {number} has the role {role!r}"
        if _is_empty(message):
            return "empty-turn", f"message {number} ({role}) is empty"
        if role in _SCENE:
            if previous is not None:
                return "system-not-first", f"message {number} is a {role} message after {previous}"
            continue
        if role not in _FOLLOWS[previous]:
            return "role-order", f"message {number} is by {role} after {previous or 'the start'}"
        previous = "assistant calling" if role == "assistant" and message.tool_calls else role
    if row.messages[-1].role != "assistant":
        return "no-answer", f"the last message is by {row.messages[-1].role}"
    return None


def _is_empty(message: Message) -> bool:
    if message.tool_calls:
        return False
    if isinstance(message.content, list):
        return not any(
            part.get("type", "text") != "text" or str(part.get("text", "")).strip() for part in message.content
        )
    return not message.text.strip()


def _target_rule(context: Context) -> Rule:
    schemas = Schemas()
    name = str(context.recipe.checks.target_schema)
    shared = read_schema(find_path(name, context.folder)) if name.endswith(".json") else None
    key = name.removeprefix("meta.")

    def check_target(row: Row) -> Fault | None:
        schema: Any = shared if shared is not None else row.meta.get(key)
        if schema is None:
            return "no-schema", f"meta has no {key}"
        try:
            answer = msgspec.json.decode(answer_text(row))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return "target-not-json", str(error)
        try:
            fault = schemas.fault(schema, answer)
        except BadSchemaError as error:
            return "bad-schema", str(error)
        return ("target-schema", fault) if fault else None

    return check_target
