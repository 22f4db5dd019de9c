"""A run's weights never take the place of a folder that no training wrote, nor of the base."""

from pathlib import Path

import pytest

from curate.core.errors import ConfigError
from trainer.inputs import check_output
from trainer.run.record import ADAPTER, MODEL, STEPS


def test_a_folder_of_the_users_stays(tmp_path: Path) -> None:
    (tmp_path / ADAPTER).mkdir()
    with pytest.raises(ConfigError, match="was not written there by this command"):
        check_output(tmp_path, [])
    (tmp_path / STEPS).write_text("")  # a training was here
    check_output(tmp_path, [])


@pytest.mark.parametrize("read", [MODEL, f"{MODEL}/train.jsonl", f"x/../{ADAPTER}/base"])
def test_what_is_read_does_not_lie_where_weights_go(tmp_path: Path, read: str) -> None:
    with pytest.raises(ConfigError, match="would be written over"):
        check_output(tmp_path, [tmp_path / read])


def test_rows_beside_the_weights_are_fine(tmp_path: Path) -> None:
    check_output(tmp_path, [tmp_path / "train.jsonl", tmp_path / "base"])
