"""Every question to every endpoint: many at once, in random order, tried again after trouble that passes.

Contenders are asked in turns that a seed decides, so that a server's good and bad hours fall on all of them alike.
"""

import asyncio
import math
import random
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from curate.core.console import Advance, say
from curate.core.endpoint.client import Client
from curate.core.endpoint.wire import Failure, Reply
from curate.core.errors import ServiceError
from curate.core.spending import Purse
from evalkit.backends.calls import Call
from evalkit.backends.endpoint import Endpoint, Running
from evalkit.backends.pace import Pace
from evalkit.backends.types import Answer, Request, failed

_BUSY = frozenset({429, 503, 529})  # the endpoint has too much to do; 529 is what some call it
_BAD_KEY = frozenset({401, 402})  # of the account: true for every request, whatever was answered before
# An address that never answered is more likely wrong than restarting: so many requests, each tried so often.
_FIRST = 3
_FIRST_TRIES = 2
_BYTES_PER_TOKEN = 4  # of English text; where an endpoint doesn't say what it counted
_FIXES = {
    401: "check the key in {key}; `{doctor}` tries it out",
    402: "see to the account that pays for the key in {key}",
    403: "the key in {key} may not use this model, or the address is wrong",
    404: "check `model` and `base_url` (most end in /v1); `{doctor}` lists the models there",
    429: "see to the account that pays for the key in {key}: its quota is used up",
}
_LAST_S = 15.0  # after Ctrl-C, for answers that are on their way: they are paid for


Body = Callable[[Call], dict[str, Any]]
Keep = Callable[[Sequence[tuple[Request, Answer]]], None]


def ask_endpoints(
    calls: Sequence[Call], body: Body, running: Running, purse: Purse, *, seed: int, keep: Keep, advance: Advance
) -> str | None:
    """Ask everything; `body` makes what is sent, `keep` gets answers as they come.

    Returns why it stopped early, None where all were asked.

    Raises: ServiceError where an endpoint can't be used or stopped answering, ConfigError where a key is missing,
    KeyboardInterrupt after Ctrl-C or SIGTERM. What came before was kept.
    """
    return asyncio.run(_Pool(body, running, purse, keep, advance).run(calls, seed))


@dataclass
class _Server:
    """One address and key, with its pace and what is known of it."""

    client: Client
    pace: Pace
    answered: set[str] = field(default_factory=set)
    """The models that have answered."""
    in_a_row: int = 0
    """Requests without an answer since the last answer."""


class _Pool:
    def __init__(self, body: Body, running: Running, purse: Purse, keep: Keep, advance: Advance) -> None:
        self._body = body
        self._running = running
        self._purse = purse
        self._keep = keep
        self._advance = advance
        self._fresh: list[tuple[Request, Answer]] = []
        self._servers: list[_Server] = []
        self._settled = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._stopping = False
        self._trouble: Exception | None = None
        self._spent: str | None = None
        self._errors = 0

    async def run(self, calls: Sequence[Call], seed: int) -> str | None:
        """See `ask_endpoints`."""
        groups: dict[tuple[str, str | None], list[int]] = {}
        for at in random.Random(seed).sample(range(len(calls)), len(calls)):
            endpoint = calls[at].endpoint
            groups.setdefault((endpoint.base_url, endpoint.key_env), []).append(at)
        async with AsyncExitStack() as stack:
            workers = []
            for group in groups.values():
                client = await stack.enter_async_context(self._client(calls[group[0]].endpoint))
                server = _Server(client, Pace(self._running.concurrency))
                self._servers.append(server)
                queue = map(calls.__getitem__, group)
                hands = min(self._running.concurrency, len(group))
                workers += [asyncio.ensure_future(self._work(server, queue)) for _ in range(hands)]
                if hands > 1:
                    knock = asyncio.ensure_future(self._knock(server, calls[group[0]].endpoint.model))
                    stack.callback(knock.cancel)
            with _interrupts(self._interrupt):
                await self._wait_for(workers)
            self._flush()
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        if self._trouble is not None:
            raise self._trouble
        return self._spent

    def _client(self, endpoint: Endpoint) -> Client:
        return Client(
            endpoint.base_url,
            endpoint.key_env,
            timeout_s=self._running.timeout_s,
            connect_timeout_s=self._running.connect_timeout_s,
        )

    async def _wait_for(self, workers: Sequence[asyncio.Future[None]]) -> None:
        """Until all workers are done; after an interrupt, for the answers that are on their way."""
        gathered: asyncio.Future[Any] = asyncio.gather(*workers)
        interrupt: asyncio.Future[Any] = asyncio.ensure_future(self._interrupted.wait())
        await asyncio.wait([gathered, interrupt], return_when=asyncio.FIRST_COMPLETED)
        interrupt.cancel()
        if self._interrupted.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(gathered, _LAST_S)
        else:
            await gathered

    def _interrupt(self) -> None:
        say("stopping once the answers on their way are here; once more to stop at once")
        self._interrupted.set()
        self._halt()

    def _halt(self) -> None:
        """Send nothing more."""
        self._stopping = True
        self._settled.set()
        for server in self._servers:
            server.pace.close()

    def _stop(self, what: str, endpoint: Endpoint, fix: str) -> None:
        if self._trouble is None:
            again = "finished answers are kept: the same command goes on"
            self._trouble = ServiceError(what, where=endpoint.base_url, fix=f"{fix}; {again}")
        self._halt()

    async def _knock(self, server: _Server, model: str) -> None:
        """While the first answer is on its way, the free list of models may tell that key and address are right."""
        if await server.client.lists(model):
            server.pace.open()

    async def _work(self, server: _Server, queue: Iterator[Call]) -> None:
        for call in queue:
            if self._stopping:
                return
            answer = await self._ask(server, call)
            if answer is None:
                return
            self._done(call.request, answer)

    def _done(self, request: Request, answer: Answer) -> None:
        """Answers that come in one turn of the event loop are kept in one write."""
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._flush)
        self._fresh.append((request, answer))

    def _flush(self) -> None:
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        try:
            self._keep(fresh)
        except Exception as error:  # noqa: BLE001 - in a callback any would be lost, and these answers with it
            self._trouble = error
            self._halt()
        self._errors += sum(answer.error is not None for _, answer in fresh)
        paces = [server.pace for server in self._servers]
        note = f"{sum(pace.in_flight for pace in paces)} in flight"
        if slowed := [pace for pace in paces if pace.slowed]:
            note += f", busy: at most {sum(pace.limit for pace in slowed)}"
        self._advance(len(fresh), note + (f", {self._errors} errors" if self._errors else ""))

    async def _ask(self, server: _Server, call: Call) -> Answer | None:
        """The answer, or None where the run stops first."""
        body = self._body(call)
        data = msgspec.json.encode(body)
        # A token has at least one byte, so no prompt has more than these.
        most = (len(data), int(body[call.endpoint.limit_as]))
        tries = waits = 0
        while True:
            sent_at = await server.pace.enter()
            try:
                if self._stopping or not await self._reserve(call.endpoint, most):
                    return None
                result, latency_ms = await server.client.chat(data)
            finally:
                server.pace.leave()
            used = _used(result, data, most)
            self._purse.settle(most, used, call.endpoint.price)
            self._settled.set()
            if isinstance(result, Reply):
                server.pace.answered()
                server.answered.add(call.endpoint.model)
                server.in_a_row = 0
                return _answer(result, used, latency_ms)
            busy = result.status in _BUSY and result.again
            if busy:
                server.pace.busy(sent_at, result.wait_s)
            else:
                tries += 1
            if self._hopeless(server, call.endpoint, result) or self._stopping:
                return None
            if not result.again or tries >= self._tries(server):
                return self._give_up(server, call.endpoint, result)
            await self._pause(waits, result.wait_s)
            waits += 1

    async def _reserve(self, endpoint: Endpoint, most: tuple[int, int]) -> bool:
        while not self._stopping:
            fits = self._purse.reserve(most, endpoint.price)
            if fits == "yes":
                return True
            if fits == "no":
                self._spent = f"the budget ({self._purse.limits()}) is spent: {self._purse.spent()}"
                self._halt()
                return False
            self._settled.clear()
            await self._settled.wait()
        return False

    def _tries(self, server: _Server) -> int:
        return self._running.tries if server.answered else min(_FIRST_TRIES, self._running.tries)

    def _hopeless(self, server: _Server, endpoint: Endpoint, failure: Failure) -> bool:
        """Whether no request can succeed, so that the run stops."""
        running = self._running
        if failure.hopeless and (failure.status in _BAD_KEY or endpoint.model not in server.answered):
            fix = _FIXES.get(failure.status or 0, "check `base_url`; `{doctor}` tries it out")
            named = fix.format(doctor=_doctor(endpoint), key=endpoint.key_env or "key_env (none is named now)")
            self._stop(f"{endpoint.model} can't be asked: {failure.detail}", endpoint, named)
        elif (failure.wait_s or 0) > running.max_wait_s:
            what = f"the endpoint asks to be left alone for {failure.wait_s:,.0f} s: {failure.detail}"
            self._stop(what, endpoint, "come back later, or raise running.max_wait_s")
        elif server.pace.busy_since and time.monotonic() - server.pace.busy_since > running.patience_s:
            what = f"the endpoint said nothing but that it is busy for {running.patience_s:,.0f} s: {failure.detail}"
            self._stop(what, endpoint, "lower running.concurrency, come back later, or raise running.patience_s")
        return self._trouble is not None

    def _give_up(self, server: _Server, endpoint: Endpoint, failure: Failure) -> Answer | None:
        server.in_a_row += 1
        absent = not server.answered and failure.status is None and not failure.charged
        patience = self._running.give_up_after if server.answered else min(_FIRST, self._running.give_up_after)
        if absent or server.in_a_row >= patience:
            count = f"{server.in_a_row} requests in a row got no answer, the last: " if not absent else ""
            fix = f"see to it that it runs there; `{_doctor(endpoint)}` tries it out"
            self._stop(f"{count}{failure.detail}", endpoint, fix)
            return None
        return failed(failure.detail)

    async def _pause(self, waits: int, asked_s: float | None) -> None:
        """Before the next try. Half of it is chance, so that requests don't come back all at once."""
        running = self._running
        own_s = min(running.max_wait_s, running.wait_s * 2 ** min(waits, 30))
        # A wait that the endpoint asked for holds everybody at the gate.
        wait_s = own_s * random.uniform(0.5, 1.0) if asked_s is None else random.uniform(0, min(own_s, running.wait_s))
        until = time.monotonic() + wait_s
        while not self._stopping and (left_s := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, 0.2))  # how soon a stop is noticed


def _used(result: Reply | Failure, data: bytes, most: tuple[int, int]) -> tuple[int, int]:
    """Tokens of the prompt and the answer: as the endpoint counts, else by their length."""
    if isinstance(result, Failure):
        return most if result.charged else (0, 0)
    prompt, completion = result.prompt_tokens, result.completion_tokens
    guess = (len(data), len(result.text.encode("utf-8", "replace")))
    return (
        math.ceil(guess[0] / _BYTES_PER_TOKEN) if prompt is None else prompt,
        math.ceil(guess[1] / _BYTES_PER_TOKEN) if completion is None else completion,
    )


def _answer(reply: Reply, used: tuple[int, int], latency_ms: float) -> Answer:
    return Answer(
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=used[0],
        completion_tokens=used[1],
        estimated=reply.prompt_tokens is None,
        model=reply.model,
        latency_ms=round(latency_ms, 1),
    )


@contextmanager
def _interrupts(halt: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `halt` once; the second one ends as it does elsewhere."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        before.clear()

    def first() -> None:
        restore()
        halt()

    with suppress(ValueError, RuntimeError):  # only the main thread gets signals
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, first)
    try:
        yield
    finally:
        restore()


def _doctor(endpoint: Endpoint) -> str:
    """The command that tries out this endpoint."""
    key = f" --key-env {endpoint.key_env}" if endpoint.key_env else ""
    return f"evalkit doctor {endpoint.base_url} --model {shlex.quote(endpoint.model)}{key}"
