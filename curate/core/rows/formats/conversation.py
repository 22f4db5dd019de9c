"""The parts that a conversation is put together from, as records hold them: earlier turns, choices, calls."""

import ast
import string

import msgspec

from curate.core.digests import canonical_json
from curate.core.rows.formats.format import ROLES, Fields, UnfitError, as_text, speaker_of

# What a turn that is an object calls those who speak, and keys of messages that say something.
_ASKS = ("user", "human", "question", "query", "prompt", "input", "instruction")
_ANSWERS = ("assistant", "bot", "answer", "response", "completion", "output")
HISTORY = ("history", "chat_history", "conversation_history")  # keys of earlier turns
_LONGEST_PYTHON = 1 << 20  # parsing Python takes a hundred times the memory of the text
_SAID = frozenset({"content", "parts", "value", "tool_calls", "function_call"})
_SAID_ELSEWHERE = frozenset({"text", "message"})  # in turns of a speaker whose role we know


def as_json_list(value: object) -> object:
    """A list that a table holds as its JSON text; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _as_python_list(value)


def _as_python_list(text: str) -> object:
    """A list of objects as Python prints it, which is how pandas writes one to CSV; other text as it is."""
    if not text.lstrip().startswith(("[{'", '[{"')) or len(text) > _LONGEST_PYTHON:
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def is_messages(value: object) -> bool:
    """Is the value a list of messages, each with who speaks and something said?"""
    return isinstance(value, list) and bool(value) and all(_is_message(item) for item in value)


def _is_message(item: object) -> bool:
    if not isinstance(item, dict) or "replies" in item:  # that is one of a tree
        return False
    if ("role" in item and _SAID & item.keys()) or {"from", "value"} <= item.keys():
        return True
    role = role_of(item)
    return isinstance(role, str) and role in ROLES and bool((_SAID | _SAID_ELSEWHERE) & item.keys())


def as_message_list(value: object, *, can_alternate: bool = False) -> list[Fields] | None:
    """The messages that a value holds: a list of them, or of turns as objects, or JSON text of one; None for others.

    `can_alternate`: a list of texts is what user and assistant say in turn.
    """
    value = as_json_list(value)
    if not isinstance(value, list) or not value:
        return None
    if is_messages(value):
        return [*value]
    if can_alternate and len(value) > 1 and all(isinstance(item, str) for item in value):
        return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(value)]
    turns = [_turn(item) for item in value]
    return [message for turn in turns if turn is not None for message in turn] if all(turns) else None


def _turn(item: object) -> list[Fields] | None:
    """The messages of a turn that is an object: what was asked and answered, behind its system prompt."""
    if not isinstance(item, dict):
        return None
    asked, answered = (next((key for key in keys if key in item), None) for keys in (_ASKS, _ANSWERS))
    if asked is None or answered is None or not item.keys() <= {asked, answered, "system"}:
        return None
    spoken = (("system", item.get("system")), ("user", item[asked]), ("assistant", item[answered]))
    if not all(isinstance(text, str) or (role == "system" and text is None) for role, text in spoken):
        return None
    return [{"role": role, "content": text} for role, text in spoken if role != "system" or text]


def role_of(message: Fields) -> object:
    """Who speaks in a message."""
    name = message.get("role", message.get("from"))
    if name is None and (key := speaker_of(message)) is not None:
        name = message[key]
    return ROLES.get(name.strip().lower(), name) if isinstance(name, str) else name


def as_history(value: object, name: str) -> list[Fields]:
    """Earlier turns: messages, or pairs of what was asked and answered. Raises: UnfitError."""
    value = as_json_list(value)
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, str):
        raise UnfitError(f"{name} is text, not a list of pairs or messages: join it to the prompt by a template")
    if (messages := as_message_list(value)) is not None:
        return [
            {"role": role_of(message), "content": message["value"]} if "value" in message else message
            for message in messages
        ]
    if not isinstance(value, list):
        raise UnfitError(f"{name} is not a list of pairs or messages")
    turns: list[Fields] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnfitError(f"{name} is not a list of pairs or messages")
        turns += [{"role": "user", "content": as_text(pair[0], name)}]
        turns += [{"role": "assistant", "content": as_text(pair[1], name)}]
    return turns


def as_choices(value: object, name: str) -> tuple[str, list[str], list[str]]:
    """Choices as lines that begin with a letter, their letters, and their texts. Raises: UnfitError.

    They are a list, an object by letter, an object of `text` and `label`, or the JSON text of one of these.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = msgspec.json.decode(value)
        except msgspec.MsgspecError as error:
            raise UnfitError(f"{name} is text that is not JSON: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
        letters, texts = [str(letter) for letter in value["label"]], value["text"]
    elif isinstance(value, dict):
        letters, texts = [*value], [*value.values()]
    elif isinstance(value, list):
        letters, texts = [*string.ascii_uppercase[: len(value)]], value
    else:
        raise UnfitError(f"{name} is not a list of choices")
    if not texts or len(letters) != len(texts):
        raise UnfitError(f"{name} has {len(texts)} choices under {len(letters)} letters")
    spelled = [as_text(text, name) for text in texts]
    return "\n".join(f"{letter}. {text}" for letter, text in zip(letters, spelled, strict=True)), letters, spelled


def chosen(answer: object, letters: list[str], texts: list[str]) -> str:
    """The letter of the choice that is right, given as letter, number from 0 or text. Raises: UnfitError."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        if str(answer) in letters:
            return str(answer)
        if 0 <= answer < len(letters):
            return letters[answer]
    if isinstance(answer, str):
        given = answer.strip()
        if given in letters:
            return given
        if given.strip("().").upper() in letters:
            return given.strip("().").upper()
        if given in texts:
            return letters[texts.index(given)]
        if given.isdecimal() and int(given) < len(letters):
            return letters[int(given)]
    shown = "missing" if answer is None else canonical_json(answer).decode()
    raise UnfitError(f"the answer {shown} is none of the {len(letters)} choices")
