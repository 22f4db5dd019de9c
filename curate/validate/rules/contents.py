"""What a row holds that can't be trained on: media, text under keys that no field takes, answers found bad."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from curate.core.rows.formats.blocks import is_empty
from curate.core.rows.formats.messages import MESSAGE_KEYS
from curate.core.rows.row import DESIRABLE, MESSAGE_EXTRAS, REJECTED, Row
from curate.recipe.rule_ids import RULES, Fault

_MEDIA = frozenset({"images", "image", "videos", "video", "audios", "audio"})
LOOKED_AT = _MEDIA | {MESSAGE_EXTRAS, REJECTED, DESIRABLE}
"""The keys of `meta` that these rules look at: rows without them, whose messages are text, break none of them."""
_MARK = re.compile(r"<(?:image|video|audio)>")
# A text under `image` may name anything; this is a place of media.
_PLACE = re.compile(
    r"(?:data:|https?:|file:|s3:|gs:)|.*\.(?:png|jpe?g|gif|webp|bmp|tiff?|mp4|avi|mov|mkv|webm|wav|mp3|flac|ogg|m4a)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_LONG = 1000  # characters that no name of a file has: media written as text
# Keys of a message under which datasets keep what was said, thought or called.
_CONTENT = frozenset(
    {
        *("text", "value", "content", "message", "body", "utterance", "response", "output", "answer", "completion"),
        *("parts", "blocks", "content_parts", "refusal"),
        *("reasoning_content", "thinking", "reasoning", "thought", "thoughts", "rationale", "analysis", "scratchpad"),
        *("chain_of_thought", "cot", "reasoning_details"),
        *("tool_calls", "function_call", "tool_call", "tool_use", "tool_result", "tool_results", "tool_responses"),
    }
)
# Keys that say what of a message is learned, where they say more than yes or no.
_LEARNED = frozenset({"train", "trainable", "training", "train_detail", "loss_mask", "loss_weight", "masked"})


def check_contents(row: Row) -> Fault | None:
    """The first thing that the model should see or learn, and that is no text, call or reasoning of a message."""
    return _media(row) or _unread(row)


def check_judgement(row: Row) -> Fault | None:
    """Is the answer one that people found bad?"""
    if row.meta.get(DESIRABLE) is not False or REJECTED in row.meta:
        return None
    return "undesirable-answer", RULES["undesirable-answer"]


def _media(row: Row) -> Fault | None:
    for number, message in enumerate(row.messages, start=1):
        if isinstance(message.content, list) and (found := _other_than_text(message.content)):
            return "media", f"message {number} holds {found}: {RULES['media']}"
    if not row.meta:
        return None
    for side in _rejected(row):
        if isinstance(content := side.get("content"), list) and (found := _other_than_text(content)):
            return "media", f"the rejected answer holds {found}: {RULES['media']}"
    for key in sorted(_MEDIA & row.meta.keys()):
        if _is_media(row.meta[key], row):
            return "media", f"the row has {key}: {RULES['media']}"
    for where, extras in _extras(row):
        if found := next((key for key in sorted(_MEDIA & extras.keys()) if _is_media(extras[key], row)), None):
            return "media", f"{where} has {found}: {RULES['media']}"
    return None


def _other_than_text(content: list[Any]) -> str | None:
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else "no part"
        if kind != "text" or not isinstance(part.get("text"), str):
            return f"a part of the type {kind}" if kind != "text" else f"a part with {', '.join(sorted(part))}"
    return None


def _is_media(value: object, row: Row) -> bool:
    if isinstance(value, str):
        is_place = len(value) > _LONG or _PLACE.match(value) is not None
        return bool(value) and (is_place or any(_MARK.search(message.text) for message in row.messages))
    return isinstance(value, list | dict) and not is_empty(value)


def _unread(row: Row) -> Fault | None:
    """The first key of a message that no field takes, and that holds what the model should see or learn."""
    for where, extras in _extras(row):
        for key, value in extras.items():
            if (key in _CONTENT and not is_empty(value)) or (key in _LEARNED and value not in (True, False)):
                return "unread-content", f"{where} has {key} beside what is read: {RULES['unread-content']}"
    for number, message in enumerate(row.messages, start=1):
        if is_empty(message.content) and not message.tool_calls:
            extras = dict(_extras(row)).get(f"message {number}", {})
            if told := [key for key, value in extras.items() if isinstance(value, str) and value.strip()]:
                return "unread-content", f"message {number} is empty, and has {told[0]}: {RULES['unread-content']}"
    return None


def _extras(row: Row) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What keys held that no field takes, of each message and of those of the rejected answer, with its name."""
    extras = row.meta.get(MESSAGE_EXTRAS) if row.meta else None
    for index, found in extras.items() if isinstance(extras, dict) else ():
        if isinstance(found, dict):
            yield f"message {int(index) + 1}" if index.isdecimal() else f"message {index}", found
    for message in _rejected(row):
        yield "the rejected answer", {key: value for key, value in message.items() if key not in MESSAGE_KEYS}


def _rejected(row: Row) -> list[dict[str, Any]]:
    given = row.meta.get(REJECTED) if row.meta else None
    return [message for message in given if isinstance(message, dict)] if isinstance(given, list) else []
