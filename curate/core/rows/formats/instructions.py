"""Instruction records: Alpaca, Dolly, and pairs of an input or prompt with its output or completion."""

from collections.abc import Callable, Mapping
from typing import Any

from curate.core.rows.formats.conversation import as_history
from curate.core.rows.formats.format import Fields, Format, as_text, without
from curate.core.rows.formats.messages import as_turns

_CONTEXTS = ("context", "input")


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda record: all(key in record for key in keys)


def _instruction(record: Fields, answer: str) -> Fields:
    """System, earlier turns, then the instruction with its input or context below it, then the answer."""
    messages: list[Fields] = []
    if record.get("system"):
        messages.append({"role": "system", "content": as_text(record["system"], "system")})
    messages += as_history(record.get("history"), "history")
    parts = [as_text(record.get("instruction"), "instruction")]
    parts += [as_text(record[key], key) for key in _CONTEXTS if record.get(key) is not None]
    messages.append({"role": "user", "content": "\n\n".join(part for part in parts if part.strip())})
    messages.append({"role": "assistant", "content": as_text(record.get(answer), answer)})
    return {**without(record, ("system", "history", "instruction", *_CONTEXTS, answer)), "messages": messages}


def _pair(record: Fields, prompt: str, answer: str) -> Fields:
    system = [{"role": "system", "content": as_text(record["system"], "system")}] if record.get("system") else []
    history = as_history(record.get("history"), "history")
    turns = history + as_turns(record.get(prompt), "user", prompt) + as_turns(record.get(answer), "assistant", answer)
    return {**without(record, ("system", "history", prompt, answer)), "messages": system + turns}


ALPACA = Format(
    "alpaca",
    "instruction, input, output",
    _has("instruction", "output"),
    lambda record: _instruction(record, "output"),
)
DOLLY = Format(
    "dolly",
    "instruction, context, response",
    _has("instruction", "response"),
    lambda record: _instruction(record, "response"),
)
INPUT_OUTPUT = Format(
    "input-output", "input, output", _has("input", "output"), lambda record: _pair(record, "input", "output")
)
PROMPT_COMPLETION = Format(
    "prompt-completion",
    "prompt, completion",
    _has("prompt", "completion"),
    lambda record: _pair(record, "prompt", "completion"),
)
