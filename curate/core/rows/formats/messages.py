"""Turns as datasets publish them, made into our messages: one meaning for all formats that hold conversations.

A turn says who speaks (`role`, `from`), what (`content`, `value`, blocks), what was thought, which tools were called
and whether it is learned. What no field of ours takes stays in the message under its key, for whoever makes the row.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from curate.core.rows.formats.blocks import content_of, is_block, is_empty, is_text_part, read_blocks, text_of
from curate.core.rows.formats.format import (
    ROLES,
    Fields,
    UnfitError,
    as_text,
    from_json,
    json_text,
    kind_of,
    speaker_of,
)
from curate.core.rows.formats.tools import CALL_TAG, as_calls, is_call, is_response, responses, tagged_calls
from curate.core.rows.row import SCENE, Message

MESSAGE_KEYS = frozenset(Message.__struct_fields__)
OUR_ROLES = SCENE | {"user", "assistant", "tool"}
# Parts that no text is made of.
MEDIA_PARTS = frozenset(
    {"image", "image_url", "input_image", "video", "video_url", "audio", "audio_url", "input_audio", "file"}
)
# Where turns say what they say, in place of `content`.
_SAYING: dict[str, Any] = {"value": object, "parts": list, "text": str, "message": str}
REASONING = ("reasoning_content", "thinking", "reasoning")
# Who speaks where a turn is nothing but calls.
_CALLING = frozenset({"function_call", "function_calls", "tool_call", "tool_calls", "function-call", "tool-call"})
# Keys that say whether a turn is learned, and what they say of one that is.
_LEARNED = {
    **dict.fromkeys(
        ("train", "trainable", "training", "train_on_turn", "should_train", "loss", "loss_mask", "use_loss"), True
    ),
    **dict.fromkeys(("masked", "is_masked", "no_loss"), False),
}
_SAID = {"true": True, "false": False}
_SPEAKER = re.compile(r"\n\n(Human|Assistant):")


def as_messages(value: object, name: str, *, has_tools: bool = False) -> list[Fields]:
    """The turns of a conversation as our messages; `has_tools`: are there tools that <tool_call> tags may call?

    Raises: UnfitError where it is no list of turns, where one says two different things, or can't be read.
    """
    if not isinstance(value, list):
        raise UnfitError(f"{name} is {kind_of(value)}, not a list of messages")
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict):
            raise UnfitError(f"item {number} of {name} is {kind_of(turn)}, not a message")
    if all(map(_is_ours, value)):
        return value
    reading = _Reading(name, has_tools or _answers_tags(value))
    for number, turn in enumerate(value, start=1):
        reading.take(turn, number)
    return reading.messages


def as_turns(value: object, role: str, name: str) -> list[Fields]:
    """A field that holds one turn's text, one turn, or several. Raises: UnfitError."""
    if isinstance(value, dict):
        if isinstance(value.get("messages"), list):
            return as_messages(value["messages"], name)
        if not {"role", "from", "content"} & set(value):
            raise UnfitError(f"{name} is an object without role and content")
        return as_messages([value if {"role", "from"} & set(value) else {"role": role, **value}], name)
    if isinstance(value, list):
        return as_messages(value, name)
    return [{"role": role, "content": as_text(value, name)}]


def as_transcript(text: str) -> list[Fields] | None:
    """The turns of a text such as "\\n\\nHuman: ...\\n\\nAssistant: ...", None where it is no such text.

    An answer that is still to be given, at its end, is no turn.
    """
    if not text.startswith(("Human:", "\n\nHuman:")):
        return None
    start, *turns = _SPEAKER.split("\n\n" + text.lstrip("\n"))
    if start or len(turns) < 2 * 2:
        return None
    said = [{"role": who, "content": words.strip()} for who, words in zip(turns[::2], turns[1::2], strict=True)]
    is_open = said[-1] == {"role": "Assistant", "content": ""}
    return as_messages(said[:-1] if is_open else said, "a transcript")


def is_thought(value: object) -> bool:
    """Is it what a model thought, and not a switch such as "off"?"""
    return isinstance(value, str) and len(value.split()) > 1


def are_ours(messages: Iterable[Message]) -> bool:
    """Do these messages, which have no keys but ours, say what they say as ours do?"""
    called = True
    for message in messages:
        content = message.content
        if message.role not in OUR_ROLES or (message.role == "tool" and not called):
            return False
        if content is not None and not isinstance(content, str) and not all(map(_is_our_part, content)):
            return False
        if message.tool_calls:
            if not all(map(is_call, message.tool_calls)):
                return False
            called = True
        elif message.role != "tool":
            called = False
    return True


def _is_our_part(part: Fields) -> bool:
    """Is it text as we have it, or something that is no text at all?"""
    kind = part.get("type")
    return is_text_part(part) or (isinstance(kind, str) and kind in MEDIA_PARTS)


def _is_ours(turn: Fields) -> bool:
    """Is the turn a message of ours as it is?"""
    content, calls = turn.get("content"), turn.get("tool_calls")
    if turn.get("role") not in OUR_ROLES or not turn.keys() <= MESSAGE_KEYS or isinstance(turn.get("weight"), bool):
        return False
    if isinstance(content, str):
        if CALL_TAG in content:
            return False
    elif content is not None and not (
        isinstance(content, list) and all(isinstance(part, dict) and _is_our_part(part) for part in content)
    ):
        return False
    return not calls or (isinstance(calls, list) and all(map(is_call, calls)))


def _answers_tags(turns: list[Fields]) -> bool:
    """Does a turn of a tool follow an answer with <tool_call> tags?"""
    called = False
    for turn in turns:
        if called and _role(turn.get("role", turn.get("from"))) == "tool":
            return True
        said = turn.get("content", turn.get("value"))
        called = isinstance(said, str | list) and CALL_TAG in str(said)
    return False


def _role(speaker: object) -> str:
    return ROLES.get(speaker.strip().lower(), speaker) if isinstance(speaker, str) else ""


class _Reading:
    """Makes messages of turns, one after another."""

    def __init__(self, name: str, reads_tags: bool) -> None:
        self._name, self._reads_tags = name, reads_tags
        self.messages: list[Fields] = []
        self._open: list[str] = []  # the calls that had no id and wait for a result

    def take(self, turn: Fields, number: int) -> None:
        """Add what a turn says."""
        if (plain := self._plain(turn)) is not None:
            self._open = []
            self.messages.append(plain)
            return
        where = f"item {number} of {self._name}"
        left = dict(turn)
        speaker = _speaker(left, where)
        is_calling = speaker.strip().lower() in _CALLING
        role = "assistant" if is_calling else _role(speaker)
        calls, content = _calls(left, where), _content(left, role, where)
        if role == "user" and self._open and isinstance(content, str) and is_response(content):
            role = "tool"
        thoughts = _thoughts(left) if role == "assistant" else []
        results: list[Fields] = []
        if is_calling:
            calls += as_calls(content, f"{where} is a function call that")
            content = None
        elif isinstance(content, list):
            found = read_blocks(content, where)
            is_as_given = content is turn.get("content") and found.parts == content
            content = content if is_as_given else content_of(found.parts)
            calls, results = calls + found.calls, found.results
            thoughts += ["\n".join(found.thoughts)] if found.thoughts else []
            left |= found.left
        if self._reads_tags and role == "assistant" and isinstance(content, str) and not calls:
            content, calls = tagged_calls(content) or (content, calls)
        message: Fields = {"role": role, "content": content} if content is not None else {"role": role}
        if thoughts:
            message["reasoning_content"] = _only(thoughts, where)
        if calls or left.get("tool_calls") == []:
            message["tool_calls"] = calls
        for key in ("tool_call_id", "name"):
            if isinstance(left.get(key), str | int) and not isinstance(left[key], bool):
                message[key] = str(left.pop(key))
        if (weight := _weight(left, is_answer=role == "assistant", where=where)) is not None:
            message["weight"] = weight
        _refused(message, left)
        more = {key: value for key, value in left.items() if not is_empty(value)}
        if results and is_empty(content) and not calls:
            results[-1] |= more
        else:
            results.append(message | more)
        for each in results:
            self._add(each, number, joins=is_calling)

    def _plain(self, turn: Fields) -> Fields | None:
        """The message of a turn that is a speaker and a text, as nearly all are; None where it takes a closer look."""
        if len(turn) != 2:
            return None
        if "from" in turn:
            speaker, text = turn["from"], turn.get("value")
        else:
            speaker, text = turn.get("role"), turn.get("content")
        role = ROLES.get(speaker) if isinstance(speaker, str) else None
        if role is None or role == "tool" or not isinstance(text, str) or (self._reads_tags and CALL_TAG in text):
            return None
        if self._open and is_response(text):
            return None
        return {"role": role, "content": text}

    def _add(self, message: Fields, number: int, *, joins: bool = False) -> None:
        if message["role"] == "tool" and "tool_call_id" not in message and self._open:
            self._answer(message)
            return
        calls = message.get("tool_calls")
        if calls:
            self._open = [] if not joins else self._open
            message["tool_calls"] = [self._named(call, number) for call in calls]
        elif message["role"] != "tool":
            self._open = []
        before = self.messages[-1] if self.messages else {}
        if joins and before.get("role") == "assistant" and before.get("weight") == message.get("weight"):
            more = {key: value for key, value in message.items() if key not in ("role", "content", "tool_calls")}
            if not (more.keys() & before.keys()) - {"weight"}:
                before |= more
                before["tool_calls"] = [*(before.get("tool_calls") or ()), *message["tool_calls"]]
                return
        self.messages.append(message)

    def _named(self, call: Fields, number: int) -> Fields:
        if call.get("id") is not None:
            return call
        taken = sum(known == f"call_{number}" or known.startswith(f"call_{number}_") for known in self._open)
        name = f"call_{number}_{taken + 1}" if taken else f"call_{number}"
        self._open.append(name)
        return {"id": name, **call}

    def _answer(self, message: Fields) -> None:
        """Add a result, or the results that one turn holds, each with the id of its call."""
        text = message["content"]
        texts = responses(text, len(self._open)) if isinstance(text, str) else [text]
        for each in texts:
            self.messages.append({**message, "content": each, "tool_call_id": self._open.pop(0)})


def _speaker(left: Fields, where: str) -> str:
    role, other = left.pop("role", None), left.pop("from", None)
    speaker = role if role is not None else other
    if (key := speaker_of(left)) is not None and (speaker is None or _role(left[key]) == _role(speaker)):
        named = left.pop(key)
        speaker = named if speaker is None else speaker
    if not isinstance(speaker, str):
        raise UnfitError(f"{where} does not say who it is from")
    if other is not None and _role(other) != _role(speaker):
        raise UnfitError(f"{where} is from {speaker!r} and from {other!r}")
    return speaker


def _content(left: Fields, role: str, where: str) -> str | list[Any] | None:
    """What the turn says. Another text under `value` is left."""
    content = left.pop("content", None)
    if content is None and isinstance(left.get("content_parts"), str):  # as tables hold it
        content = from_json(left.pop("content_parts"), "content_parts", list)
    for key, kind in _SAYING.items():
        if left.get(key) == content or (is_empty(content) and isinstance(left.get(key), kind)):
            content = left.pop(key, content)
    items = content if isinstance(content, list) else [content]
    if isinstance(content, list | dict) and not all(map(is_block, items)):
        if role != "tool":
            raise UnfitError(f"{where} has content that is neither text nor parts")
        return json_text(content)  # what a tool gave
    if content is None or isinstance(content, str | list):
        return content
    return [content] if isinstance(content, dict) else as_text(content, where)


def _calls(left: Fields, where: str) -> list[Fields]:
    """The calls under `tool_calls` and, as OpenAI once had it, `function_call`."""
    several, one = left.get("tool_calls"), left.get("function_call")
    calls: list[Fields] = []
    if not is_empty(several):
        if isinstance(several, str):
            several = from_json(several, "tool_calls", list)
        calls = as_calls(several, f"tool_calls of {where}")
        del left["tool_calls"]
    if not is_empty(one):
        named = [{"id": "", **call} for call in as_calls(one, f"function_call of {where}")]
        if calls and [call["function"] for call in named] != [call["function"] for call in calls]:
            raise UnfitError(f"{where} has tool_calls and another function_call: leave one out")
        calls = calls or as_calls(one, where)
        del left["function_call"]
    return calls


def _thoughts(left: Fields) -> list[str]:
    return [text_of(left.pop(key)) or "" for key in REASONING if text_of(left.get(key)) is not None]


def _only(thoughts: list[str], where: str) -> str | None:
    """The one text that all of these are. Raises: UnfitError where they differ."""
    said = [text for text in thoughts if text.strip()]
    if len({text.strip() for text in said}) > 1:
        raise UnfitError(f"{where} holds two different texts of reasoning: leave one out")
    return said[0] if said else None


def _weight(left: Fields, *, is_answer: bool, where: str) -> Any:
    """How much the turn counts in the loss, None where nothing is said.

    Flags that no number stands for are left, and those that want a turn learned that is no answer.
    """
    said: Fields = {}
    if left.get("weight") is not None:
        said["weight"] = int(left["weight"]) if isinstance(left["weight"], bool) else left["weight"]
        del left["weight"]
    share = left.get("loss_weight")
    if isinstance(share, int | float) and math.isfinite(share) and (is_answer or not share):
        said["loss_weight"] = left.pop("loss_weight")
    for key, learned in _LEARNED.items():
        flag = _flag(left.get(key))
        if flag is not None and (is_answer or flag is not learned):
            said[key] = flag is learned
            del left[key]
    if not is_answer:
        return said.get("weight")
    shares = {float(value) for value in said.values() if isinstance(value, int | float) and not isinstance(value, bool)}
    flags = {value for value in said.values() if isinstance(value, bool)}
    if len(shares) > 1 or len(flags | {share != 0 for share in shares}) > 1:
        told = ", ".join(f"{key}: {turn}" for key, turn in said.items())
        raise UnfitError(f"{where} says both that it is learned and that it is not: {told}")
    if "weight" in said:
        return said["weight"]
    return 0 if False in flags else next((share for share in shares if share != 1), None)


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _SAID.get(value.strip().lower())
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _refused(message: Fields, left: Fields) -> None:
    """A refusal of an answer that says nothing else is what it says."""
    refusal = left.get("refusal")
    if not isinstance(refusal, str) or not refusal:
        return
    if is_empty(message.get("content")) and not message.get("tool_calls"):
        message["content"] = refusal
    if message.get("content") == refusal:
        del left["refusal"]
