"""One endpoint over HTTP: one POST, and what came of it as a value.

The wire format is OpenAI's; the client is aiohttp, which asks several times faster than the `openai` package.
"""

import time
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec

from curate.core.endpoint.timed_socket import TimedSocket, latency_s
from curate.core.endpoint.wire import Failure, Reply, is_loopback, read_failure, read_key, read_reply

_MOST_BYTES = 32 << 20  # of one answer: far above any model's, far below this machine's memory
_CHUNK_BYTES = 1 << 16
_CRASHED = 500  # the HTTP status


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class _Line:
    """One connection to an endpoint, for one request at a time, so that its socket's times are this request's."""

    def __init__(self, headers: dict[str, str], timeout: aiohttp.ClientTimeout) -> None:
        self._socket: TimedSocket | None = None
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, socket_factory=self._open),
            timeout=timeout,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _open(self, address: tuple[Any, ...]) -> TimedSocket:
        family, kind, protocol, *_ = address
        self._socket = TimedSocket(family, kind, protocol)
        self._socket.stamp()
        return self._socket

    def latency_s(self, measured_s: float) -> float:
        """How long the last request took at the socket, of the time measured around it."""
        return latency_s(self._socket, measured_s)


class Client:
    """The connections to one endpoint, for the tasks of one event loop. Never raises for trouble with one request."""

    def __init__(
        self, base_url: str, key_env: str | None, *, timeout_s: float, connect_timeout_s: float, where: str = "endpoint"
    ) -> None:
        """Make ready; nothing is connected before something is asked.

        Args:
            base_url: the address, as in https://host/v1.
            key_env: the environment variable that holds the key, None where there is none.
            timeout_s: for a whole answer, the connection included.
            connect_timeout_s: for the connection alone.
            where: the settings that name the endpoint, for messages.

        Raises: ConfigError where the key is missing.
        """
        self._key = read_key(key_env, f"{where}.key_env")
        self._base = base_url.rstrip("/")
        self._chat = f"{self._base}/chat/completions"
        self._proxy = _proxy(self._base)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        self._timeout_s = timeout_s
        self._headers = {"content-type": "application/json"}
        if self._key:
            self._headers["authorization"] = f"Bearer {self._key}"
        self._lines: list[_Line] = []
        self._idle: list[_Line] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        for line in self._lines:
            await line.session.close()

    async def chat(self, body: bytes) -> tuple[Reply | Failure, float]:
        """One POST to /chat/completions, and the milliseconds from its last byte to the answer's."""
        line = self._line()
        started = time.perf_counter()
        found = await self._send(line, "POST", self._chat, body)
        latency_ms = line.latency_s(time.perf_counter() - started) * 1000
        await self._lay_by(line, found)
        return (found if isinstance(found, Failure) else read_reply(found, self._key)), latency_ms

    async def models(self) -> bytes | Failure:
        """The body of GET /models."""
        line = self._line()
        found = await self._send(line, "GET", f"{self._base}/models", None)
        await self._lay_by(line, found)
        return found

    async def lists(self, model: str) -> bool:
        """Whether the endpoint names this model among its own: it is there, and takes the key where it needs one."""
        found = await self.models()
        try:
            listed = None if isinstance(found, Failure) else msgspec.json.decode(found, type=_Models)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False
        return listed is not None and any(entry.id == model for entry in listed.data)

    def _line(self) -> _Line:
        if not self._idle:
            self._idle.append(_Line(self._headers, self._timeout))
            self._lines.append(self._idle[-1])
        return self._idle.pop()

    async def _lay_by(self, line: _Line, found: bytes | Failure) -> None:
        """Keep the connection for another request, but where its server failed.

        Many (uvicorn, which vLLM and `transformers serve` use) close it after status 500 without saying so: the next
        request on it would fail too, and count as one that may have been charged.
        """
        if isinstance(found, Failure) and found.status == _CRASHED:
            await line.session.close()
            self._lines.remove(line)
        else:
            self._idle.append(line)

    async def _send(self, line: _Line, method: str, url: str, body: bytes | None) -> bytes | Failure:
        try:
            # A redirect would take the key to another address.
            async with line.session.request(
                method, url, data=body, allow_redirects=False, proxy=self._proxy
            ) as response:
                data = await _read(response)
                if data is None:
                    return Failure(f"an answer of more than {_MOST_BYTES >> 20} MB", charged=True)
                if response.status != 200:
                    return read_failure(response.status, response.headers, data, self._key)
                return data
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            return Failure(f"no trusted connection: {error}", hopeless=True)
        except aiohttp.ConnectionTimeoutError:
            return Failure("no connection in time", again=True)
        except aiohttp.ClientConnectorError as error:
            return Failure(f"no connection: {error.strerror or error}", again=True)
        except TimeoutError:
            return Failure(f"no answer in {self._timeout_s:g} s", again=True, charged=True)
        except (aiohttp.InvalidURL, ValueError) as error:
            return Failure(f"the address can't be asked: {error}", hopeless=True)
        except aiohttp.ClientPayloadError:
            return Failure("the connection ended in the middle of an answer", again=True, charged=True)
        except aiohttp.ServerDisconnectedError:
            return Failure("the endpoint closed the connection without an answer", again=True, charged=True)
        except (aiohttp.ClientError, OSError) as error:
            return Failure(f"the connection failed: {_words(error)}", again=True, charged=True)


def _words(error: aiohttp.ClientError | OSError) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body; None where it is endless."""
    if response.content_length is not None and response.content_length <= _MOST_BYTES:
        return await response.read()
    parts, size = [], 0
    async for part in response.content.iter_chunked(_CHUNK_BYTES):
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            return None
    return b"".join(parts)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this address; none stands between us and this machine."""
    parts = urlsplit(url)
    if parts.hostname is None or is_loopback(url) or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
