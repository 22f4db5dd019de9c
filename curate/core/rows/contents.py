"""What a row holds that is no text, call or reasoning of its messages: media, and content that nothing reads."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from curate.core.rows.formats.blocks import is_empty
from curate.core.rows.formats.messages import MESSAGE_KEYS
from curate.core.rows.row import DESIRABLE, MESSAGE_EXTRAS, REJECTED, Row

_MEDIA = frozenset({"images", "image", "videos", "video", "audios", "audio"})
LOOKED_AT = _MEDIA | {MESSAGE_EXTRAS, REJECTED, DESIRABLE}
"""The keys of `meta` that these rules look at: rows without them, whose messages are text, break none of them."""
_MEDIA_PART = re.compile("image|video|audio|file|document|media|inline_?data", re.IGNORECASE)
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
_LEARNED = frozenset(
    {"train", "trainable", "training", "train_detail", "loss_mask", "loss_weight", "masked", "is_masked", "no_loss"}
)


def find_unread(row: Row) -> tuple[str, str] | None:
    """The rule that the first such thing breaks, `media` or `unread-content`, and what it is."""
    return _media(row) or _unread(row)


def _media(row: Row) -> tuple[str, str] | None:
    for number, message in enumerate(row.messages, start=1):
        if isinstance(message.content, list) and (found := _other_than_text(message.content)):
            return found[0], f"message {number} holds {found[1]}"
    if not row.meta:
        return None
    for side in _rejected(row):
        if isinstance(content := side.get("content"), list) and (found := _other_than_text(content)):
            return found[0], f"the rejected answer holds {found[1]}"
    for key in sorted(_MEDIA & row.meta.keys()):
        if _is_media(row.meta[key], row):
            return "media", f"the row has {key}"
    for where, extras in _extras(row):
        if media := next((key for key in sorted(_MEDIA & extras.keys()) if _is_media(extras[key], row)), None):
            return "media", f"{where} has {media}"
    return None


def _other_than_text(content: list[Any]) -> tuple[str, str] | None:
    """The rule that the first part breaks that is no text, and what that part is."""
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else "no part"
        if kind != "text" or not isinstance(part.get("text"), str):
            named = f"a part of the type {kind}" if kind != "text" else f"a part with {', '.join(sorted(part))}"
            return "media" if _MEDIA_PART.search(named) else "unread-content", named
    return None


def _is_media(value: object, row: Row) -> bool:
    if isinstance(value, str):
        is_place = len(value) > _LONG or _PLACE.match(value) is not None
        return bool(value) and (is_place or any(_MARK.search(message.text) for message in row.messages))
    return isinstance(value, list | dict) and not is_empty(value)


def _unread(row: Row) -> tuple[str, str] | None:
    """The first key of a message that no field takes, and that holds what the model should see or learn."""
    for where, extras in _extras(row):
        for key, value in extras.items():
            if (key in _CONTENT and not is_empty(value)) or (key in _LEARNED and value not in (True, False)):
                return "unread-content", f"{where} has {key} beside what is read"
    for number, message in enumerate(row.messages, start=1):
        if is_empty(message.content) and not message.tool_calls:
            extras = dict(_extras(row)).get(f"message {number}", {})
            if told := [key for key, value in extras.items() if isinstance(value, str) and value.strip()]:
                return "unread-content", f"message {number} is empty, and has {told[0]}"
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
