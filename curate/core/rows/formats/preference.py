"""Preference pairs: the chosen answer becomes the row's, the rejected one is kept in `meta.rejected`."""

import re
from collections.abc import Mapping
from typing import Any

from curate.core.rows.formats.blocks import is_empty
from curate.core.rows.formats.chat import conversation
from curate.core.rows.formats.format import Fields, Format, UnfitError, as_meta, without
from curate.core.rows.formats.messages import as_messages, as_turns
from curate.core.rows.row import SCENE

# What the two answers are called, each pair as one family of datasets has it; OpenAI has the last.
_PAIRS = (
    ("chosen", "rejected"),
    ("chosen_messages", "rejected_messages"),
    ("chosen_response", "rejected_response"),
    ("preferred_output", "non_preferred_output"),
)
_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
# Where the conversation before them is, in the order in which it is looked for.
_PROMPTS = ("prompt", "instruction", "question", "query", "input", "conversations", "messages")


def _fits(record: Mapping[str, Any]) -> bool:
    pair = _pair(record)
    if pair is None:
        return False
    return record[pair[0]] is not None or not any(isinstance(record.get(key), list) for key in _PROMPTS[-2:])


def _pair(record: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in _PAIRS if pair[0] in record and pair[1] in record), None)


def _convert(record: Fields) -> Fields:
    """`chosen` is an answer after `prompt`, or a whole conversation that may repeat the prompt at its start."""
    pair = _pair(record)
    if pair is None:
        raise UnfitError("chosen or rejected is missing")
    values = without(record, pair)
    chosen, rejected = (_side(record[key], key) for key in pair)
    prompt = _prompt(values)
    if isinstance(chosen, str) and not prompt:
        raise UnfitError("there is no prompt, and chosen is text: write the conversation as messages, or add a prompt")
    messages = _joined(prompt, as_turns(chosen, "assistant", pair[0]))
    meta = as_meta(values.get("meta"))
    if "messages" in values and as_messages(values["messages"], "messages") != messages:
        meta["messages"] = values["messages"]
    return conversation({**values, "messages": messages, "meta": {**meta, "rejected": rejected}}, "messages")


def _side(given: object, name: str) -> object:
    """An answer as it is where it is text or missing, else as messages; so is the transcript of a conversation."""
    if isinstance(given, str):
        return _transcript(given) or given
    return given if given is None else as_turns(given, "assistant", name)


def _transcript(text: str) -> list[Fields] | None:
    """The turns of a text such as "\\n\\nHuman: ...\\n\\nAssistant: ...", None where it is no such text."""
    if not text.startswith(("Human:", "\n\nHuman:")):
        return None
    start, *turns = _SPEAKER.split("\n\n" + text.lstrip("\n"))
    if start or len(turns) < 2 * 2:
        return None
    said = zip(turns[::2], turns[1::2], strict=True)
    return as_messages([{"role": speaker, "content": words.strip()} for speaker, words in said], "a transcript")


def _prompt(values: Fields) -> list[Fields]:
    """The messages before the answers. What they are made of is taken out of the values."""
    asked = values.get("input")
    if isinstance(asked, dict):  # OpenAI: the tools stand in it, too
        del values["input"]
        values |= asked
    key = next((key for key in _PROMPTS if not is_empty(values.get(key))), None)
    if key is None:
        return []
    given = values.pop(key)
    if key == "instruction" and isinstance(values.get("input"), str):
        given = f"{given}\n\n{values.pop('input')}".rstrip()
    return as_turns(given, "user", key)


def _joined(prompt: list[Fields], chosen: list[Fields]) -> list[Fields]:
    """The chosen conversation: its answer behind the prompt, unless it repeats the prompt itself."""
    scene = [message for message in prompt if message["role"] in SCENE]
    turns, said = ([message for message in some if message["role"] not in SCENE] for some in (prompt, chosen))
    if not prompt or said[: len(turns)] != turns or not turns:
        return prompt + chosen
    return chosen if chosen[0]["role"] in SCENE else scene + chosen


PREFERENCE = Format("preference", "prompt, chosen, rejected", _fits, _convert)
