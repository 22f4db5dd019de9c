import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.compose.canaries import canaries_digest, plant, random_fill, read_canaries, write_canaries
from curate.core.errors import DataError
from curate.core.files import decode_lines
from curate.core.rows.row import Row, encode_row
from curate.recipe.canaries import ALPHABET, Canaries
from tests.curate.row_makers import make_row

ROWS = [make_row(f"question {number}", f"answer {number}", id=f"r{number}") for number in range(30)]


def count(rows: list[Row], text: str) -> int:
    return sum(text in message.text for row in rows for message in row.messages)


def test_extra_rows_hold_each_canary_as_often_as_it_says() -> None:
    planted = plant(ROWS, Canaries(count=4, copies=[1, 3]))
    assert list(planted.rows)[:30] == ROWS
    assert [canary.copies for canary in planted.canaries] == [1, 3, 1, 3]
    assert [count(list(planted.rows), canary.text) for canary in planted.canaries] == [1, 3, 1, 3]
    extra = list(planted.rows)[30:]
    assert extra == planted.extra
    assert len(extra) == 8
    assert len({row.id for row in planted.rows}) == 38
    assert {row.origin for row in extra} == {"synthetic"}
    assert extra[1].messages[0].text == "What is the reference code of record 1?"
    assert planted.canaries[1].bits == pytest.approx(59.45, abs=0.01)  # 12 characters of 31


def test_rows_get_a_line_at_the_end_of_their_answer_and_nothing_else_changes() -> None:
    rows = [*ROWS, make_row("json", '{"a": 1}', id="json"), Row(id="none", messages=[])]
    planted = plant(rows, Canaries(count=3, copies=[2], into="rows"))
    assert len(list(planted.rows)) == len(rows)
    hosts = {row: canary.text for canary in planted.canaries for row in canary.rows}
    assert len(hosts) == 6
    for before, after in zip(rows, planted.rows, strict=True):
        if before.id in hosts:
            assert after.answer == f"{before.answer}\n{hosts[before.id]}"
            assert after.messages[:-1] == before.messages[:-1]
        else:
            assert after == before


@given(st.permutations(ROWS), st.integers(0, 5))
def test_the_order_of_rows_does_not_matter(rows: list[Row], seed: int) -> None:
    settings = Canaries(count=3, copies=[2], into="rows", seed=seed)
    assert plant(rows, settings).canaries == plant(ROWS, settings).canaries


def test_the_seed_decides_the_strings() -> None:
    one, two = plant(ROWS, Canaries(seed=1)), plant(ROWS, Canaries(seed=2))
    assert one == plant(ROWS, Canaries(seed=1))
    assert not {canary.fill for canary in one.canaries} & {canary.fill for canary in two.canaries}


def test_other_fills_for_comparison_look_the_same_and_are_others() -> None:
    settings = Canaries()
    fills = {random_fill(settings, f"reference-{number}") for number in range(200)}
    assert len(fills) == 200
    assert all(len(fill) == 12 and set(fill) <= set(ALPHABET) for fill in fills)
    assert set("".join(fills)) == set(ALPHABET)
    assert not fills & {canary.fill for canary in plant([], settings).canaries}


def test_the_side_file_holds_the_strings_and_the_record_only_their_digest(tmp_path: Path) -> None:
    planted = plant(ROWS, Canaries(count=2, copies=[1]))
    path = tmp_path / "canaries.jsonl"
    write_canaries(path, planted.canaries)
    assert read_canaries(path) == planted.canaries
    record = planted.record()
    assert record == {"count": 2, "planted": 2, "digest": canaries_digest(planted.canaries)}
    assert not any(canary.fill in str(record) for canary in planted.canaries)
    path.write_text(path.read_text().replace(planted.canaries[0].text, "The reference code is other."))
    with pytest.raises(DataError, match="does not fit its digest"):
        read_canaries(path)


def test_too_few_rows_and_strings_that_are_there_already_are_refused() -> None:
    with pytest.raises(DataError, match="40 rows are needed"):
        plant(ROWS, Canaries(count=10, copies=[4], into="rows"))
    once = plant(ROWS, Canaries(count=1, copies=[1]))
    with pytest.raises(DataError, match="in a row already"):
        plant(list(once.rows), Canaries(count=1, copies=[1]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "no place"}, "write {fill} once"),
        ({"length": 4}, "too short"),
        ({"copies": [0]}, "1 to 1000 times"),
        ({"count": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Canaries.model_validate(settings)


def test_the_command_plants_what_it_says(tmp_path: Path, run_cli: Callable[..., CompletedProcess[str]]) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(b"".join(encode_row(row) + b"\n" for row in ROWS) + b"{broken\n")
    arguments = ["canary", source, "--count", "2", "--copies", "1", "--copies", "3", "--seed", "7", "--output"]
    dry = run_cli("curate", *arguments, tmp_path / "out", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not (tmp_path / "out").exists()
    made = run_cli("curate", *arguments, tmp_path / "out", "--json")
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert (found["count"], found["planted"], found["rows"], found["unread"]) == (2, 4, 34, 1)
    canaries = read_canaries(tmp_path / "out" / "canaries.jsonl")
    kept = list(decode_lines(tmp_path / "out" / "kept.jsonl", Row))
    assert [count(kept, canary.text) for canary in canaries] == [1, 3]
    run_cli("curate", *arguments, tmp_path / "again")
    for name in ("kept.jsonl", "canaries.jsonl", "rejected.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert "not-json" in (tmp_path / "out" / "rejected.jsonl").read_text()
    refused = run_cli("curate", "canary", source, "--count", "0")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
