"""Instruction records: Alpaca, Dolly, and pairs of an input or prompt with its output or completion."""

from collections.abc import Callable, Mapping
from typing import Any

from curate.core.rows.formats.format import Fields, Format, UnfitError, as_text, without
from curate.core.rows.formats.messages import as_turns


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda record: all(key in record for key in keys)


def _instruction(record: Fields, context: str, answer: str) -> Fields:
    """System, earlier turns, then the instruction with its context below it, then the answer."""
    messages: list[Fields] = []
    if record.get("system"):
        messages.append({"role": "system", "content": as_text(record["system"], "system")})
    for pair in record.get("history") or ():
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnfitError("history is not a list of pairs")
        messages.append({"role": "user", "content": as_text(pair[0], "history")})
        messages.append({"role": "assistant", "content": as_text(pair[1], "history")})
    parts = [as_text(record.get("instruction"), "instruction")]
    if record.get(context) is not None:
        parts.append(as_text(record[context], context))
    messages.append({"role": "user", "content": "\n\n".join(part for part in parts if part.strip())})
    messages.append({"role": "assistant", "content": as_text(record.get(answer), answer)})
    return {**without(record, ("system", "history", "instruction", context, answer)), "messages": messages}


def _pair(record: Fields, prompt: str, answer: str) -> Fields:
    system = [{"role": "system", "content": as_text(record["system"], "system")}] if record.get("system") else []
    turns = as_turns(record.get(prompt), "user", prompt) + as_turns(record.get(answer), "assistant", answer)
    return {**without(record, ("system", prompt, answer)), "messages": system + turns}


ALPACA = Format(
    "alpaca",
    "instruction, input, output",
    _has("instruction", "output"),
    lambda record: _instruction(record, "input", "output"),
)
DOLLY = Format(
    "dolly",
    "instruction, context, response",
    _has("instruction", "response"),
    lambda record: _instruction(record, "context", "response"),
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
