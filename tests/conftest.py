"""Fixtures and rules for every test."""

import os
import signal

# Models in tests are tiny: they only lose by sharing their work among threads. Read when torch is first loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import ctypes
import gc
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A shell without job control starts what is in its background with Ctrl-C ignored; the commands that tests start and
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
PUBLIC_DATA = ROOT.parent / "shared" / "data"

# A first call may compile machine code or load a library: how long one example takes says nothing here.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.system("chromium")` skips where the program is missing; on CI a missing program is a failure."""
    for mark in item.iter_markers("system"):
        program = mark.args[0]
        if shutil.which(program) is None:
            reason = f"needs the program {program}, which is not installed"
            if os.environ.get("ACIDTEST_REQUIRE_SYSTEM"):
                pytest.fail(reason)
            pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: a worker that begins one of them last would leave the others waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Hundreds of thousands of objects of torch, numba and others stay: no collection has to look at them again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)  # when the file's own fixtures are gone
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After each file its models go, and the system gets their memory back: workers stay small beside one another."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        if (give_back := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # of glibc
            give_back(0)


@pytest.fixture
def public_data() -> Path:
    """The folder of public data sets that lies beside the project on some machines."""
    if not PUBLIC_DATA.is_dir():
        pytest.skip(f"the public data sets are not on this machine ({PUBLIC_DATA.name}/ beside the project)")
    return PUBLIC_DATA


@pytest.fixture
def run_cli() -> Run:
    """Runs a command as a user does, in a process of its own: `run_cli("curate", "build", path, cwd=...)`."""

    def run(program: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        code = f"import runpy, sys; sys.argv[0] = {program!r}; runpy.run_module({program!r}, run_name='__main__')"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 600, **options}
        return subprocess.run(command, check=False, **settings)  # type: ignore[call-overload, no-any-return]

    return run
