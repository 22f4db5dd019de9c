import asyncio
import time
from collections.abc import Coroutine

from evalkit.backends.pace import Pace


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


def test_the_first_request_goes_alone_and_its_answer_opens_the_gate() -> None:
    async def test() -> None:
        pace = Pace(8)
        await pace.enter()
        second = asyncio.ensure_future(pace.enter())
        await asyncio.sleep(0)
        assert not second.done()
        pace.answered()
        pace.leave()
        await second
        assert (pace.limit, pace.in_flight) == (8, 1)

    run(test())


def test_busy_halves_the_pace_once_for_all_that_were_in_flight_and_answers_raise_it_again() -> None:
    async def test() -> None:
        pace = Pace(64)
        pace.answered()
        sent = [await pace.enter() for _ in range(3)]
        for sent_at in sent:
            pace.busy(sent_at, None)
        assert pace.limit == 32
        pace.busy(time.monotonic(), None)
        assert pace.limit == 16
        for _ in range(200):
            pace.answered()
        assert 24 < pace.limit < 40
        for _ in range(3000):
            pace.answered()
        assert pace.limit == 64

    run(test())


def test_the_pace_never_falls_below_one() -> None:
    async def test() -> None:
        pace = Pace(4)
        for _ in range(50):
            pace.busy(time.monotonic(), None)
        await pace.enter()

    run(test())


def test_a_wait_that_is_asked_for_holds_everybody_and_then_lets_them_in() -> None:
    async def test() -> None:
        pace = Pace(4)
        pace.answered()
        pace.busy(time.monotonic(), 0.05)
        held = [asyncio.ensure_future(pace.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in held)
        await asyncio.wait(held[:2])
        pace.leave()
        pace.leave()
        await asyncio.gather(*held)

    run(test())


def test_closing_lets_everybody_look_around() -> None:
    async def test() -> None:
        pace = Pace(1)
        await pace.enter()
        held = [asyncio.ensure_future(pace.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        pace.close()
        await asyncio.gather(*held)

    run(test())
