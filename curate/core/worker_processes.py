"""Work in processes of their own, its results in order: they end with the process that started them."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from curate.core.errors import ServiceError

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 16  # pieces of work that wait for their turn: enough that no process ever does


def usable_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers(Generic[T, R]):
    """Processes, each with a function of its own that does the work."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def in_order(self, pieces: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Each piece with what is made of it, in the order of the pieces, some always being worked on."""
        waiting: deque[tuple[T, Future[R]]] = deque()
        for piece in pieces:
            waiting.append((piece, self._pool.submit(_work, piece)))
            if len(waiting) > _AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


@contextmanager
def workers(count: int, make: Callable[..., Callable[[T], R]], *given: Any) -> Iterator[Workers[T, R]]:
    """As many processes, each of which does with a piece what its own `make(*given)` does.

    Raises: ServiceError where one was ended from outside.
    """
    pool = ProcessPoolExecutor(count, _start_method(), _begin, (make, given))
    try:
        pool.submit(int)  # the processes start now, while this one has no other threads
        yield Workers(pool)
    except BrokenProcessPool as error:
        raise ServiceError(
            "a process that worked on rows was ended from outside",
            fix="free some memory and run the same command again",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_method() -> multiprocessing.context.BaseContext:
    """Forking costs nothing, but copies locks that other threads hold: where there are some, processes start anew."""
    alone = threading.active_count() == 1 and not {"polars", "torch"} & sys.modules.keys()
    fork = alone and "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if fork else "spawn")


_made: list[Callable[[Any], Any]] = []  # of a process: what does its work


def _begin(make: Callable[..., Callable[[Any], Any]], given: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told too, and ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _made[:] = [make(*given)]


def _work(piece: Any) -> Any:
    return _made[0](piece)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
