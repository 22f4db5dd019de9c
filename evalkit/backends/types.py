"""Answers: what is asked of a backend, what comes back, and the protocol in between."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from curate.core.console import Advance
from curate.core.rows.row import Message


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt to answer. `key` is the digest of everything that the answer depends on.

    `prompt` and `prompt_ids` are the messages rendered by the local chat template; a backend that renders elsewhere
    (an endpoint) takes `messages` and `tools`. `prompt_digest` is of the rendered prompt, or of the messages as sent.
    """

    item: str
    contender: str
    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    prompt: str = ""
    prompt_ids: list[int] = msgspec.field(default_factory=list)
    prompt_digest: str = ""
    key: str = ""
    repeat: int = 0
    """Which of several answers to the same question, from 0."""
    place: int = 0
    """Where it stands among its contender's requests."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a backend made of one request: text, or the error that stood in its way.

    Units: tokens as the backend counts them, a stop token included; `latency_ms` as the backend defines it.
    `estimated`: the backend didn't say how many tokens, and their number is a guess by length. `model` is what an
    endpoint calls the model that answered.
    """

    text: str = ""
    finish_reason: str = "stop"
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: float = 0.0
    estimated: bool = False
    model: str = ""


def failed(reason: str, *, prompt_tokens: int = 0) -> Answer:
    """The answer to a request that could not be answered."""
    return Answer(finish_reason="error", error=reason, prompt_tokens=prompt_tokens)


class Backend(Protocol):
    """Something that produces text."""

    def generate(
        self, requests: Sequence[Request], *, max_tokens: int, advance: Advance
    ) -> Iterator[tuple[Request, Answer]]:
        """Each request with its answer as soon as there is one, in any order; `advance` moves by 1 per request."""
