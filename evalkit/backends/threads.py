"""Shares of a job on threads of their own, their results as they come.

Threads that split every small matrix product of one batch wait for one another hundreds of times per token; batches
side by side don't.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import Generic, TypeVar

from curate.core.console import Advance
from trainer.model.load import threads_of_one

Share = TypeVar("Share")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Result(Generic[Made]):
    value: Made


@dataclass(frozen=True, slots=True)
class _Move:
    steps: float
    note: str


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


class _StoppedError(Exception):
    """Nobody waits for this share's results any more."""


def side_by_side(
    work: Callable[[Share, Advance], Iterator[Made]], shares: Sequence[Share], advance: Advance
) -> Iterator[Made]:
    """What `work` makes of every share, in the order in which it gets ready; each thread has torch to itself.

    `advance` is called on the caller's thread only. Leaving early stops the shares where they next call theirs. Raises
    what `work` raises.
    """
    if len(shares) == 1:
        yield from work(shares[0], advance)
        return
    said: SimpleQueue[_Result[Made] | _Move | _End] = SimpleQueue()
    stopped = Event()

    def tell(steps: float = 1, note: str = "") -> None:
        if stopped.is_set():
            raise _StoppedError
        said.put(_Move(steps, note))

    def run(share: Share) -> None:
        try:
            for made in work(share, tell):
                said.put(_Result(made))
            said.put(_End())
        except BaseException as error:  # noqa: BLE001 - raised again where the results are awaited
            said.put(_End(error))

    with threads_of_one(len(shares)) as pool:
        try:
            for share in shares:
                pool.submit(run, share)
            yield from _heard(said, len(shares), advance)
        finally:
            stopped.set()


def _heard(said: SimpleQueue[_Result[Made] | _Move | _End], running: int, advance: Advance) -> Iterator[Made]:
    while running:
        match said.get():
            case _Result(value):
                yield value
            case _Move(steps, note):
                advance(steps, note)
            case _End(error):
                if error is not None:
                    raise error
                running -= 1
