"""How many requests one endpoint gets at a time: fewer while it says that it is busy, more again when it answers.

Additive increase, multiplicative decrease, as in TCP (Chiu and Jain 1989). The first request goes alone until the
endpoint is known to be there: a wrong key or a dead address costs one request, not as many as fit in flight. Then the
others follow one by one: what is sent at one moment comes back at one moment, and waits for its turn on both sides.
"""

import asyncio
import time
from collections import deque

_LESS = 0.5  # of the limit is left when the endpoint says that it is busy
_OPENING_S = 0.05  # from the first request to as many as may be in flight: short beside any answer
_STEP_S = 0.001  # in which it opens; timers are no finer


class Pace:
    """The gate in front of one endpoint, for the tasks of one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = 1.0
        self._closed = self._opening = False
        self._opened_at = 0.0
        self._quiet_until = 0.0
        self._cut_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0
        self.busy_since: float | None = None
        """When the endpoint began to say nothing but that it is busy (`time.monotonic`); None where it answers."""

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return max(1, int(self._limit))

    @property
    def slowed(self) -> bool:
        """Whether the endpoint has said that it is busy, and the pace has not come back since."""
        return self._opened_at > 0 and not self._opening and self.limit < self._most

    async def enter(self) -> float:
        """Wait for a place, and take it. Returns when (`time.monotonic`)."""
        while not self._open():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.in_flight += 1
        return time.monotonic()

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self.wake()

    def answered(self) -> None:
        """The endpoint gave an answer."""
        self.busy_since = None
        if not self._opened_at:
            self.open()
        elif not self._opening:
            self._limit = min(self._most, self._limit + 1 / self._limit)

    def open(self) -> None:
        """The endpoint is known to be there: let the others follow."""
        if not self._opened_at:
            self._opened_at = time.monotonic()
            self._opening = True
            self._open_further()

    def _open_further(self) -> None:
        if self._opening:
            share = min(1.0, (time.monotonic() - self._opened_at) / _OPENING_S)
            self._limit = 1 + share * (self._most - 1)
            self._opening = share < 1
            self.wake()
            asyncio.get_running_loop().call_later(_STEP_S, self._open_further)

    def busy(self, sent_at: float, wait_s: float | None) -> None:
        """The endpoint was too busy for a request sent at `sent_at`, and asks to be left alone for `wait_s`."""
        now = time.monotonic()
        self.busy_since = self.busy_since or now
        if sent_at >= self._cut_at:  # what was sent before the last cut says nothing about the pace since
            self._opening = False
            self._limit = max(1.0, self._limit * _LESS)
            self._cut_at = now
        if wait_s:
            self._quiet_until = max(self._quiet_until, now + wait_s)

    def close(self) -> None:
        """Let everybody in at once: there is nothing left to ask."""
        self._closed = True
        self.wake()

    def wake(self) -> None:
        """Let in whoever may enter."""
        free = len(self._waiting) if self._closed else self.limit - self.in_flight
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    def _open(self) -> bool:
        if self._closed:
            return True
        wait_s = self._quiet_until - time.monotonic()
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self.wake)
            return False
        return self.in_flight < self.limit
