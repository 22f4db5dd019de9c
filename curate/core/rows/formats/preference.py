"""Preference pairs: the chosen answer becomes the row's, the rejected one is kept in `meta.rejected`."""

from collections.abc import Mapping
from typing import Any

from curate.core.rows.formats.blocks import is_empty
from curate.core.rows.formats.chat import conversation
from curate.core.rows.formats.conversation import HISTORY, as_history
from curate.core.rows.formats.format import Fields, Format, UnfitError, as_meta, without
from curate.core.rows.formats.messages import as_messages, as_transcript, as_turns
from curate.core.rows.row import REJECTED, SCENE

# What the two answers are called, each pair as one family of datasets has it; OpenAI has the last.
_PAIRS = (
    ("chosen", "rejected"),
    ("chosen_messages", "rejected_messages"),
    ("chosen_response", "rejected_response"),
    ("preferred_output", "non_preferred_output"),
)
# Those of ms-swift, whose rows without a rejected answer are no pairs.
_ADDED = (("messages", "rejected_messages"), ("messages", "rejected_response"), ("response", "rejected_response"))
# Where the conversation before them is, in the order in which it is looked for.
_PROMPTS = ("prompt", "instruction", "question", "query", "input", "conversations", "messages")


def _fits(record: Mapping[str, Any]) -> bool:
    pair = _pair(record)
    if pair is None:
        return False
    return record[pair[0]] is not None or not any(isinstance(record.get(key), list) for key in _PROMPTS[-2:])


def _pair(record: Mapping[str, Any]) -> tuple[str, str] | None:
    pairs = [pair for pair in _PAIRS if pair[0] in record and pair[1] in record]
    pairs += [pair for pair in _ADDED if not is_empty(record.get(pair[0])) and not is_empty(record.get(pair[1]))]
    return pairs[0] if pairs else None


def _convert(record: Fields) -> Fields:
    """`chosen` is an answer after `prompt`, or a whole conversation that may repeat the prompt at its start."""
    pair = _pair(record)
    if pair is None:
        raise UnfitError("chosen or rejected is missing")
    values = without(record, pair)
    chosen, rejected = (_side(record[key], key) for key in pair)
    turns = as_turns(chosen, "assistant", pair[0])
    prompt = _prompt(values, is_whole=not turns or turns[0]["role"] != "assistant")
    if isinstance(chosen, str) and not prompt:
        raise UnfitError("there is no prompt, and chosen is text: write the conversation as messages, or add a prompt")
    messages = _joined(prompt, turns)
    meta = as_meta(values.get("meta"))
    if "messages" in values and as_messages(values["messages"], "messages") != messages:
        meta["messages"] = values["messages"]
    return conversation({**values, "messages": messages, "meta": {**meta, REJECTED: rejected}}, "messages")


def _side(given: object, name: str) -> object:
    """An answer as it is where it is text or missing, else as messages; so is the transcript of a conversation."""
    if isinstance(given, str):
        return as_transcript(given) or given
    return given if given is None else as_turns(given, "assistant", name)


def _prompt(values: Fields, *, is_whole: bool) -> list[Fields]:
    """The messages before the answers. What they are made of is taken out of the values.

    `is_whole`: the answers are conversations that hold what stands beside a question themselves.
    """
    asked = values.get("input")
    if isinstance(asked, dict):  # OpenAI: the tools stand in it, too
        del values["input"]
        values |= asked
    earlier = [] if is_whole else [turn for key in HISTORY for turn in as_history(values.pop(key, None), key)]
    key = next((key for key in _PROMPTS if not is_empty(values.get(key))), None)
    if key is None:
        return earlier
    given = values.pop(key)
    if key == "instruction" and isinstance(values.get("input"), str):
        given = f"{given}\n\n{values.pop('input')}".rstrip()
    if isinstance(given, str) and (turns := as_transcript(given)) is not None:
        return earlier + turns
    if isinstance(given, str) and not is_whole and isinstance(values.get("context"), str):
        parts = [given, values.pop("context")]
        given = "\n\n".join(part for part in (parts if key == "instruction" else parts[::-1]) if part.strip())
    return earlier + as_turns(given, "user", key)


def _joined(prompt: list[Fields], chosen: list[Fields]) -> list[Fields]:
    """The chosen conversation: its answer behind the prompt, unless it repeats the prompt itself."""
    scene = [message for message in prompt if message["role"] in SCENE]
    turns, said = ([message for message in some if message["role"] not in SCENE] for some in (prompt, chosen))
    places = range(len(said) - len(turns))
    if not turns or not any(_same(said[at : at + len(turns)], turns) for at in places):
        return prompt + chosen
    return chosen if chosen[0]["role"] in SCENE else scene + chosen


def _same(some: list[Fields], others: list[Fields]) -> bool:
    """Do they say the same, white space at the ends aside?"""
    return [_told(message) for message in some] == [_told(message) for message in others]


def _told(message: Fields) -> Fields:
    content = message.get("content")
    return {**message, "content": content.strip()} if isinstance(content, str) else message


PREFERENCE = Format("preference", "prompt, chosen, rejected", _fits, _convert)
