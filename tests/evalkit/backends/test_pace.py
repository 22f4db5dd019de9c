import asyncio
import time
from collections.abc import Callable, Coroutine

from evalkit.backends.pace import Pace


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


async def opened(most: int) -> Pace:
    """A gate that its first answer has opened, as far as it goes."""
    pace = Pace(most)
    pace.answered()
    while pace.limit < most:
        await asyncio.sleep(0.001)
    return pace


def test_the_first_request_goes_alone_until_an_answer_or_a_word_opens_the_gate() -> None:
    async def test(word: Callable[[Pace], None]) -> None:
        pace = Pace(8)
        await pace.enter()
        second = asyncio.ensure_future(pace.enter())
        await asyncio.sleep(0.02)
        assert not second.done()
        word(pace)
        await second
        assert pace.in_flight == 2

    run(test(Pace.answered))
    run(test(Pace.open))


def test_the_gate_opens_one_by_one() -> None:
    async def test() -> None:
        pace = Pace(64)
        entered: list[float] = []

        async def enter() -> None:
            entered.append(await pace.enter())

        tasks = [asyncio.ensure_future(enter()) for _ in range(64)]
        await asyncio.sleep(0)
        pace.open()
        assert (pace.limit, pace.slowed) == (1, False)
        await asyncio.gather(*tasks)
        # The last of 64 may enter 50 ms after the opening, the one in the middle after 25.
        assert entered[-1] - entered[0] >= 0.048
        assert entered[32] - entered[0] >= 0.023
        pace.open()
        assert pace.limit == 64

    run(test())


def test_a_busy_endpoint_stops_the_opening() -> None:
    async def test() -> None:
        pace = Pace(1024)
        pace.open()
        pace.busy(time.monotonic(), None)
        await asyncio.sleep(0.1)
        assert (pace.limit, pace.slowed) == (1, True)

    run(test())


def test_an_endpoint_that_is_busy_at_first_is_opened_by_its_first_answer() -> None:
    async def test() -> None:
        pace = Pace(8)
        pace.busy(time.monotonic(), None)
        assert (pace.limit, pace.slowed) == (1, False)
        pace.answered()
        while pace.limit < 8:
            await asyncio.sleep(0.001)

    run(test())


def test_busy_halves_the_pace_once_for_all_that_were_in_flight_and_answers_raise_it_again() -> None:
    async def test() -> None:
        pace = await opened(64)
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
        pace = await opened(4)
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
