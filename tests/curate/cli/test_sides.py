"""The terminal's table of sides: a line a side where that fits, else a line a label."""

import pytest

from curate.cli.stages import print_sides


def printed(labels: dict[str, int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    print_sides({"train": labels, "val": dict.fromkeys(labels, 1), "test": {}}, "see card.md")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    return lines


def test_few_labels_stand_side_by_side(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed({"[red]": 3, "blue": 12}, capsys, monkeypatch)
    assert [line.split() for line in lines] == [
        ["side", "[red]", "blue", "all"], ["train", "3", "12", "15"], ["val", "1", "1", "2"], ["test", "0", "0", "0"],
    ]  # fmt: skip


def test_of_many_labels_the_largest_stand_below_one_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed({f"label_{number:02}": 100 + number for number in range(40)}, capsys, monkeypatch)
    assert lines[0].split() == ["label", "train", "val", "test", "all"]
    assert lines[1].split() == ["label_39", "139", "1", "0", "140"]
    assert lines[-2].split() == ["all", str(40 * 100 + 780), "40", "0", str(40 * 100 + 820)]
    assert lines[-1] == "and 20 more labels, with fewer rows: see card.md"
    assert len(lines) == 23


def test_long_labels_are_cut_and_numbers_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed({"a label that is a sentence " * 5: 1234567, "short": 1}, capsys, monkeypatch)
    assert lines[1].startswith("a label that is")
    assert lines[1].split()[-4:] == ["1234567", "1", "0", "1234568"]
    assert lines[-1].startswith("all")
