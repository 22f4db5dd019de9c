import threading
from collections.abc import Iterator

import pytest
import torch

from curate.core.console import Advance
from evalkit.backends.threads import side_by_side

Moves = list[tuple[float, str, str]]


def record(moves: Moves) -> Advance:
    def advance(steps: float = 1, note: str = "") -> None:
        moves.append((steps, note, threading.current_thread().name))

    return advance


def doubled(share: list[int], advance: Advance) -> Iterator[tuple[int, int]]:
    for number in share:
        advance(1, f"at {number}")
        yield 2 * number, torch.get_num_threads()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_share_is_worked_on_and_progress_is_told_on_the_callers_thread(count: int) -> None:
    moves: Moves = []
    threads = torch.get_num_threads()
    shares = [list(range(start, 30, count)) for start in range(count)]
    made = list(side_by_side(doubled, shares, record(moves)))
    assert sorted(value for value, _ in made) == list(range(0, 60, 2))
    assert sum(steps for steps, _, _ in moves) == 30
    assert {name for _, _, name in moves} == {threading.current_thread().name}
    if count > 1:
        assert {used for _, used in made} == {1}
    assert torch.get_num_threads() == threads


def test_what_a_share_raises_reaches_the_caller_and_stops_the_others() -> None:
    ended = threading.Event()

    def work(share: int, advance: Advance) -> Iterator[int]:
        if share == 0:
            raise ValueError("share 0 broke")
        try:
            while True:
                advance(0)
        finally:
            ended.set()
        yield share

    with pytest.raises(ValueError, match="share 0 broke"):
        list(side_by_side(work, [0, 1], record([])))
    assert ended.is_set()


def test_leaving_early_stops_the_shares() -> None:
    ended = threading.Barrier(3)

    def work(share: int, advance: Advance) -> Iterator[int]:
        try:
            yield share
            while True:
                advance(0)
        finally:
            ended.wait(timeout=60)

    results = side_by_side(work, [0, 1], record([]))
    assert next(results) in {0, 1}
    closer = threading.Thread(target=ended.wait, args=(60,))
    closer.start()
    results.close()  # type: ignore[attr-defined]  # side_by_side is a generator
    closer.join(timeout=60)
    assert not ended.broken
    assert not closer.is_alive()
