"""Rows of nothing but text, the common case: what is asked of every row, worked out once for each order of roles."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curate.core.digests import canonical_json
from curate.core.normalize import KEY_BYTES, normal_key, normalized, text_key
from curate.core.rows import SCENE, Message, Row
from curate.rules.conversation import check_messages
from curate.rules.text import is_clear

_SHAPES = 1024  # orders of roles that are remembered: datasets have a few, up to hundreds where talks are long


@dataclass(frozen=True, slots=True)
class Shape:
    """What follows from the roles of a row's messages alone: the numbers of the messages are those from 0."""

    heads: list[str]
    """What stands for each role in the row's key."""
    forms: list[Callable[[str], str]]
    """What makes of each text what stands for it there."""
    turns: list[int]
    """The messages that don't set the scene."""
    prompt: list[int]
    """The turns before the last answer."""
    is_sound: bool
    """Has validation nothing to say of these roles in this order?"""


class Plain:
    """A row whose messages are text without tool calls."""

    __slots__ = ("_tools", "shape", "texts")

    def __init__(self, row: Row, texts: list[str]) -> None:
        self.shape = _shape(tuple([message.role for message in row.messages]))
        self.texts, self._tools = texts, row.tools

    def is_sound(self) -> bool:
        """Is there surely nothing in the row that the rules of conversation, tools and text object to?"""
        texts = self.texts
        return self.shape.is_sound and "" not in texts and True not in map(str.isspace, texts) and is_clear(texts)

    def prompt(self) -> str:
        """`chosen_text` of the prompt."""
        asked = self.shape.prompt
        return self.texts[asked[0]] if len(asked) == 1 else "\n".join([self.texts[at] for at in asked])

    def lengths(self) -> tuple[int, int]:
        """`text_lengths` of the row."""
        texts, turns = self.texts, self.shape.turns
        sizes = list(map(len, texts))
        whole = sum(sizes)
        if len(turns) == len(texts):
            return whole, whole + max(len(turns) - 1, 0)
        return whole, sum([sizes[at] for at in turns]) + max(len(turns) - 1, 0)

    def keys(self) -> bytes:
        """The keys of the row and of its prompt, as `curate.keys` makes them."""
        shape = self.shape
        parts = [make(text) for make, text in zip(shape.forms, self.texts, strict=True)]
        asked = shape.prompt
        # One turn, the common case, is the prompt itself: no need to normalise its text again.
        prompt = parts[asked[0]] if len(asked) == 1 else " ".join(filter(None, [parts[at] for at in asked]))
        return join_keys(shape.heads, parts, self._tools) + normal_key(prompt)


def find_plain(row: Row) -> Plain | None:
    """The row as one of nothing but text, None where it is another."""
    texts: list[str] = []
    for message in row.messages:
        content = message.content
        if message.tool_calls or not isinstance(content, str):
            return None
        texts.append(content)
    return Plain(row, texts)


def join_keys(heads: Sequence[str], texts: Sequence[str], tools: object) -> bytes:
    """One key for messages with these roles (`role_head`) and normalized texts, and these tools."""
    # Neither holds line ends, nor does JSON: different rows give different text.
    parts = [text for pair in zip(heads, texts, strict=True) for text in pair]
    if tools:
        parts.append(canonical_json(tools).decode())
    whole = "\n".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(whole, digest_size=KEY_BYTES).digest()


def role_head(role: str) -> str:
    """A form of the role without line ends."""
    return repr(role)


@functools.lru_cache(maxsize=256)
def scene(text: str) -> str:
    """What stands for a system prompt: whole sources share a few, and they can be long."""
    return text_key(text).hex()


@functools.lru_cache(maxsize=_SHAPES)
def _shape(roles: tuple[str, ...]) -> Shape:
    turns = [at for at, role in enumerate(roles) if role not in SCENE]
    answers = [at for at in turns if roles[at] == "assistant"]
    like = Row(id="", messages=[Message(role, "text") for role in roles])
    return Shape(
        heads=[role_head(role) for role in roles],
        forms=[scene if role in SCENE else normalized for role in roles],
        turns=turns,
        prompt=[at for at in turns if not answers or at < answers[-1]],
        is_sound="tool" not in roles and check_messages(like) is None,
    )
