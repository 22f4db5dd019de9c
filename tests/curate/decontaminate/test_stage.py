"""The stage loses nothing, says why, and writes its evidence."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.core.rows.row import Message, Row
from curate.core.text.leaks.evidence import EVIDENCE_FILE, TIERS, TOUCHED_FILE, Findings, cannot_see, write_findings
from curate.core.text.leaks.items import Suite, suite_of_rows
from curate.core.text.leaks.search import find_contamination
from curate.core.text.leaks.settings import Against, Decontaminate, Template
from curate.decontaminate.stage import Decontamination, held_back
from curate.table.selection import RowSelection
from tests.curate.row_makers import make_context, make_row, select

WANTED = Decontaminate(against=[Against(path="exam.jsonl", name="exam")])
QUESTION = "If a cart with seven apples meets a cart with nine pears at noon, how many pieces of fruit are on the road?"
TEXTS = st.lists(st.text(alphabet="ab c", max_size=40), max_size=15)


def found_in(rows: RowSelection, exam: Suite) -> Findings:
    return find_contamination(rows.rows, [exam], WANTED, folder=Path())


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_kept_and_quarantined_are_the_input(texts: list[str], items: list[str]) -> None:
    rows = select([make_row(text, id=str(n)) for n, text in enumerate(texts)])
    exam = suite_of_rows("exam", [make_row(text, id=f"i{n}") for n, text in enumerate(items)])
    findings = found_in(rows, exam)
    kept, rejections = held_back(rows, findings, WANTED)
    assert sorted([*kept.ids(), *map(str, rejections.ids())]) == sorted(rows.ids())
    assert {one.row for one in findings.evidence} == {rejection.id for rejection in rejections}
    assert {one.item for one in findings.evidence} == {one.item for one in findings.touched}
    _, again = held_back(kept, found_in(kept, exam), WANTED)
    assert not {r.id for r in again if " whole" in r.detail}


@pytest.mark.parametrize(
    ("action", "kept", "reasons"),
    [("quarantine", 1, ["quarantined"]), ("drop", 1, ["contaminated"]), ("report", 2, [])],
)
def test_actions(tmp_path: Path, action: str, kept: int, reasons: list[str]) -> None:
    (tmp_path / "exam.jsonl").write_text(json.dumps({"question": QUESTION, "id": "q1"}) + "\n")
    rows = select([make_row(f"Please: {QUESTION}", id="leak"), make_row("Is it raining?", id="fine")])
    wanted = {"against": [{"path": "exam.jsonl", "name": "exam"}], "action": action}
    result = Decontamination().run(rows, make_context(tmp_path, decontaminate=wanted), {})
    assert len(result.kept) == kept
    assert [rejection.reason for rejection in result.rejections] == reasons
    assert [json.loads(line)["row"] for line in result.files[EVIDENCE_FILE].splitlines()] == ["leak"]
    assert [json.loads(line)["item"] for line in result.files[TOUCHED_FILE].splitlines()] == ["q1"]
    assert (result.report["action"], result.report["rows"]) == (action, 1)
    for rejection in result.rejections:
        assert rejection.because_of is not None
        assert rejection.because_of.id == "exam/q1"
        assert rejection.detail == "message 1, characters 8 to 114: the question of item q1 of exam, whole"


def test_evidence_is_written_the_same_each_time(tmp_path: Path) -> None:
    rows = [make_row(QUESTION, id="b"), make_row(f"{QUESTION} Now.", id="a")]
    exam = suite_of_rows("exam", [make_row(QUESTION, id="i")])
    for folder in ("one", "two"):
        assert write_findings(found_in(select(rows), exam), tmp_path / folder) == [EVIDENCE_FILE, TOUCHED_FILE]
    evidence = (tmp_path / "one" / EVIDENCE_FILE).read_bytes()
    assert evidence == (tmp_path / "two" / EVIDENCE_FILE).read_bytes()
    assert [json.loads(line)["row"] for line in evidence.splitlines()] == ["b", "a"]
    assert json.loads((tmp_path / "one" / TOUCHED_FILE).read_text())["rows"] == 2


def test_the_summary_counts_and_says_what_no_tier_sees() -> None:
    exam = suite_of_rows("exam", [make_row(QUESTION, id="i"), make_row("Who is there at the door?", id="j")])
    summary = found_in(select([make_row(QUESTION, id="a")]), exam).summary(WANTED)
    assert summary["suites"] == [{"name": "exam", "files": {}, "items": 2, "touched": 1, "unreadable": []}]
    assert [(tier["name"], tier["on"], tier["rows"]) for tier in summary["tiers"]] == [
        ("whole", True, 1),
        ("ngram", True, 0),
        ("characters", True, 0),
        ("paraphrase", False, 0),
    ]
    assert [name for name, _, unseen in cannot_see(WANTED) if len(unseen.split()) > 5] == list(TIERS)


def test_a_template_longer_than_a_run_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"template\.ngram"):
        Decontaminate(against=[Against(path="x")], ngram=6, template=Template(ngram=8))


def test_items_are_found_in_reasoning_and_in_rejected_answers() -> None:
    thinks = [Message("user", "Hm?"), Message("assistant", "Sixteen.", reasoning_content=f"I know it. {QUESTION}")]
    other = [{"role": "assistant", "content": "No.", "reasoning_content": QUESTION}]
    rows = select(
        [
            Row(id="thinks", messages=thinks),
            make_row("Well?", id="text", meta={"rejected": QUESTION}),
            make_row("So?", id="messages", meta={"rejected": other}),
            make_row("What?", id="fine", meta={"rejected": 3}),
        ]
    )
    exam = suite_of_rows("exam", [make_row(QUESTION, id="i")])
    _, rejections = held_back(rows, found_in(rows, exam), WANTED)
    assert {str(one.id): one.detail.split(", ")[0] for one in rejections} == {
        "thinks": "the reasoning of message 2",
        "text": "the rejected answer",
        "messages": "the rejected answer",
    }
