"""The teacher: one try at one request, and what came of it as a value. Everything of `openai` stays in this file."""

from collections.abc import Callable
from typing import Any, Protocol

from curate.core.endpoint.wire import Failure, Reply, clean, read_failure, read_key, read_reply
from curate.core.errors import ConfigError
from curate.synthesize.config import Teacher as Settings
from curate.synthesize.requests import Request


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


class Endpoint:
    """A teacher behind an OpenAI-compatible endpoint. Raises: ConfigError where the key or the client is missing."""

    def __init__(self, settings: Settings) -> None:
        try:
            import openai
        except ImportError:
            fix = "pip install 'acidtest[endpoints]'"
            raise ConfigError("the package openai is not installed", where="teacher", fix=fix) from None
        self._openai = openai
        self._key = read_key(settings.key_env, "teacher.key_env")
        # Retries are ours: each try has to fit the budget and stand in the journal.
        self._client = openai.OpenAI(
            api_key=self._key or "none", base_url=settings.base_url, timeout=settings.timeout_s, max_retries=0
        )

    def ask(self, request: Request) -> Reply | Failure:
        """One POST to /chat/completions."""
        openai = self._openai
        try:
            response = self._client.chat.completions.with_raw_response.create(**_arguments(request.body))
            return read_reply(response.content, self._key)
        except openai.APIStatusError as error:
            return read_failure(error.status_code, error.response.headers, error.response.content, self._key)
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            # Before there is a connection nothing has been asked; after that, the work may have been done.
            asked = cause not in ("ConnectError", "ConnectTimeout")
            kind = "no answer in time" if isinstance(error, openai.APITimeoutError) else "the connection failed"
            return Failure(f"{kind} ({cause})", again=True, charged=asked)
        except openai.OpenAIError as error:
            return Failure(clean(str(error), self._key))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _arguments(body: dict[str, Any]) -> dict[str, Any]:
    """The request body as the client takes it: what it has no parameter for goes into `extra_body`."""
    known = ("model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format")
    named = {name: body[name] for name in known if name in body}
    return {**named, "extra_body": {name: value for name, value in body.items() if name not in known} or None}
