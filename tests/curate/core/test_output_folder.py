"""Outputs never take the place of what is read, nor of files that the user put there."""

from pathlib import Path

import pytest

from curate.core.errors import ConfigError
from curate.core.output_folder import check_apart, check_contents, check_unclaimed


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "rows.jsonl"
    path.parent.mkdir()
    path.write_text("{}\n")
    return path


@pytest.mark.parametrize("output", ["data", ".", "data/../data", "link", "data/rows.jsonl", "other/../link/."])
def test_an_output_that_holds_what_is_read_is_refused_by_any_path(tmp_path: Path, rows: Path, output: str) -> None:
    (tmp_path / "link").symlink_to(rows.parent)
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError) as caught:
        check_apart(tmp_path / output, [rows])
    assert caught.value.where == str(rows)
    assert "--output" in str(caught.value.fix)


def test_what_is_read_through_a_link_is_found(tmp_path: Path, rows: Path) -> None:
    (tmp_path / "linked.jsonl").symlink_to(rows)
    with pytest.raises(ConfigError):
        check_apart(rows.parent, [tmp_path / "linked.jsonl"])


@pytest.mark.parametrize("output", ["dataset", "data-2", "data/dataset", "rows.jsonl"])
def test_another_folder_is_fine(tmp_path: Path, rows: Path, output: str) -> None:
    check_apart(tmp_path / output, [rows])


def test_a_file_beside_what_is_written_is_refused_and_one_below_is_not(tmp_path: Path, rows: Path) -> None:
    check_contents(tmp_path, [rows])
    with pytest.raises(ConfigError, match="the output folder is its own"):
        check_contents(rows.parent, [rows])


def test_names_that_are_taken_are_refused_unless_they_are_ours(tmp_path: Path) -> None:
    (tmp_path / "card.md").symlink_to("nowhere")
    check_unclaimed(tmp_path, ["train.jsonl"], [])
    check_unclaimed(tmp_path, ["train.jsonl", "card.md"], ["card.md"])
    with pytest.raises(ConfigError, match=r"card\.md is in the output folder already"):
        check_unclaimed(tmp_path, ["train.jsonl", "card.md"], [])
