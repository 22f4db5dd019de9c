import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.core.errors import ConfigError
from curate.core.rows.row import Message, Row, encode_row
from curate.recipe.screens import Screens
from curate.screen.measures import make_measures
from curate.screen.stage import RULES, Summary, redact, screen
from curate.table.stage import StageResult
from tests.curate.row_makers import make_row, select

HERE = Path()
PROSE = "The river runs from the hills to the sea, and in spring it floods the low fields near the old mill."
ROWS = [
    make_row("What is my mail?", "It is bob@example.com.", id="mail"),
    make_row("Say it", "word " * 40),
    make_row("Help me", "I'm sorry, but I can't help with that."),
    make_row("Sprich", "Das ist nicht der Raum, den wir für das Treffen haben."),
    make_row("Plain", PROSE),
    make_row("Empty", "."),
]
EVERYTHING: dict[str, Any] = {
    "personal_data": {},
    "secrets": {},
    "toxicity": {},
    "language": {"expected": ["en"]},
    "repetition": {},
    "refusals": {},
    "boilerplate": {},
    "low_information": {},
}


def run(rows: list[Row], settings: dict[str, Any], folder: Path = HERE, **more: Any) -> StageResult:
    return screen(select(rows), Screens.model_validate(settings), folder, **more)


def values(done: StageResult, name: str) -> list[Any]:
    """What a screen measured of each row, in order."""
    return list(done.measured[name].values())


def summaries(done: StageResult) -> dict[str, Summary]:
    return {summary.screen: summary for summary in msgspec.convert(done.report, list[Summary])}


def with_action(action: str) -> dict[str, Any]:
    return {name: {**settings, "action": action} for name, settings in EVERYTHING.items()}


def test_reporting_keeps_every_row_and_measures_it() -> None:
    done = run(ROWS, EVERYTHING)
    assert list(done.kept.rows) == ROWS
    assert len(done.rejections) == 0
    assert list(done.measured) == list(RULES)
    assert all(list(column) == [row.id for row in ROWS] for column in done.measured.values())
    assert values(done, "personal-data") == [1, 0, 0, 0, 0, 0]
    assert values(done, "language")[3:] == [1, 0, 0.5]
    assert [value is None for value in values(done, "repetition")] == [True, False, True, True, False, True]
    assert values(done, "refusals") == [0, 0, 1, 0, 0, 0]


def test_rejecting_names_the_screen_and_what_is_kept_adds_up() -> None:
    done = run(ROWS, with_action("reject"))
    reasons = {rejection.id: rejection.reason for rejection in done.rejections}
    assert reasons == {
        ROWS[0].id: "personal-data",
        ROWS[1].id: "repetition",
        ROWS[2].id: "refusals",
        ROWS[3].id: "language",
        ROWS[5].id: "low-information",
    }
    assert done.kept.ids() == [ROWS[4].id]
    details = [rejection.detail for rejection in done.rejections]
    assert "1 email; the first at character" in details[0]
    assert "bob@" not in details[0]
    assert "the limit is" in details[1]
    assert details[3] == "de, expected en"
    assert all(rejection.stage == "screen" for rejection in done.rejections)


def test_summaries_count() -> None:
    found = summaries(run(ROWS, EVERYTHING))
    assert found["personal-data"].kinds == {"email": 1}
    assert found["language"].kinds["de"] == 1
    assert sum(found["language"].kinds.values()) == len(ROWS)
    assert (found["repetition"].rows, found["repetition"].unmeasured, found["repetition"].over) == (6, 4, 1)
    assert found["refusals"].kinds == {"cannot-help": 1}


def test_redaction_changes_the_rows_over_the_threshold_and_their_bytes() -> None:
    rows = [make_row("bob@example.com or ann@example.com", id="1"), make_row("bob@example.com", id="2")]
    done = run(rows, {"personal_data": {"action": "redact", "threshold": 1}})
    first, second = done.kept
    assert first.row.messages[0].text == "[EMAIL] or [EMAIL]"
    assert b"@" not in first.raw + first.line
    assert msgspec.json.decode(first.raw, type=Row) == first.row
    assert (second.row, second.raw) == (rows[1], encode_row(rows[1]))
    assert summaries(done)["personal-data"].redacted == 1
    assert len(done.rejections) == 0


def test_a_rejected_row_is_not_redacted_too() -> None:
    rows = [make_row("p", "I'm sorry, but I can't help bob@example.com.")]
    done = run(rows, {"personal_data": {"action": "redact"}, "refusals": {"action": "reject"}})
    assert [rejection.reason for rejection in done.rejections] == ["refusals"]
    assert len(done.kept) == 0


def test_two_redacting_screens_and_own_patterns() -> None:
    settings = {
        "secrets": {"action": "redact", "on": "answer"},
        "personal_data": {"action": "redact", "patterns": {"customer": r"\bK-[0-9]{4}\b"}},
    }
    row = make_row("I am K-1234, bob@example.com", "postgres://bob:s3cretpw@db.example.com for K-1234")
    (kept,) = run([row], settings).kept.rows
    assert kept.messages[0].text == "I am [CUSTOMER], [EMAIL]"
    assert kept.answer == "postgres://[URL-PASSWORD]@db.example.com for [CUSTOMER]"


texts = st.sampled_from(["bob@example.com", "call 212-555-0123", "4111 1111 1111 1111", PROSE]) | st.text(max_size=30)
rows_of_text = st.lists(st.tuples(texts, texts), min_size=1, max_size=6).map(
    lambda pairs: [make_row(prompt, answer, id=str(number)) for number, (prompt, answer) in enumerate(pairs)]
)


@given(rows_of_text, st.sampled_from(["report", "reject", "redact"]))
def test_every_row_is_kept_or_rejected_and_redaction_leaves_no_hit(rows: list[Row], action: str) -> None:
    settings = {"personal_data": {"action": action}, "secrets": {"action": action}}
    done = run(rows, settings)
    assert sorted(done.kept.ids() + [str(rejection.id) for rejection in done.rejections]) == [row.id for row in rows]
    if action != "report":
        again = run(list(done.kept.rows), {"personal_data": {}, "secrets": {}})
        assert sum(summary.over for summary in summaries(again).values()) == 0


def test_thresholds_change_without_reading_texts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(ROWS, EVERYTHING, side_folder=tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == len(EVERYTHING)
    assert not any(b"bob@" in content for content in files.values())

    def fail(*_: object) -> None:
        raise AssertionError("a text was read again")

    for target in ("find_personal", "find_secrets", "find_terms", "find_phrases", "split_words"):
        monkeypatch.setattr(f"curate.screen.measures.{target}", fail)
    strict = {**EVERYTHING, "repetition": {"min_words": 5, "threshold": 0.5}, "language": {"expected": ["de"]}}
    second = run(ROWS, strict, side_folder=tmp_path)
    assert second.measured["personal-data"] == first.measured["personal-data"]
    assert values(second, "language") == [0.5, 0.5, 1, 0, 1, 0.5]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_only_new_texts_are_measured_and_the_result_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "seen.py").write_text(
        "def score(texts):\n    with open('SEEN', 'a') as file:\n        file.write(str(len(texts)) + ' ')\n"
        "    return [float(len(text)) for text in texts]\n".replace("SEEN", str(tmp_path / "seen.txt"))
    )
    settings = {**EVERYTHING, "custom": [{"name": "size", "function": "seen.py:score", "on": "answer"}]}
    side = tmp_path / "side"
    run(ROWS[:3], settings, tmp_path, side_folder=side)
    grown = run([*ROWS[::-1], make_row("again", ROWS[0].answer)], settings, tmp_path, side_folder=side)
    assert (tmp_path / "seen.txt").read_text().split() == ["3", "3"]
    fresh = run([*ROWS[::-1], make_row("again", ROWS[0].answer)], settings, tmp_path)
    assert grown.measured == fresh.measured


def test_a_damaged_side_file_is_made_again(tmp_path: Path) -> None:
    first = run(ROWS, EVERYTHING, side_folder=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert run(ROWS, EVERYTHING, side_folder=tmp_path).measured == first.measured


def test_threads_do_not_change_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.screen.columns._CHUNK_TEXTS", 2)
    one, two = run(ROWS, EVERYTHING), run(ROWS, EVERYTHING, threads=2)
    assert one.measured == two.measured
    assert one.report == two.report


def test_no_rows_and_no_screens() -> None:
    nothing = run([], EVERYTHING)
    assert (len(nothing.kept), nothing.measured) == (0, {name: {} for name in RULES})
    unscreened = run(ROWS, {})
    assert len(unscreened.kept) == len(ROWS)
    assert unscreened.measured == {}


def test_odd_rows_pass_through() -> None:
    rows = [
        Row(id="none", messages=[]),
        Row(id="odd", messages=[Message("user", "a\ufffd bob@example.com"), Message("assistant", "\x00\x1b[31m")]),
        make_row("q", "漢" * 3000, id="long"),
    ]
    done = run(rows, {**EVERYTHING, "personal_data": {"action": "redact"}})
    assert done.kept.ids() == ["none", "odd", "long"]
    assert values(done, "personal-data") == [0, 1, 0]
    assert done.kept.rows[1].messages[0].text == "a\ufffd [EMAIL]"


def test_half_characters_are_replaced_where_something_is_redacted() -> None:
    (measure,) = make_measures(Screens.model_validate({"personal_data": {}}), HERE)
    assert measure.find is not None
    odd = Row(id="odd", messages=[Message("user", "a\ud800 bob@example.com"), Message("assistant", "\x00\x1b[31m")])
    (clean,) = redact([odd], measure.settings.on, measure.find)
    assert [message.text for message in clean.messages] == ["a\ufffd [EMAIL]", "\x00\x1b[31m"]


def test_own_functions_measure(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def size(texts):\n    return [None if not t else float('nan') if t == 'nan' else len(t) for t in texts]\n"
        "def broken(texts):\n    return 1 / 0\n"
        "def short(texts):\n    return []\n"
    )
    mine = {"name": "size", "function": "mine.py:size", "on": "answer", "threshold": 3, "action": "reject"}
    rows = [make_row("a", ""), make_row("b", "nan"), make_row("c", "abcd"), make_row("d", "abc")]
    done = run(rows, {"custom": [mine]}, tmp_path)
    assert values(done, "size") == [None, None, 4, 3]
    assert [rejection.detail for rejection in done.rejections] == ["size gave 4, the threshold is 3"]
    assert summaries(done)["size"].unmeasured == 2
    toxicity = run(rows, {"toxicity": {"classifier": "mine.py:size", "on": "answer"}}, tmp_path)
    assert values(toxicity, "toxicity") == [None, None, 4, 3]
    for name, words in (
        ("broken", "ZeroDivisionError"),
        ("short", "0 numbers for 4 texts"),
        ("missing", "no function"),
    ):
        with pytest.raises(ConfigError, match=words):
            run(rows, {"custom": [{**mine, "function": f"mine.py:{name}"}]}, tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"language": {"expected": ["xx"]}}, "can't tell xx"),
        ({"language": {"expected": []}}, "at least 1"),
        ({"repetition": {"top_ngram": {7: 0.1}}}, "lengths are 2 to 4"),
        ({"repetition": {"duplicate_ngram": {5: 0}}}, "limits are shares"),
        ({"language": {"expected": ["en"], "action": "redact"}}, "'report' or 'reject'"),
        ({"personal_data": {"types": ["name"]}}, "'email'"),
        ({"personal_data": {"patterns": {"a b": "x"}}}, "letters, digits"),
        ({"custom": [{"name": "language", "function": "a.py:f"}]}, "two screens are named language"),
        ({"colour": {}}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Screens.model_validate(settings)


@pytest.mark.parametrize("name", ["personal_data", "secrets", "refusals", "boilerplate"])
def test_a_pattern_that_does_not_compile_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="patterns that can't be used"):
        run(ROWS, {name: {"patterns": {"mine": "("}}})


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is not None, reason="Presidio is installed here")
def test_presidio_that_is_not_installed_is_said_before_any_work() -> None:
    with pytest.raises(ConfigError, match="Presidio is not installed") as caught:
        run(ROWS, {"personal_data": {"presidio": True}})
    assert "pip install presidio-analyzer" in str(caught.value)


def test_toxicity_with_nothing_to_look_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to look for"):
        run(ROWS, {"toxicity": {"threats": False}})


def test_side_files_hold_ids_digests_and_measures(tmp_path: Path) -> None:
    run(ROWS, {"repetition": {}}, side_folder=tmp_path)
    (path,) = tmp_path.iterdir()
    table = pl.read_parquet(path)
    assert table["id"].to_list() == [row.id for row in ROWS]
    assert table.columns[:3] == ["id", "digest", "top_2"]
