"""Each tier finds what it is for, at the right place, and stays silent elsewhere."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.rows.row import Message, Row
from curate.core.rows.row_text import message_text
from curate.core.text.leaks.evidence import Evidence, Findings
from curate.core.text.leaks.items import Item, Suite
from curate.core.text.leaks.search import find_contamination
from curate.core.text.leaks.settings import Against, Characters, Decontaminate, Paraphrases
from curate.decontaminate.suites import read_suites
from tests.curate.row_makers import make_row

HERE = Path(__file__).parent
GSM8K = Against(path="gsm8k/test.jsonl", name="gsm8k")
ITEM = (
    "A lighthouse keeper climbs 214 steps twice a day, and once more on Sundays to polish the lamp before the ferry "
    "comes in. How many steps does she climb in a week?"
)
SUBJECTS = ["otters", "violins", "glaciers", "bakeries", "comets", "ledgers", "orchids", "tunnels", "kites", "fjords"]
OTHERS = [f"Why do {a} never remind anyone of {b} in spring?" for a in SUBJECTS for b in SUBJECTS if a < b]


def suite(*questions: str, answer: str = "") -> Suite:
    return Suite("exam", {}, [Item("exam", str(n), text, answer) for n, text in enumerate(questions)], [])


def search(rows: list[Row], *suites: Suite, **chosen: object) -> Findings:
    wanted = Decontaminate.model_validate({"against": [{"path": "unused"}], **chosen})
    return find_contamination(rows, suites, wanted, folder=Path())


def tiers(findings: Findings) -> set[tuple[str, str, str]]:
    return {(one.row, one.item, one.tier) for one in findings.evidence}


def test_an_item_inside_a_longer_row_is_found_whole_with_its_span() -> None:
    prompt = f"I need help with my homework, please!\n{ITEM.upper()} Think aloud."
    rows = [make_row(text) for text in OTHERS] + [make_row(prompt, "2,996", id="leak")]
    (found,) = search(rows, suite("Is this a wholly different item?", ITEM)).evidence
    assert (found.row, found.item, found.part, found.tier, found.score) == ("leak", "1", "question", "whole", 1.0)
    assert found.message == 0
    assert prompt[found.start : found.end] == found.found == ITEM.upper().removesuffix("?")


def test_case_accents_apostrophes_and_punctuation_do_not_hide_an_item() -> None:
    item = "The café's owner can't count: 12 cups, 3 jugs and one naïve guest make how much?"
    row = make_row("THE CAFES OWNER CAN\u2019T COUNT 12 cups - 3 jugs; and one naive guest... make how much", id="leak")
    assert tiers(search([row], suite(item))) == {("leak", "0", "whole")}


def test_an_item_in_a_script_without_spaces_is_found() -> None:
    item = "今天早上小明在图书馆借了三本书下午又还了两本他还剩几本书"
    row = make_row(f"请回答:{item}?谢谢", id="leak")
    (found,) = search([row], suite(item)).evidence
    assert (found.tier, found.found) == ("whole", item)


def test_a_run_of_thirteen_words_is_evidence_and_twelve_are_not() -> None:
    words = ITEM.split()
    thirteen = make_row("Yesterday I heard: " + " ".join(words[3:16]) + " whatever that means", id="thirteen")
    twelve = make_row("Yesterday I heard: " + " ".join(words[3:15]) + " whatever that means", id="twelve")
    (found,) = search([thirteen, twelve], suite(ITEM), characters=None).evidence
    assert (found.row, found.tier) == ("thirteen", "ngram")
    assert found.found == " ".join(words[3:16])
    assert found.score == pytest.approx(13 / len(words), abs=1e-4)


def test_an_answer_is_scored_apart_from_its_question() -> None:
    answer = "She climbs them fifteen times in all, and fifteen times 214 steps makes 3,210 steps a week."
    row = make_row("Something unrelated?", f"Well. {answer}", id="leak")
    both = search([row, make_row(ITEM, "No idea.", id="question")], suite(ITEM, answer=answer))
    assert {(one.row, one.part) for one in both.evidence} == {("leak", "answer"), ("question", "question")}
    assert both.touched[0].parts == ["question", "answer"]
    only = search([row], suite(ITEM, answer=answer), parts=["question"])
    assert only.evidence == []


def test_an_item_among_the_examples_of_a_system_message_is_found() -> None:
    scene = f"Answer briefly. Example: {ITEM} 3210."
    row = Row(id="leak", messages=[Message("system", scene), Message("user", "Hello"), Message("assistant", "Hi")])
    (found,) = search([row], suite(ITEM)).evidence
    assert (found.message, scene[found.start : found.end]) == (0, ITEM.removesuffix("?"))


def test_spans_count_within_the_message_in_which_they_start() -> None:
    turns = [Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", f"Now: {ITEM}")]
    row = Row(id="leak", messages=[*turns, Message("assistant", "3210")])
    (found,) = search([row], suite(ITEM)).evidence
    assert found.message == 2
    assert row.messages[2].text[found.start : found.end] == ITEM.removesuffix("?")


def test_an_edited_item_is_found_by_its_characters_alone() -> None:
    edited = ITEM.replace("lighthouse", "windmill").replace("214", "96").replace("twice", "thrice").replace("in a", "a")
    edited = edited.replace("polish", "clean").replace("ferry", "train")
    found = search([make_row(edited, id="edited"), *map(make_row, OTHERS)], suite(ITEM))
    assert tiers(found) == {("edited", "0", "characters")}
    assert 0.5 <= found.evidence[0].score < 1


@pytest.mark.parametrize(
    ("prompt", "item", "expected"),
    [
        ("Goodbye!", "goodbye", True),
        ("I said goodbye to her", "goodbye", False),
        ("please tell me where the nearest open pharmacy is today", "tell me where the nearest open pharmacy is", True),
        ("set a timer for 5 minutes", "set a timer for 9 minutes", False),
    ],
)
def test_short_items(prompt: str, item: str, expected: bool) -> None:
    assert bool(search([make_row(prompt, "goodbye", id="row")], suite(item)).evidence) is expected


def test_a_template_that_all_rows_share_is_no_contamination() -> None:
    head = (
        "Below is a question from a customer of our shop. Read it with care, think about what the customer wants to "
        "know, and then answer it in one friendly sentence. Question: "
    )
    rows = [make_row(head + text, id=text) for text in OTHERS]
    asked = [
        "When will my parcel leave for Oslo?",
        "How long does the way to Quito take?",
        "Can I still change the size of my order?",
        "Who pays for sending these shoes back?",
    ]
    items = suite(*[head + text for text in asked])
    found = search(rows, items)
    assert found.evidence == []
    assert found.template_share > 0.5
    leaked = make_row(head + asked[1], id="leak")
    bare = make_row(asked[2], id="bare")
    assert tiers(search([*rows, leaked, bare], items)) == {("leak", "1", "whole"), ("bare", "2", "whole")}


def test_a_template_of_the_items_alone_is_no_contamination() -> None:
    head = "Choose the best of the four options given below and reply with the letter of that option and nothing else: "
    items = suite(*[f"{head}{text}" for text in OTHERS[:20]])
    assert search([make_row(f"{head}what is a vole?"), make_row("x")], items).evidence == []


def test_a_short_item_that_many_rows_contain_is_reported_as_common() -> None:
    item = "what would you like to know"
    rows = [make_row(f"Tell me about {text} and {item} about {n}", id=text) for n, text in enumerate(OTHERS)]
    found = search([*rows, make_row(item.title() + "?", id="same")], suite(item), characters=None)
    assert found.common == ["exam/0"]
    assert tiers(found) == {("same", "0", "whole")}


def test_items_without_words_are_named() -> None:
    assert search([make_row("🙂 ?")], suite("🙂", "!!")).blind == ["exam/0", "exam/1"]


def test_touched_items_count_rows_and_name_tiers() -> None:
    rows = [make_row(ITEM, id="a"), make_row(f"{ITEM} Please.", id="b"), make_row("Nothing", id="c")]
    (touched,) = search(rows, suite(ITEM, OTHERS[3])).touched
    assert (touched.suite, touched.item, touched.rows, touched.tiers) == ("exam", "0", 2, ["whole"])


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.core.text.leaks.search._CHUNK_TEXTS", 7)
    rows = [make_row(text, id=str(n)) for n, text in enumerate([*OTHERS, ITEM, f"So: {ITEM}"])]
    wanted = Decontaminate(against=[Against(path="unused")], characters=Characters(threshold=0.3, short_threshold=0.3))
    one, four = (find_contamination(rows, [suite(ITEM, *OTHERS[:5])], wanted, folder=Path(), threads=n) for n in (1, 4))
    assert one == four
    assert len(one.by_row) > 7


WORDS = st.lists(st.sampled_from(["red", "Blue", "green-ish", "12", "the", "çay", "日本", "o'clock"]), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=12), st.lists(WORDS.filter(bool), min_size=1, max_size=8), WORDS, WORDS, st.data())
def test_a_row_that_contains_an_item_verbatim_is_always_found(
    rows: list[list[str]], items: list[list[str]], before: list[str], after: list[str], data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(items) - 1))
    if len(items[chosen]) < 6:  # shorter ones count only where nothing else stands beside them
        before, after = [], []
    leak = make_row(" ".join([*before, *items[chosen], *after]), id="leak")
    made = [make_row(" ".join(words), id=str(n)) for n, words in enumerate(rows)]
    found = search([*made, leak], suite(*map(" ".join, items)))
    assert ("leak", str(chosen), "whole") in tiers(found)
    texts = {row.id: row for row in [*made, leak]}
    for one in found.evidence:
        assert 0 < one.score <= 1
        assert one.found == _at(texts[one.row], one)


def _at(row: Row, one: Evidence) -> str:
    return message_text(row.messages[one.message])[one.start : one.end]


def test_gsm8k_and_unrelated_data_share_nothing(public_data: Path) -> None:
    rows = []
    for line in (public_data / "self_instruct/seed_tasks.jsonl").read_text().splitlines():
        task = json.loads(line)
        rows.append(make_row(task["instruction"], task["instances"][0]["output"], id=task["id"]))
    for record in json.loads((public_data / "nlupp_banking/banking_fold0.json").read_text()):
        rows.append(make_row(record["text"], id=f"bank-{len(rows)}"))
    suites = read_suites([GSM8K], public_data)
    assert len(suites[0].items) == 1319
    assert search(rows, *suites).evidence == []
    leaked = [make_row(f"Solve this.\n{item.question}", id=f"leak-{item.id}") for item in suites[0].items[:40]]
    found = search([*rows, *leaked], *suites)
    assert tiers(found) == {(f"leak-{item.id}", item.id, "whole") for item in suites[0].items[:40]}


def test_clinc_texts_on_both_sides_are_all_found(public_data: Path) -> None:
    data = json.loads((public_data / "clinc150/data_full.json").read_text())
    (exam,) = read_suites([Against(path="clinc150/data_full.json", name="c", at="test", question="0")], public_data)
    assert len(exam.items) == 4500
    rows = [make_row(text, id=str(n)) for n, (text, _) in enumerate(data["train"])]

    def key(text: str) -> str:
        return " ".join(re.findall("[a-z0-9]+", text.lower().replace("'", "")))

    train = {key(row.messages[0].text) for row in rows}
    shared = {item.id for item in exam.items if key(item.question) in train}
    assert len(shared) >= 19
    assert shared <= {one.item for one in search(rows, exam).touched if "whole" in one.tiers}


def rephrased(public_data: Path) -> tuple[list[Row], Suite]:
    lines = [json.loads(line) for line in (HERE / "rephrased_gsm8k.jsonl").read_text().splitlines()]
    (exam,) = read_suites([GSM8K], public_data)
    wanted = {line["item"] for line in lines}
    part = [item for n, item in enumerate(exam.items) if item.id in wanted or n < 60]
    return [make_row(line["text"], id=line["item"]) for line in lines], Suite(exam.name, {}, part, [])


def test_words_and_characters_find_none_of_the_rephrased_items(public_data: Path) -> None:
    rows, exam = rephrased(public_data)
    assert len(rows) == 24
    assert search(rows, exam).evidence == []


@pytest.mark.slow
def test_embeddings_find_most_of_the_rephrased_items(public_data: Path) -> None:
    rows, exam = rephrased(public_data)
    others = [make_row(text, id=f"other-{text}") for text in OTHERS[:10]]
    found = tiers(search([*rows, *others], exam, paraphrases=Paraphrases()))
    assert all(row == item and tier == "paraphrase" for row, item, tier in found)
    assert len(found) >= 18
