"""Arrays in memory and in files hold the same; spooled bytes come back as they were."""

import multiprocessing
from multiprocessing.queues import SimpleQueue

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.console import Bytes
from curate.table import byte_store
from curate.table.array_allocator import ArrayAllocator
from curate.table.byte_store import ByteSpool


@pytest.mark.parametrize("limit", [None, 1, 1 << 50])
def test_an_array_keeps_what_is_written_when_memory_is_let_go(limit: int | None) -> None:
    allocator = ArrayAllocator(limit)
    made = allocator.filled((300, 70), -1, np.int32)
    assert made.shape == (300, 70)
    made[:, 3] = np.arange(300)
    allocator.settle()
    assert (made[:, 3] == np.arange(300)).all()
    assert (made[:, 4] == -1).all()
    assert (allocator.numbered(1 << 17, np.int32) == np.arange(1 << 17)).all()
    assert allocator.empty(0, np.int64).size == 0


@given(st.lists(st.binary(max_size=40)))
def test_a_spool_gives_back_what_was_put_in(parts: list[bytes]) -> None:
    spool = ByteSpool()
    places = [(spool.add(part), part) for part in parts]
    assert all(spool.read(start, len(part)) == part for start, part in places)


def test_a_spool_that_grew_out_of_memory_still_has_its_first_bytes() -> None:
    spool = ByteSpool()
    first, large = spool.add(b"first"), b"x" * byte_store.FEW_BYTES
    second = spool.add(large)
    last = spool.add(b"last")
    assert spool.read(first, 5) == b"first"
    assert spool.read(second, len(large)) == large
    assert spool.read(last, 4) == b"last"


def add_many(spool: ByteSpool, sign: bytes, places: "SimpleQueue[list[int]]") -> None:
    places.put([spool.add(sign * (1 + number % 7)) for number in range(200)])


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_that_share_a_spool_never_write_over_each_other(method: str) -> None:
    if method == "forkserver":
        pytest.skip("it passes files on as spawn does")
    given = multiprocessing.get_context(method)
    spool = ByteSpool()
    first = spool.add(b"before")
    spool.share()
    queues = [given.SimpleQueue(), given.SimpleQueue()]
    started = [
        given.Process(target=add_many, args=(spool, sign, queue))
        for sign, queue in zip((b"a", b"b"), queues, strict=True)
    ]
    for process in started:
        process.start()
    mine = [spool.add(b"c" * (1 + number % 7)) for number in range(200)]
    for sign, places in zip((b"a", b"b", b"c"), (queues[0].get(), queues[1].get(), mine), strict=True):
        for number, place in enumerate(places):
            assert spool.read(place, 1 + number % 7) == sign * (1 + number % 7)
            assert spool.view()[place : place + 1].tobytes() == sign
    for process in started:
        process.join()
    assert spool.read(first, 6) == b"before"


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5GiB", 3 << 29), ("7k", 7000), ("12", 12), ("3b", 3)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert Bytes().convert(text, None, None) == size


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(Exception, match="is no size"):
        Bytes().convert("much", None, None)
