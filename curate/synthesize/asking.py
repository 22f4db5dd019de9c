"""Asking the teacher: many requests at once, tried again after trouble that passes, none beyond the budget."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from curate.core.endpoint.wire import Failure, Reply
from curate.core.errors import ServiceError
from curate.core.prices import TokenPrice
from curate.core.spending import Purse
from curate.synthesize.config import Teacher as Settings
from curate.synthesize.journal import Journal, Record
from curate.synthesize.requests import Request
from curate.synthesize.teacher import Teacher

_LONGEST_PAUSE_S = 0.2  # how soon a thread that waits notices that the run stops


class Asker:
    """Sends requests and journals what comes back. `failures`: key -> why a request got no reply."""

    def __init__(
        self,
        teacher: Teacher,
        settings: Settings,
        journal: Journal,
        purse: Purse,
        price: TokenPrice | None,
        give_up_after: int,
    ) -> None:
        self._teacher = teacher
        self._settings = settings
        self._journal = journal
        self._purse, self._price = purse, price
        self._give_up_after = give_up_after
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._quiet_until = 0.0
        self._in_a_row = 0
        self._broken: str | None = None
        self.failures: dict[str, str] = {}

    def ask_all(self, requests: Sequence[Request], done: Callable[[], object]) -> None:
        """Ask every request, `done` after each. An interrupt waits for the replies that are on their way.

        Raises: ServiceError where the endpoint can't be used or stopped answering; what came before is journaled.
        """
        pool = ThreadPoolExecutor(max_workers=self._settings.concurrency, thread_name_prefix="teacher")
        try:
            for future in as_completed([pool.submit(self._ask, request) for request in requests]):
                if not future.cancelled():
                    future.result()
                    done()
        finally:
            self._stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if self._broken is not None:
            raise ServiceError(
                self._broken,
                where="teacher",
                fix="see to it and run the same command again: replies that came are kept, none is paid for twice",
            )

    def _ask(self, request: Request) -> None:
        for number in range(self._settings.tries):
            self._wait_for_quiet()
            bounds = (request.most_prompt_tokens, request.most_completion_tokens)
            if self._stopping.is_set() or self._purse.reserve(bounds, self._price) != "yes":
                return
            result = self._try(request, bounds)
            if isinstance(result, Reply):
                with self._lock:
                    self._in_a_row = 0
                    self.failures.pop(request.key, None)
                return
            with self._lock:
                self.failures[request.key] = result.detail
            if result.hopeless:
                self._stop(f"the teacher can't be asked: {result.detail}")
            if not result.again or (result.wait_s or 0) > self._settings.max_wait_s:
                break
            if number + 1 < self._settings.tries:
                self._wait(number, result.wait_s)
        self._count_failure(self.failures[request.key])

    def _try(self, request: Request, bounds: tuple[int, int]) -> Reply | Failure:
        used = bounds
        try:
            most = Record(event="sent", key=request.key, prompt_tokens=bounds[0], completion_tokens=bounds[1])
            self._journal.append(most)
            result = self._teacher.ask(request)
            if isinstance(result, Reply):
                used = (
                    bounds[0] if result.prompt_tokens is None else result.prompt_tokens,
                    bounds[1] if result.completion_tokens is None else result.completion_tokens,
                )
                record = Record(
                    event="reply", key=request.key, prompt_tokens=used[0], completion_tokens=used[1],
                    text=result.text, finish_reason=result.finish_reason, model=result.model,
                )  # fmt: skip
            else:
                used = bounds if result.charged else (0, 0)
                record = Record(
                    event="failed", key=request.key, prompt_tokens=used[0], completion_tokens=used[1],
                    detail=result.detail,
                )  # fmt: skip
            self._journal.append(record)
        finally:
            self._purse.settle(bounds, used, self._price)
        return result

    def _wait(self, number: int, asked_s: float | None) -> None:
        """Wait before the next try. Half of our own waits is chance, so that threads don't come back all at once."""
        settings = self._settings
        own_s = min(settings.max_wait_s, settings.wait_s * 2**number) * random.uniform(0.5, 1.0)
        if asked_s is None:
            self._stopping.wait(own_s)
            return
        with self._lock:
            # The endpoint is busy for everyone, not for this request alone.
            self._quiet_until = max(self._quiet_until, time.monotonic() + asked_s)
        self._stopping.wait(random.uniform(0, min(own_s, settings.wait_s)))

    def _wait_for_quiet(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                left_s = self._quiet_until - time.monotonic()
            if left_s <= 0:
                return
            self._stopping.wait(min(left_s, _LONGEST_PAUSE_S))

    def _count_failure(self, detail: str) -> None:
        with self._lock:
            self._in_a_row += 1
            enough = self._in_a_row >= self._give_up_after
        if enough:
            self._stop(f"{self._give_up_after} requests in a row got no reply; the last: {detail}")

    def _stop(self, why: str) -> None:
        with self._lock:
            self._broken = self._broken or why
        self._stopping.set()
