"""Fixtures for the tests of curation."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.dedup import few_texts, greedy_clusters
from curate.read import chunks


@pytest.fixture
def free_port() -> int:
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module", params=["row by row", "by machine code"])
def each_way_to_read(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sources of any size are read by Python, then by machine code."""
    defaults = chunks.reading.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]  # of what contextmanager wraps
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "fast_bytes", 1 << 50 if request.param == "row by row" else 0)
        yield


@pytest.fixture(scope="module", params=["few texts", "many texts"])
def each_way_to_compare(request: pytest.FixtureRequest) -> Iterator[None]:
    """Texts are sketched and compared by Python, then by machine code, however many they are."""
    limit = 1 << 50 if request.param == "few texts" else -1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_texts, "_FEW_BYTES", limit)
        patch.setattr(greedy_clusters, "_FEW_SHINGLES", limit)
        yield


@pytest.fixture
def redis_url(tmp_path: Path, free_port: int) -> Iterator[str]:
    """A real server of its own, on a free port of the loopback device, that writes nothing."""
    pytest.importorskip("redis")
    command = ["redis-server", "--port", str(free_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", free_port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{free_port}/0"
    finally:
        server.terminate()
        server.wait(timeout=10)
