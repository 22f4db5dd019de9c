"""Roles, order and content: is the row a conversation that ends in an answer?"""

from curate.core.rows.formats.guess import ANSWER_NAMES, map_line
from curate.core.rows.row import SCENE, Message, Row
from curate.recipe.rule_ids import RULES, Fault

_ROLES = SCENE | {"user", "assistant", "tool"}
# Who may speak after whom; None is the start, after the scene is set.
_FOLLOWS: dict[str | None, frozenset[str]] = {
    None: frozenset({"user"}),
    "user": frozenset({"assistant"}),
    "assistant": frozenset({"user"}),
    "assistant calling": frozenset({"tool"}),
    "tool": frozenset({"tool", "assistant", "user"}),  # results and what the user adds to them come as one turn
}


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
        if role in SCENE:
            if previous is not None:
                return "system-not-first", f"message {number} is a {role} message after {previous}"
            continue
        if role not in _FOLLOWS[previous]:
            return "role-order", f"message {number} is by {role} after {previous or 'the start'}"
        previous = "assistant calling" if role == "assistant" and message.tool_calls else role
    if row.messages[-1].role != "assistant":
        return "no-answer", f"the last message is by {row.messages[-1].role}{_kept_answer(row)}"
    return None


def _kept_answer(row: Row) -> str:
    """Where the answer seems to stand, beside the messages."""
    key = next((name for name in ANSWER_NAMES if isinstance(row.meta.get(name), str)), None)
    fields = {"messages": "messages", "answer": str(key)}
    return "" if key is None else f"; the answer may be what meta has under {key}: `{map_line(fields)}`"


def _is_empty(message: Message) -> bool:
    content = message.content
    if isinstance(content, str):
        return (not content or content.isspace()) and not message.tool_calls
    if message.tool_calls:
        return False
    return not message.text.strip() and all(part.get("type", "text") == "text" for part in content or ())
