"""The teacher: one try at one request, and what came of it as a value. Everything of `openai` stays in this file."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import msgspec

from curate.core.errors import ConfigError
from curate.synthesize.config import Teacher as Settings
from curate.synthesize.requests import Request

_AGAIN = frozenset({408, 409, 429})  # and every 5xx: trouble that passes
_HOPELESS = frozenset({401, 402, 403, 404})  # key, account, model or address: the same for every request
_SHORTEST_KEY = 8  # a shorter "key" is a stand-in for none, and a word that replies may well contain
_MOST_DETAIL = 300  # characters of a server's words that are kept: enough for its message, not for a page of HTML


@dataclass(frozen=True, slots=True)
class Reply:
    """What the teacher said. Units: tokens as the endpoint counts them, None where it doesn't say."""

    text: str
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply. `again`: another try may help. `hopeless`: no request to this endpoint can succeed.

    `charged`: the endpoint may have done the work all the same. `wait_s` is what it asked us to wait.
    """

    detail: str
    again: bool = False
    hopeless: bool = False
    charged: bool = False
    wait_s: float | None = None


class Teacher(Protocol):
    """Answers requests, from many threads at once. Never raises for trouble with one request."""

    def ask(self, request: Request) -> Reply | Failure:
        """One try at one request."""


class ScriptedTeacher:
    """A teacher whose answers a function gives: for tests and for trying out templates without an endpoint."""

    def __init__(self, answer: Callable[[Request], str | Reply | Failure]) -> None:
        self._answer = answer

    def ask(self, request: Request) -> Reply | Failure:
        """What the function answers; text is a reply that ended by itself."""
        answer = self._answer(request)
        return Reply(answer) if isinstance(answer, str) else answer


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Completion(msgspec.Struct):
    choices: list[_Choice] = msgspec.field()
    model: str | None = None
    usage: _Usage | None = None


class Endpoint:
    """A teacher behind an OpenAI-compatible endpoint. Raises: ConfigError where the key or the client is missing."""

    def __init__(self, settings: Settings) -> None:
        try:
            import openai
        except ImportError:
            fix = "pip install 'acidtest[endpoints]'"
            raise ConfigError("the package openai is not installed", where="teacher", fix=fix) from None
        self._openai = openai
        self._key = _key(settings.key_env)
        # Retries are ours: each try has to fit the budget and stand in the journal.
        self._client = openai.OpenAI(
            api_key=self._key or "none", base_url=settings.base_url, timeout=settings.timeout_s, max_retries=0
        )

    def ask(self, request: Request) -> Reply | Failure:
        """One POST to /chat/completions."""
        openai = self._openai
        try:
            response = self._client.chat.completions.with_raw_response.create(**_arguments(request.body))
            return self._read(response.content)
        except openai.APIStatusError as error:
            return self._status(error)
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            # Before there is a connection nothing has been asked; after that, the work may have been done.
            asked = cause not in ("ConnectError", "ConnectTimeout")
            kind = "no answer in time" if isinstance(error, openai.APITimeoutError) else "the connection failed"
            return Failure(f"{kind} ({cause})", again=True, charged=asked)
        except openai.OpenAIError as error:
            return Failure(self._clean(str(error)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self, data: bytes) -> Reply | Failure:
        try:
            completion = msgspec.json.decode(data, type=_Completion)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return Failure(f"the endpoint's answer is not a chat completion: {error}", again=True, charged=True)
        if not completion.choices:
            return Failure("the endpoint's answer holds no choice", again=True, charged=True)
        choice, usage = completion.choices[0], completion.usage
        refused = choice.message.refusal is not None
        return Reply(
            text=self._hide_key((choice.message.refusal if refused else choice.message.content) or ""),
            finish_reason="refusal" if refused else choice.finish_reason or "stop",
            model=completion.model or "",
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
        )

    def _status(self, error: Any) -> Failure:
        status: int = error.status_code
        body = error.body if isinstance(error.body, dict) else {}
        words = self._clean(str(body.get("message") or error.message))
        # An empty account answers 429 like a busy endpoint, but no waiting helps.
        broke = error.code == "insufficient_quota"
        return Failure(
            f"status {status}: {words}",
            again=(status in _AGAIN or status >= 500) and not broke,
            hopeless=status in _HOPELESS or broke,
            wait_s=_retry_after(error.response.headers),
        )

    def _clean(self, words: str) -> str:
        """A server's words, fit to be shown: no key, no control characters, not endless."""
        printable = "".join(char if char.isprintable() else " " for char in self._hide_key(words))
        return " ".join(printable.split())[:_MOST_DETAIL]

    def _hide_key(self, words: str) -> str:
        return words.replace(self._key, "***") if self._key and len(self._key) >= _SHORTEST_KEY else words


def _arguments(body: dict[str, Any]) -> dict[str, Any]:
    """The request body as the client takes it: what it has no parameter for goes into `extra_body`."""
    known = ("model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format")
    named = {name: body[name] for name in known if name in body}
    return {**named, "extra_body": {name: value for name, value in body.items() if name not in known} or None}


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    where, fix = "teacher.key_env", f"set the environment variable {variable}, or key_env: null for no key"
    if not key:
        raise ConfigError(f"the environment variable {variable} holds no key", where=where, fix=fix)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"what {variable} holds is no key: it has characters that none has", where=where, fix=fix)
    return key


def _retry_after(headers: Any) -> float | None:
    """Seconds from now until the time that Retry-After names, as a number or a date; None where there is none."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else max(0.0, seconds)
