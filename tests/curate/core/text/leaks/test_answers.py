"""Answers of items in rows: an item's own is a leak, one that many rows give is none; code is known by its shape."""

import json
from pathlib import Path

import pytest

from curate.core.rows.row import Row
from curate.core.text.leaks.code_shapes import similar_code
from curate.core.text.leaks.evidence import Findings
from curate.core.text.leaks.items import Item, Suite, own_answer
from curate.core.text.leaks.search import find_contamination
from curate.core.text.leaks.settings import Decontaminate
from tests.curate.row_makers import make_row

SORRY = (
    "We are afraid that this desk can't lend maps of that kind. Please ask the archive on the second floor, which is "
    "open on weekdays from nine until four, and take a card of yours along."
)
OWN = (
    "The eastern tower fell in the storm of that winter, and its bricks were taken to mend the mill beside the weir, "
    "where a row of lighter stones still shows the place."
)
PLACES = ["harbour", "chapel", "quarry", "bridge", "orchard", "lighthouse", "brewery", "station", "market", "tannery"]


def search(rows: list[Row], *items: tuple[str, str]) -> Findings:
    suite = Suite("exam", {}, [Item("exam", str(n), *item) for n, item in enumerate(items)], [])
    return find_contamination(rows, [suite], Decontaminate.model_validate({"against": [{"path": "x"}]}), folder=Path())


def asked(answers: list[str]) -> list[Row]:
    return [make_row(f"may I see the map of the {place} and its {n} walls?", answer, id=f"r{n}")
            for n, (place, answer) in enumerate(zip(PLACES, answers, strict=False))]  # fmt: skip


def found(findings: Findings) -> set[tuple[str, str]]:
    return {(one.row, one.item) for one in findings.evidence}


@pytest.mark.parametrize("count", [4, 7, 10])
def test_an_answer_that_many_rows_give_gives_nothing_away(count: int) -> None:
    rows = asked([SORRY] * count)
    assert not found(search(rows, ("which maps may be lent to a ship's captain?", SORRY)))


@pytest.mark.parametrize("count", [1, 2])
def test_an_items_own_answer_in_a_row_or_two_is_found(count: int) -> None:
    rows = asked([OWN] * count + [SORRY] * 6)
    seen = found(search(rows, ("why is the mill's wall of two colours?", OWN)))
    assert seen == {(f"r{n}", "0") for n in range(count)}


def test_rows_that_repeat_one_question_do_not_make_its_answer_common() -> None:
    rows = [make_row("tell me of the mill", OWN, id=f"r{n}") for n in range(8)]
    assert len(found(search(rows, ("why is the mill's wall of two colours?", OWN)))) == 8


def test_what_stands_in_an_answer_beside_a_common_one_still_counts() -> None:
    rows = asked([SORRY] * 5 + [f"{SORRY} {OWN}"])
    assert found(search(rows, ("why is the mill's wall of two colours?", f"{SORRY} {OWN}"))) == {("r5", "0")}


def test_common_answers_with_a_name_in_them_are_common() -> None:
    rows = asked([f"{SORRY} The map of the {place} is not there." for place in PLACES])
    assert not found(search(rows, ("may I have the map of the fort?", f"{SORRY} The map of the fort is not there.")))


def test_an_answer_that_many_items_share_is_no_ones_own() -> None:
    items = [(f"which map shows the {place} of the old town?", SORRY) for place in PLACES]
    assert not found(search(asked([SORRY, OWN]), *items))


def test_the_labels_of_a_json_answer_are_not_its_own_but_a_long_text_in_it_is() -> None:
    labels = {
        "room": "reading",
        "floor": "second",
        "lent": False,
        "days": 3,
        "card": True,
        "fee": "none",
        "kind": "map",
    }
    plain, long = json.dumps(labels), json.dumps({**labels, "why": OWN})
    assert not found(search(asked([plain, plain]), ("how is this map lent?", plain)))
    assert found(search(asked([plain, f"It is so: {long}"]), ("how is this map lent?", long))) == {("r1", "0")}


@pytest.mark.parametrize(
    ("answer", "own"),
    [
        ('{"a": "one two", "b": ["one two three four five six"]}', "one two three four five six"),
        ('```json\n{"a": "one two three four five six"}\n```', "one two three four five six"),
        ('{"a": 1', '{"a": 1'),
        ("[not JSON]", "[not JSON]"),
        ("plain", "plain"),
        ('{"a": "今天早上小明在图书馆借了三本书"}', "今天早上小明在图书馆借了三本书"),
    ],
)
def test_what_of_an_answer_is_its_own(answer: str, own: str) -> None:
    assert own_answer(answer) == own


CODE = """def spread(values, width):
    rows = []
    for start in range(0, len(values), width):
        rows.append(values[start : start + width])
    return rows
"""
RENAMED = CODE.replace("spread", "f").replace("values", "xs").replace("width", "k").replace("rows", "out")
OTHER = """def longest(lines):
    best = ""
    for line in lines:
        if len(line) > len(best):
            best = line
    return best
"""


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        (CODE, True),
        (RENAMED, True),
        (f"Sure, here it is:\n\n```python\n{RENAMED}```\nIt cuts a list.", True),
        (RENAMED.replace("    ", "\t").replace("out = []", "out = []  # what comes out"), True),
        (OTHER, False),
        ("The list is cut into rows of a width, one after the other.", False),
        ("", False),
    ],
)
def test_code_under_other_names_is_known(text: str, is_same: bool) -> None:
    assert [pair[:2] for pair in similar_code([text], [CODE], 0.8)] == ([(0, 0)] if is_same else [])
