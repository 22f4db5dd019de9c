"""Instruction records: Alpaca, Dolly, and pairs of an input or prompt with its output or completion."""

from collections.abc import Callable, Mapping
from typing import Any

from curate.core.rows.formats.chat import conversation
from curate.core.rows.formats.conversation import HISTORY, as_history
from curate.core.rows.formats.format import Fields, Format, as_text, without
from curate.core.rows.formats.messages import REASONING, as_transcript, as_turns, is_thought

_CONTEXTS = ("context", "input")


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda record: all(key in record for key in keys)


def _instruction(record: Fields, answer: str) -> Fields:
    """The instruction with its input or context below it, then the answer."""
    parts = [as_text(record.get("instruction"), "instruction")]
    parts += [as_text(record[key], key) for key in _CONTEXTS if record.get(key) is not None]
    asked: Fields = {"role": "user", "content": "\n\n".join(part for part in parts if part.strip())}
    told: Fields = {"role": "assistant", "content": as_text(record.get(answer), answer)}
    return _joined(without(record, ("instruction", *_CONTEXTS, answer)), [asked], [told])


def _pair(record: Fields, prompt: str, answer: str) -> Fields:
    """The prompt, below its context where it is text, then the answer."""
    values, given = without(record, (prompt, answer)), record.get(prompt)
    asked = as_transcript(given) if isinstance(given, str) else None
    if asked is None and isinstance(given, str) and isinstance(values.get("context"), str):
        given = f"{values.pop('context')}\n\n{given}".lstrip()
    asked = asked or as_turns(given, "user", prompt)
    return _joined(values, asked, as_turns(record.get(answer), "assistant", answer))


def _joined(values: Fields, asked: list[Fields], told: list[Fields]) -> Fields:
    """The row values: what stands beside a question and its answer, earlier turns first, and the answer's reasoning."""
    earlier = [turn for key in HISTORY for turn in as_history(values.pop(key, None), key)]
    thoughts = {key: values.pop(key) for key in REASONING if is_thought(values.get(key))}
    if thoughts and told and told[-1].get("role") == "assistant":
        told = [*told[:-1], {**thoughts, **told[-1]}]
    else:
        values |= thoughts
    return conversation({**values, "messages": earlier + asked + told}, "messages")


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
