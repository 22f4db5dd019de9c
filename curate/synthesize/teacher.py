"""The teacher: one try at one request, and what came of it as a value."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from curate.core.endpoint.wire import Failure, Reply
from curate.core.errors import ConfigError
from curate.synthesize.config import Teacher as Settings
from curate.synthesize.requests import Request

T = TypeVar("T")


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
            from curate.core.endpoint.client import Client
        except ImportError:
            fix = "pip install 'acidtest[endpoints]'"
            raise ConfigError("the package aiohttp is not installed", where="teacher", fix=fix) from None
        self._client = Client(
            settings.base_url,
            settings.key_env,
            timeout_s=settings.timeout_s,
            connect_timeout_s=settings.timeout_s,
            where="teacher",
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()

    def ask(self, request: Request) -> Reply | Failure:
        """One POST to /chat/completions."""
        found, _ = self._wait_for(self._client.chat(msgspec.json.encode(request.body)))
        return found

    def close(self) -> None:
        """Close the connections."""
        self._wait_for(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()
