from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.core.chat.base_model import BaseModel
from curate.core.files import write_lines
from curate.core.rows.row import Message, Row, encode_row
from tests.models import tiny_base
from trainer.config import TrainConfig
from trainer.inputs import Inputs, find_inputs

MakeInputs = Callable[..., Inputs]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """A tiny random Llama with ChatML."""
    folder = tiny_base(tmp_path_factory.mktemp("bases") / "tiny")
    return BaseModel(str(folder), folder=folder)


def make_row(number: int, answer: str | None = None) -> Row:
    """A short row, of a length that depends on its number."""
    question = f"{number}? " + "so " * (number % 5)
    return Row(
        id=f"row-{number}", messages=[Message("user", question), Message("assistant", answer or f"yes {number}")]
    )


def write_rows(path: Path, rows: list[Row]) -> Path:
    write_lines(path, map(encode_row, rows))
    return path


@pytest.fixture
def make_inputs(tmp_path: Path, tiny: BaseModel) -> MakeInputs:
    """Inputs for a training of the tiny model on 20 rows, 4 held out, in a folder of their own."""
    write_rows(tmp_path / "data" / "train.jsonl", [make_row(i) for i in range(20)])
    write_rows(tmp_path / "data" / "val.jsonl", [make_row(i) for i in range(100, 104)])

    def make(**changed: Any) -> Inputs:
        settings = {
            "base": str(tiny.folder),
            "dataset": "data",
            "output": "run",
            "method": "lora",
            "lora": {"r": 4, "alpha": 8},
            "batch_rows": 4,
            "learning_rate": 1e-2,
            "threads": 1,
        }
        return find_inputs(TrainConfig.model_validate(settings | changed), tmp_path)

    return make
