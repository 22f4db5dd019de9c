"""The OpenAI-compatible wire as values: addresses, keys, replies and failures. Knows no HTTP client."""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from curate.core.errors import ConfigError
from curate.core.visible import without_surrogates

_AGAIN = frozenset({408, 409, 429})  # and every 5xx: trouble that passes
_HOPELESS = frozenset({401, 402, 403, 404})  # key, account, model or address: the same for every request
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SHORTEST_KEY = 8  # a shorter "key" is a stand-in for none, and a word that replies may well contain
_MOST_DETAIL = 300  # characters of a server's words that are kept: enough for its message, not for a page of HTML


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said. Units: tokens as the endpoint counts them, None where it doesn't say."""

    text: str
    finish_reason: str = "stop"
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply. `again`: another try may help. `hopeless`: no request to this endpoint can succeed.

    `charged`: the endpoint may have done the work all the same. `wait_s` is what it asked us to wait. `status` is the
    HTTP status, where there was one.
    """

    detail: str
    again: bool = False
    hopeless: bool = False
    charged: bool = False
    wait_s: float | None = None
    status: int | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def text(self) -> str:
        """The content; of a list of parts their text; of tool calls without a word beside them, their JSON."""
        if isinstance(self.content, list):
            return "".join(text for part in self.content if isinstance(text := part.get("text"), str))
        if not self.content and self.tool_calls:
            calls = [_call_json(call.function) for call in self.tool_calls]
            return calls[0] if len(calls) == 1 else f"[{', '.join(calls)}]"
        return self.content or ""


def _call_json(function: _Function) -> str:
    """`{"name": ..., "arguments": {...}}`, the arguments as the model wrote them where they are no JSON."""
    arguments: Any = function.arguments
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return json.dumps({"name": function.name, "arguments": arguments or {}}, ensure_ascii=False)


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = msgspec.field()
    model: str | None = None
    usage: Any = None  # an odd one is no reason to throw the answer away


def checked_address(value: str) -> str:
    """`value` if it is the address of an endpoint and nothing more. Raises: ValueError without showing a secret."""
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("write it as https://host/v1")
    if url.username or url.password or url.query or url.fragment:
        # The value itself isn't shown: it may be the secret.
        raise ValueError("the address holds more than a place; keys belong in the environment, see key_env")
    return value


def is_loopback(address: str) -> bool:
    """Whether the address is on this machine."""
    return urlsplit(address).hostname in _LOOPBACK


def check_key_is_safe(address: str, key_env: str | None) -> None:
    """Raises: ValueError where a key would travel unencrypted to another machine."""
    if urlsplit(address).scheme == "http" and key_env is not None and not is_loopback(address):
        raise ValueError("http would send the key in clear text: use https, or key_env: null where no key is needed")


def read_key(variable: str | None, where: str) -> str:
    """The key in this environment variable; empty where no variable is named. Raises: ConfigError for what is none."""
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    fix = f"set the environment variable {variable}, or key_env: null for no key"
    if not key:
        raise ConfigError(f"the environment variable {variable} holds no key", where=where, fix=fix)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"what {variable} holds is no key: it has characters that none has", where=where, fix=fix)
    return key


def hide_key(words: str, key: str) -> str:
    """`words` without the key, should a server repeat it."""
    return words.replace(key, "***") if len(key) >= _SHORTEST_KEY else words


def clean(words: str, key: str) -> str:
    """A server's words, fit to be shown: no key, no control characters, not endless."""
    printable = "".join(char if char.isprintable() else " " for char in hide_key(words, key))
    return " ".join(printable.split())[:_MOST_DETAIL]


def read_reply(data: bytes, key: str) -> Reply | Failure:
    """The reply in the body of a chat completion, or why it holds none.

    JSON can hold half of a character that takes two escapes; it becomes U+FFFD, since no file could hold the reply.
    """
    try:
        completion = msgspec.json.decode(data, type=_Completion)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        found = _lenient(data)
        if found is None:
            return Failure(f"the endpoint's answer is not a chat completion: {error}", again=True, charged=True)
        completion = found
    if not completion.choices:
        return Failure("the endpoint's answer holds no choice", again=True, charged=True)
    choice = completion.choices[0]
    prompt_tokens, completion_tokens = _tokens(completion.usage)
    refused = choice.message.refusal is not None
    return Reply(
        text=without_surrogates(hide_key((choice.message.refusal or "") if refused else choice.message.text, key)),
        finish_reason="refusal" if refused else without_surrogates(choice.finish_reason or "stop"),
        model=without_surrogates(completion.model or ""),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )


def _tokens(usage: Any) -> tuple[int, int] | tuple[None, None]:
    """Tokens of prompt and answer; None for both where the endpoint doesn't say, or says what can't be."""
    if not isinstance(usage, dict):
        return None, None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if type(prompt) is int and type(completion) is int and min(prompt, completion) >= 0:
        return prompt, completion
    return None, None


def _lenient(data: bytes) -> _Completion | None:
    """The completion in JSON that only Python's reader takes: some servers write NaN for a log-probability."""
    try:
        return msgspec.convert(json.loads(data), _Completion)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None


def read_failure(status: int, headers: Mapping[str, str], data: bytes, key: str) -> Failure:
    """What an answer with an error status means. `headers` have to find names in any case."""
    message, code = _error_words(data)
    # An empty account answers 429 like a busy endpoint, but no waiting helps.
    broke = code == "insufficient_quota"
    return Failure(
        f"status {status}: {clean(message, key)}",
        again=(status in _AGAIN or status >= 500) and not broke,
        hopeless=status in _HOPELESS or 300 <= status < 400 or broke,  # a redirect would take the key elsewhere
        wait_s=retry_after(headers),
        status=status,
    )


def _error_words(data: bytes) -> tuple[str, str]:
    """The message and the code of an error's body, whatever the server calls them; else the body itself."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return data[:4096].decode("utf-8", "replace") or "no further words", ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or error.get("error") or json.dumps(error)
        return str(message), str(error.get("code") or error.get("type") or "")
    return str(error), ""


def retry_after(headers: Mapping[str, str]) -> float | None:
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
