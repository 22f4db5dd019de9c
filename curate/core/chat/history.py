"""Conversations whose earlier turns a template rewrites once later ones have come, such as to leave out old thoughts.

Their answers can't all be learned from one text: behind which earlier turns would each stand? One at a time they can.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from curate.core.chat.chat_format import ChatFormat, Encoded, TemplateFault
from curate.core.chat.jinja_template import Tools
from curate.core.rows.row import Message

History = Literal["error", "last", "split"]
_REWRITES = frozenset({"history-rewritten", "prompt-differs", "boundary-token"})


def parts_instead(fault: TemplateFault, messages: Sequence[Message], history: History) -> list[list[Message]]:
    """The conversations to learn one answer each from, instead of one that has this fault as a whole.

    With `last` its last answer, with `split` each that has a weight: cut off behind it, and what the model is given
    before it is what it gets at use. None where that is no way on.
    """
    learned = [at for at, message in enumerate(messages) if message.role == "assistant" and message.weight != 0]
    if history == "error" or fault.rule not in _REWRITES or len(learned) < 2:
        return []
    return [
        [replace(one, weight=0) if one.role == "assistant" else one for one in messages[:at]] + [messages[at]]
        for at in (learned[-1:] if history == "last" else learned)
    ]


def samples_of(
    encoded: Encoded | TemplateFault, chat: ChatFormat, messages: Sequence[Message], tools: Tools, history: History
) -> list[Encoded] | TemplateFault:
    """What is learned of a conversation that was encoded as a whole: that, or `parts_instead`, or the first fault."""
    if isinstance(encoded, Encoded):
        return [encoded]
    samples: list[Encoded] = []
    for part in parts_instead(encoded, messages, history):
        sample = chat.encode(part, tools)
        if isinstance(sample, TemplateFault):
            return sample
        samples.append(sample)
    return samples or encoded
