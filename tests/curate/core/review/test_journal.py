"""The journal on disk: torn lines, other processes, folders that can't be written, reviewers put together."""

import json
import os
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from curate.cli.main import cli
from curate.core.errors import DataError, ProvenanceError, ServiceError
from curate.core.review.decisions import FILE, Journal, read_events
from curate.core.review.merge import kappa, merge
from tests.conftest import Run
from tests.curate.core.review.decks import make_deck, on_disk, record, state, write_rows


def plain(target: Path, keys: list[str], *more: str) -> list[dict[str, object]]:
    """A review in plain mode; returns the lines of its journal."""
    done = CliRunner().invoke(cli, ["review", str(target), "--plain", *more], input="\n".join([*keys, ""]))
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in (target.parent / FILE).read_text().splitlines()]


def test_every_line_has_what_the_format_says(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [record(n) for n in range(3)])
    lines = plain(path, ["a", "n odd", "x", "u"], "--reviewer", "ann")
    for number, line in enumerate(lines, start=1):
        assert list(line)[:6] == ["seq", "at", "reviewer", "item", "digest", "action"]
        assert (line["seq"], line["reviewer"]) == (number, "ann")
    assert [line["action"] for line in lines] == ["keep", "note", "drop", "undo"]
    assert lines[3]["to"] == 2  # the note holds again


def test_a_torn_last_line_is_repaired(tmp_path: Path) -> None:
    deck = make_deck(tmp_path)
    session, journal = on_disk(deck, tmp_path / FILE)
    session.decide(deck.kind.choices[0])
    journal.__exit__(None, None, None)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + whole[:40])
    session, journal = on_disk(deck, tmp_path / FILE)
    assert session.done == 1
    session.decide(deck.kind.choices[1])
    journal.__exit__(None, None, None)
    assert [event.seq for event in read_events(tmp_path / FILE)] == [1, 2]


def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{}\n")
    with pytest.raises(ProvenanceError, match="not a line of a journal") as caught:
        on_disk(make_deck(tmp_path), tmp_path / FILE)
    assert f"{FILE}:1" in str(caught.value.where)


def test_two_reviews_do_not_write_to_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / FILE), pytest.raises(ServiceError, match="another run"), Journal(tmp_path / FILE):
        pass


def test_a_changed_row_is_pending_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [record(0), record(1)])
    plain(path, ["x", "a"])
    write_rows(path, [record(0, label="new"), record(1)])
    done = CliRunner().invoke(cli, ["review", str(path), "--plain"], input="q\n")
    assert "1 done, 1 left" in done.stdout


def test_a_place_that_cannot_be_written_says_to_name_another(tmp_path: Path, run_cli: Run) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [record(0)])
    (tmp_path / "file").write_text("")
    done = run_cli("curate", "review", path, "--plain", "--journal", tmp_path / "file" / FILE, input="a\n")
    assert done.returncode == 3
    assert "name another place with --journal" in done.stderr
    other = run_cli("curate", "review", path, "--plain", "--journal", tmp_path / "new" / "mine.jsonl", input="a\n")
    assert other.returncode == 0
    assert len(read_events(tmp_path / "new" / "mine.jsonl")) == 1


def test_without_a_terminal_it_says_so(tmp_path: Path, run_cli: Run) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [record(0)])
    done = run_cli("curate", "review", path, input="a\n")
    assert done.returncode == 2
    assert "--plain" in done.stderr
    assert not (tmp_path / FILE).exists()


def test_nothing_to_review_is_an_error(tmp_path: Path, run_cli: Run) -> None:
    done = run_cli("curate", "review", write_rows(tmp_path / "rows.jsonl", []), "--plain", input="")
    assert done.returncode == 3
    assert "there are no rows to review" in done.stderr


def test_plain_mode_does_the_same_work(tmp_path: Path) -> None:
    rows = [record(n, label=("refund", "cancel")[n % 2]) for n in range(8)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    keys = "a|x|3|space|/ label:cancel|b drop|yes|u|/|g 8|keep|s length|colour|/ x:y|b nothing|v|m|d|t|l|?|c|[|]|k|j"
    lines = plain(path, [*keys.split("|"), "s size", "g x", "q", "x"])
    session, journal = on_disk(make_deck(tmp_path), tmp_path / FILE)
    journal.__exit__(None, None, None)
    expected = {0: ("keep", "", ""), 1: ("drop", "", ""), 2: ("drop", "off topic", ""), 3: ("skip", "", "")}
    assert state(session) == {**expected, 7: ("keep", "", "")}
    assert len(lines) == 4 + 4 + 4 + 1


def test_the_editor_of_the_environment(tmp_path: Path, run_cli: Run) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [record(0), record(1)])
    editor = {**os.environ, "EDITOR": "sed -i 's/Answer 0/A better answer/'"}
    editor.pop("VISUAL", None)
    done = run_cli("curate", "review", path, "--plain", input="e\nq\n", env=editor)
    assert done.returncode == 0, done.stderr
    [event] = read_events(tmp_path / FILE)
    assert event.row is not None
    assert event.row.answer == "A better answer."
    assert event.row.meta == {"parent": event.digest}
    broken = {**editor, "EDITOR": "sed -i 's/^=== assistant ===$//'"}
    done = run_cli("curate", "review", path, "--plain", input="e\nq\n", env=broken)
    assert "not accepted: no-answer" in done.stdout
    assert len(read_events(tmp_path / FILE)) == 1


def test_reviewers_are_merged_where_they_agree(tmp_path: Path) -> None:
    for name, keys in (("ann", "axxf"), ("bob", "aax")):
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name / "rows.jsonl", [record(n) for n in range(5)])
        plain(tmp_path / name / "rows.jsonl", list(keys), "--reviewer", name)
    journals = [tmp_path / name / FILE for name in ("ann", "bob")]
    merged = merge(journals)
    assert [(event.item, event.action, event.reviewer) for event in merged.events] == [
        ("r0", "keep", "ann + bob"), ("r2", "drop", "ann + bob"), ("r3", "flag", "ann"),
    ]  # fmt: skip
    assert [item for item, _ in merged.conflicts] == ["r1"]
    [agreement] = merged.agreements
    assert (agreement.items, agreement.agreed) == (3, 2)
    done = CliRunner().invoke(
        cli, ["review", "merge", *map(str, journals), "--output", str(tmp_path / "both.jsonl"), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert len(read_events(tmp_path / "both.jsonl")) == 3
    with pytest.raises(DataError, match="no such journal"):
        merge([tmp_path / "none.jsonl"])


def test_kappa_is_that_of_an_independent_library() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = random.Random(2)
    for _ in range(20):
        pairs = [(draw.choice("abc"), draw.choice("abcd")) for _ in range(draw.randrange(2, 60))]
        expected = metrics.cohen_kappa_score(*zip(*pairs, strict=True))
        assert kappa(pairs) == pytest.approx(expected)
    assert kappa([("a", "a")]) is None
    assert kappa([]) is None
