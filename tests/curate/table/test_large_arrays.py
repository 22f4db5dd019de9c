"""Arrays in memory and in files hold the same; spooled bytes come back as they were."""

import multiprocessing
import platform
import subprocess
import sys
from multiprocessing.queues import SimpleQueue

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.console import Bytes
from curate.table import byte_store as stored
from curate.table.byte_store import Spool
from curate.table.large_arrays import Room


@pytest.mark.parametrize("limit", [None, 1, 1 << 50])
def test_an_array_keeps_what_is_written_when_memory_is_let_go(limit: int | None) -> None:
    room = Room(limit)
    made = room.filled((300, 70), -1, np.int32)
    assert made.shape == (300, 70)
    made[:, 3] = np.arange(300)
    room.settle()
    assert (made[:, 3] == np.arange(300)).all()
    assert (made[:, 4] == -1).all()
    assert room.empty(0, np.int64).size == 0


@given(st.lists(st.binary(max_size=40)))
def test_a_spool_gives_back_what_was_put_in(parts: list[bytes]) -> None:
    spool = Spool()
    places = [(spool.add(part), part) for part in parts]
    assert all(spool.read(start, len(part)) == part for start, part in places)


def test_a_spool_that_grew_out_of_memory_still_has_its_first_bytes() -> None:
    spool = Spool()
    first, large = spool.add(b"first"), b"x" * stored.FEW_BYTES
    second = spool.add(large)
    last = spool.add(b"last")
    assert spool.read(first, 5) == b"first"
    assert spool.read(second, len(large)) == large
    assert spool.read(last, 4) == b"last"


def add_many(spool: Spool, sign: bytes, places: "SimpleQueue[list[int]]") -> None:
    places.put([spool.add(sign * (1 + number % 7)) for number in range(200)])


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_that_share_a_spool_never_write_over_each_other(method: str) -> None:
    if method == "forkserver":
        pytest.skip("it passes files on as spawn does")
    given = multiprocessing.get_context(method)
    spool = Spool()
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


def test_memory_of_arrays_that_went_goes_back_to_the_system() -> None:
    """Arrays of 4 MB, smaller ones kept between them: what the C library would keep is the size of them all."""
    code = (
        "import os, sys, numpy as np\n"
        "from curate import room\n"
        "if sys.argv[1] == 'give': room.give_back_memory()\n"
        "np.ones(8 << 20, np.uint8)\n"  # from here on the library would keep what is smaller
        "kept, large = [], []\n"
        "for _ in range(32):\n"
        "    large.append(np.ones(4 << 20, np.uint8)); kept.append(np.ones(100_000, np.uint8))\n"  # too large for gaps
        "del large\n"
        # Of address space: what is in memory also depends on what else the machine does.
        "print(int(open('/proc/self/statm').read().split()[0]) * os.sysconf('SC_PAGE_SIZE') >> 20)\n"
    )
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc's malloc is told")
    sizes = [int(subprocess.check_output([sys.executable, "-c", code, how])) for how in ("give", "keep")]
    assert sizes[0] + 100 < sizes[1]
