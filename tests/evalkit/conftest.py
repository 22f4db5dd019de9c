"""Fixtures for evaluations in small."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.evalkit.tiny_world import make_world


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small only lose by sharing their work among threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, dataset, run and suite.yaml, made once; tests take copies."""
    return make_world(tmp_path_factory.mktemp("world")).parent


@pytest.fixture
def world(made_world: Path, tmp_path: Path) -> Path:
    """A copy of the world that a test may change."""
    return Path(shutil.copytree(made_world, tmp_path / "world"))
