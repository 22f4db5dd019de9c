"""The card: what people read who decide whether to use a dataset."""

from pathlib import Path

from curate.build.build import build
from tests.curate.row_makers import chat, write_recipe

QUESTION = "Which of the two gates of the old harbour is open on Sundays in the winter?"


def test_conflicts_are_shown_with_their_texts_unless_they_are_held_out(tmp_path: Path) -> None:
    rows = [chat(QUESTION, "The | northern one."), chat(QUESTION, "Neither of them.")]
    shares = {"split": {"shares": {"train": 1, "val": 0, "test": 0}}}
    card = (build(write_recipe(tmp_path, rows, shares)).output / "card.md").read_text()
    section = card[card.index("## Conflicts") : card.index("## Lengths")]
    assert section.count(QUESTION) == 2
    assert "Neither of them." in section
    assert "northern one" in section
    shares = {"split": {"shares": {"train": 0, "val": 0, "test": 1}}}
    card = (build(write_recipe(tmp_path, rows, shares)).output / "card.md").read_text()
    assert QUESTION not in card
    assert "(not in train)" in card
