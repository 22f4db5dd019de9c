"""Fixtures for the tests of curation."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def free_port() -> int:
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
