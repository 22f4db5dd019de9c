"""What people decided, in the next build: dropped, edited, taken back, or too old to count."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.build.build import Built, build
from curate.build.dataset_folder import verify_dataset
from curate.core.review.decisions import FILE
from curate.core.review.items import Deck
from curate.core.review.session import Session
from curate.core.rows.row import Message, Row, encode_row
from curate.review.conflict_deck import conflict_deck
from curate.review.rejected_deck import PairDeck, RejectedDeck
from curate.review.rows_deck import RowDeck, open_rows, row_kind
from tests.curate.core.review.decks import on_disk
from tests.curate.row_makers import chat, write_recipe

TOPICS = (
    "cancel my order", "return the blue shoes", "change the address", "talk to a person", "pay by invoice",
    "find the nearest shop", "reset my password", "track parcel seven", "close the account", "print a label",
)  # fmt: skip
LONG = "where is the parcel that I ordered on the first monday of this month for my sister in the north"


def records() -> list[dict[str, Any]]:
    return [
        *(chat(f"please {topic}", f"To {topic}, go on.", id=f"t{n}") for n, topic in enumerate(TOPICS)),
        chat(f"{LONG} please", "It is on its way.", id="kept"),
        chat(LONG, "It is on its way.", id="near"),
        chat("say {{name}} twice", "no", id="hole"),
    ]


def decide(deck: Deck, folder: Path, act: Callable[[Session], object]) -> None:
    session, journal = on_disk(deck, folder / FILE)
    act(session)
    journal.__exit__(None, None, None)


def choose(item: str, name: str) -> Callable[[Session], None]:
    def act(session: Session) -> None:
        place = next(at for at in range(len(session.deck)) if session.deck.key(at).item == item)
        session.go_to(place)
        session.decide(next(choice for choice in session.deck.kind.choices if choice.name == name))

    return act


def lines(built: Built, *sides: str) -> list[bytes]:
    """The lines of these sides, or of all."""
    names = sides or ("train", "val", "test")
    return [line for side in names for line in (built.output / f"{side}.jsonl").read_bytes().splitlines()]


def written(built: Built, *sides: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in map(json.loads, lines(built, *sides))}


def answered(session: Session, answer: str) -> Row:
    """The row that the reviewer is at, with another answer."""
    row = session.row
    assert row is not None
    return msgspec.structs.replace(row, messages=[row.messages[0], Message("assistant", answer)])


def rejected(built: Built) -> dict[str, tuple[str, str]]:
    lines = (built.output / "rejected.jsonl").read_text().splitlines()
    return {row["id"]: (row["stage"], row["reason"]) for row in map(json.loads, lines)}


def test_dropped_and_edited_rows(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records(), {"split": {"shares": {"train": 0.8, "val": 0.1, "test": 0.1}}})
    first = build(recipe)
    deck = open_rows(first.output, row_kind())

    def act(session: Session) -> None:
        choose("t3", "drop")(session)
        choose("t4", "keep")(session)
        place = next(at for at in range(len(deck)) if deck.key(at).item == "t5")
        session.go_to(place)
        assert session.edit(answered(session, "Go left.")) == []

    decide(deck, first.output, act)
    old = written(first)
    again = build(recipe)
    assert not again.up_to_date
    rows = written(again)
    assert rejected(again)["t3"] == ("review", "reviewed")
    assert rows["t5"]["messages"][1]["content"] == "Go left."
    assert rows["t5"]["meta"]["parent"].startswith("sha256:")
    report = again.manifest.reports["review"]
    assert report["applied"] == {"drop": 1, "edit": 1, "keep": 1, "rows_changed": 1}
    assert (report["stale"], report["decisions"]) == (0, {"drop": 1, "edit": 1, "keep": 1})
    assert [one.name for one in again.manifest.inputs] == ["rows", "review"]
    assert rows.keys() == old.keys() - {"t3"}
    verify_dataset(again.output)
    assert "## Human decisions" in (again.output / "card.md").read_text()
    assert build(recipe).up_to_date
    # The third build starts from the sources again, and so do the decisions.
    assert written(build(recipe, force=True)) == rows
    # What the edit made is decided: it is the same item.
    session, journal = on_disk(open_rows(first.output, row_kind()), first.output / FILE)
    journal.__exit__(None, None, None)
    assert session.counts == {"keep": 1, "edit": 1}


def _rows(built: Built) -> list[Row]:
    return [msgspec.json.decode(line, type=Row) for line in lines(built)]


def test_an_edited_row_can_be_dropped_later(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)

    def edit(session: Session) -> None:
        session.go_to(0)
        row = session.row
        assert row is not None
        assert (
            session.edit(msgspec.structs.replace(row, messages=[row.messages[0], Message("assistant", "New.")])) == []
        )

    decide(open_rows(first.output, row_kind()), first.output, edit)
    name = open_rows(first.output, row_kind()).key(0).item
    built = build(recipe)
    decide(open_rows(built.output, row_kind()), built.output, choose(name, "drop"))
    assert rejected(build(recipe))[name] == ("review", "reviewed")


def test_a_decision_on_a_row_that_has_changed_is_not_applied(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)
    decide(open_rows(first.output, row_kind()), first.output, choose("t3", "drop"))
    changed = records()
    changed[3]["messages"][1]["content"] = "Another answer."
    built = build(write_recipe(tmp_path, changed))
    assert "t3" in written(built)
    assert built.manifest.reports["review"]["stale"] == 1
    session, journal = on_disk(open_rows(built.output, row_kind()), built.output / FILE)
    journal.__exit__(None, None, None)
    assert session.done == 0  # pending again


def test_rejected_rows_are_taken_back(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)
    assert rejected(first) == {"hole": ("validate", "placeholder"), "near": ("near", "near-duplicate")}
    decide(RejectedDeck(first.output), first.output, choose("hole", "keep"))
    built = build(recipe)
    assert "hole" in written(built)
    assert rejected(built) == {"near": ("near", "near-duplicate")}
    assert built.manifest.reports["review"]["taken_back"] == {"validate": 1}
    verify_dataset(built.output)


def test_a_pair_that_is_none_keeps_both_on_one_side(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records(), {"split": {"shares": {"train": 0.4, "val": 0.3, "test": 0.3}}})
    first = build(recipe)
    deck = PairDeck(first.output)
    assert [deck.key(at).item for at in range(len(deck))] == ["near ~ kept"]
    item = deck.item(0)
    assert item.sides is not None
    assert "please" in item.sides[0].text
    decide(deck, first.output, choose("near ~ kept", "1"))
    built = build(recipe)
    rows = written(built)
    assert {"near", "kept"} <= rows.keys()
    assert [side for side in ("train", "val", "test") if {"near", "kept"} & written(built, side).keys()][1:] == []
    assert built.manifest.reports["review"]["taken_back"] == {"near": 1}


def test_the_other_row_of_a_pair_stands_in_its_place(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)
    decide(PairDeck(first.output), first.output, choose("near ~ kept", "2"))
    built = build(recipe)
    assert "near" in written(built)
    assert rejected(built)["kept"] == ("review", "reviewed")


def test_nobody_overrules_decontamination(tmp_path: Path) -> None:
    question = "How many blue marbles does Tom have after he gives nine of his twenty marbles to Ann and two to Bob?"
    (tmp_path / "suite.jsonl").write_text(json.dumps({"id": "q1", "question": question, "answer": "9"}) + "\n")
    settings = {"decontaminate": {"against": [{"path": "suite.jsonl"}]}}
    recipe = write_recipe(tmp_path, [*records(), chat(question, "9", id="leak")], settings)
    first = build(recipe)
    assert rejected(first)["leak"][0] == "decontaminate"
    decide(RejectedDeck(first.output), first.output, choose("leak", "keep"))
    built = build(recipe)
    assert "leak" not in written(built)
    assert built.manifest.reports["review"]["stale"] == 1


def test_dropping_most_rows_is_no_fault_of_the_recipe(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records(), {"guards": {"min_rows": 1}})
    first = build(recipe)

    def most(session: Session) -> None:
        session.show(session.matching("-id:t0"), "-id:t0")
        session.decide_all(session.deck.kind.choices[1])

    decide(open_rows(first.output, row_kind()), first.output, most)
    assert list(written(build(recipe))) == ["t0"]


def test_edited_rows_are_written_as_rows_are(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)

    def relabel(session: Session) -> None:
        session.decide(session.deck.kind.choices[4])

    decide(open_rows(first.output, row_kind(["refund", "cancel"])), first.output, relabel)
    built = build(recipe)
    made = [row for row in _rows(built) if row.label == "refund"]
    assert len(made) == 1
    lines = [
        line for side in ("train", "val", "test") for line in (built.output / f"{side}.jsonl").read_bytes().splitlines()
    ]
    assert encode_row(made[0]) in lines


def test_an_edit_has_to_satisfy_the_schema_of_the_row(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["days"]}
    rows = [
        chat(f"please {topic}", '{"days": 1}', id=f"t{n}", meta={"wanted": schema}) for n, topic in enumerate(TOPICS)
    ]
    built = build(write_recipe(tmp_path, rows, {"validate": {"target_schema": "meta.wanted"}}))

    def edit(session: Session) -> None:
        [fault] = session.edit(answered(session, '{"weeks": 1}'))
        assert fault.startswith("target-schema")
        assert session.done == 0
        assert session.edit(answered(session, '{"days": 2}')) == []

    decide(open_rows(built.output, row_kind()), built.output, edit)


def test_what_a_person_dropped_can_be_taken_back(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)
    decide(open_rows(first.output, row_kind()), first.output, choose("t3", "drop"))
    assert rejected(build(recipe))["t3"] == ("review", "reviewed")
    decide(RejectedDeck(first.output), first.output, choose("t3", "keep"))
    built = build(recipe)
    assert "t3" in written(built)
    assert built.manifest.reports["review"]["stale"] == 0


INTENTS = [chat(f"please {topic}", '{"intent": "other"}', id=f"t{n}") for n, topic in enumerate(TOPICS)]


def with_schema(folder: Path, **settings: Any) -> Path:
    """A recipe whose answers have to satisfy a schema that stands in a file beside it."""
    (folder / "answer.json").write_text('{"type": "object", "required": ["intent"]}')
    return write_recipe(folder, INTENTS, {"validate": {"target_schema": "answer.json", **settings}})


def edit(item: str, change: Callable[[Session], Row], faults: list[str]) -> Callable[[Session], None]:
    """Edits a row, which meets these faults."""

    def act(session: Session) -> None:
        session.go_to(next(at for at in range(len(session.deck)) if session.deck.key(at).item == item))
        assert [fault.partition(":")[0] for fault in session.edit(change(session))] == faults

    return act


def test_an_edit_has_to_satisfy_the_schema_beside_the_recipe(tmp_path: Path) -> None:
    built = build(with_schema(tmp_path))
    deck = open_rows(built.output, row_kind())
    decide(deck, built.output, edit("t1", lambda session: answered(session, '{"intent": '), ["target-not-json"]))
    decide(deck, built.output, edit("t1", lambda session: answered(session, "{}"), ["target-schema"]))
    decide(deck, built.output, edit("t1", lambda session: answered(session, '{"intent": "x"}'), []))


def test_a_rule_that_the_recipe_turned_off_stops_no_edit(tmp_path: Path) -> None:
    built = build(with_schema(tmp_path, severity={"target-schema": "warning"}))
    decide(open_rows(built.output, row_kind()), built.output, edit("t1", lambda session: answered(session, "{}"), []))


def test_a_schema_that_has_changed_since_is_left_to_the_next_build(tmp_path: Path) -> None:
    recipe = with_schema(tmp_path)
    built = build(recipe)
    (tmp_path / "answer.json").write_text('{"type": "object", "required": ["intent", "why"]}')
    decide(open_rows(built.output, row_kind()), built.output, edit("t1", lambda session: answered(session, "{}"), []))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits come into the journal unseen, as from another tool."""
    monkeypatch.setattr(RowDeck, "faults", lambda *_: [])


@pytest.mark.usefixtures("unchecked")
def test_an_edit_that_breaks_a_rule_is_rejected_by_the_build(tmp_path: Path) -> None:
    recipe = with_schema(tmp_path)
    built = build(recipe)
    change = edit("t1", lambda session: answered(session, '{"intent": '), [])
    decide(open_rows(built.output, row_kind()), built.output, change)
    again = build(recipe)
    assert rejected(again)["t1"] == ("review", "target-not-json")
    assert written(again).keys() == written(built).keys() - {"t1"}
    assert again.manifest.reports["review"]["refused"] == {"target-not-json": 1}
    assert "1 rows were edited into what is not kept (target-not-json 1): review them again" in again.warnings
    assert "edits refused" in (again.output / "card.md").read_text()


@pytest.mark.usefixtures("unchecked")
def test_an_edit_goes_through_screens_and_decontamination(tmp_path: Path) -> None:
    question = "How many blue marbles does Tom have after he gives nine of his twenty marbles to Ann and two to Bob?"
    (tmp_path / "suite.jsonl").write_text(json.dumps({"id": "q1", "question": question, "answer": "9"}) + "\n")
    settings = {
        "decontaminate": {"against": [{"path": "suite.jsonl"}]},
        "screens": {"personal_data": {"action": "redact"}},
    }
    recipe = write_recipe(tmp_path, records(), settings)
    built = build(recipe)

    def act(session: Session) -> None:
        edit("t1", lambda session: answered(session, "Write to ann.lee@mail-host.org."), [])(session)
        edit("t2", lambda session: asked(session, question), [])(session)

    decide(open_rows(built.output, row_kind()), built.output, act)
    again = build(recipe)
    assert "ann.lee" not in written(again)["t1"]["messages"][1]["content"]
    assert rejected(again)["t2"] == ("review", "quarantined")


def asked(session: Session, prompt: str) -> Row:
    """The row that the reviewer is at, with another prompt."""
    row = session.row
    assert row is not None
    return msgspec.structs.replace(row, messages=[Message("user", prompt), *row.messages[1:]])


def test_an_edited_prompt_that_another_row_has_is_a_duplicate(tmp_path: Path) -> None:
    recipe = with_schema(tmp_path)
    built = build(recipe)
    change = edit("t1", lambda session: asked(session, f"please {TOPICS[0]}"), [])
    decide(open_rows(built.output, row_kind()), built.output, change)
    again = build(recipe)
    assert rejected(again) == {"t1": ("exact", "exact-duplicate")}
    assert written(again).keys() == written(built).keys() - {"t1"}
    assert sum(one.rejected for one in again.manifest.stages) == 1


def test_an_edit_can_settle_a_conflict_and_make_one(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, [*records(), chat("please track parcel seven", "Track it yourself.", id="rude")])
    built = build(recipe)
    assert built.manifest.conflicts == [["rude", "t7"]]

    def act(session: Session) -> None:
        edit("rude", lambda session: asked(session, "is there a train to the north tonight"), [])(session)
        edit("t1", lambda session: asked(session, f"please {TOPICS[0]}"), [])(session)

    decide(open_rows(built.output, row_kind()), built.output, act)
    assert build(recipe).manifest.conflicts == [["t0", "t1"]]


def test_what_a_pair_was_said_to_be_still_holds_beside_an_edit(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)
    decide(PairDeck(first.output), first.output, choose("near ~ kept", "1"))
    change = edit("t1", lambda session: answered(session, "Go right."), [])
    decide(open_rows(first.output, row_kind()), first.output, change)
    built = build(recipe)
    assert {"near", "kept", "t1"} <= written(built).keys()
    assert built.manifest.reports["review"]["taken_back"] == {"near": 1}


def test_decisions_on_rows_that_read_otherwise_are_said_on_the_terminal(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, records())
    first = build(recipe)
    decide(open_rows(first.output, row_kind()), first.output, choose("t3", "drop"))
    changed = records()
    changed[3]["messages"][1]["content"] = "Another answer."
    warnings = build(write_recipe(tmp_path, changed)).warnings
    assert any(text.startswith("1 decisions are on rows that read otherwise now or are gone") for text in warnings)


def test_both_rows_of_a_pair_are_shown_as_rows_whatever_file_they_are_of(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        f'id;body;reply\nkept;{LONG} please;"On; its way."\nnear;{LONG};"On; its way."\n'
    )
    way = "how do I get to the station from the big market place in the old town"
    pair = {"prompt": [{"role": "system", "content": "Be brief."}], "chosen": "good", "rejected": "bad"}
    pairs = [{**pair, "prompt": [*pair["prompt"], {"role": "user", "content": way + end}]} for end in ("", " now")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in pairs))
    sources = [
        {"name": "table", "path": "rows.csv", "map": {"prompt": "body", "answer": "reply", "id": "id"}},
        {"name": "pairs", "path": "pairs.jsonl"},
    ]
    settings = {"sources": sources, "guards": {"min_rows": 1}, "split": {"shares": {"train": 1, "val": 0, "test": 0}}}
    deck = PairDeck(build(write_recipe(tmp_path, [], settings)).output)
    items = [deck.item(at) for at in range(len(deck))]
    assert len(items) == 2
    for item in items:
        assert ("compared", "the prompts") in item.why
        assert item.sides is not None
        for side in item.sides:
            assert f"user: {LONG}" in side.text or f"system: Be brief.\nuser: {way}" in side.text
            assert side.text.endswith(("assistant: On; its way.", "assistant: good\nrejected answer: bad"))


@pytest.mark.parametrize(
    ("choice", "left"), [("keep", {"t7", "rude"}), ("1", {"rude"}), ("2", {"t7"}), ("drop", set())]
)
def test_a_conflict_is_shown_with_both_texts_and_settled(tmp_path: Path, choice: str, left: set[str]) -> None:
    rude = chat("please track parcel seven", "Track it yourself.", id="rude", label="bad")
    recipe = write_recipe(tmp_path, [*records(), rude])
    deck = conflict_deck(build(recipe).output)
    item = deck.item(0)
    assert item.sides is not None
    assert [side.text.splitlines()[1] for side in item.sides] == [
        "assistant: Track it yourself.", "assistant: To track parcel seven, go on."
    ]  # fmt: skip
    assert item.why == (("label differs", "bad | none"),)
    decide(deck, tmp_path / "out", choose("rude ~ t7", choice))
    built = build(recipe)
    assert {"t7", "rude"} & written(built).keys() == left
    assert built.manifest.reports["review"]["stale"] == 0
    assert built.manifest.conflicts == ([["rude", "t7"]] if choice == "keep" else [])
    assert len(conflict_deck(built.output)) == (choice == "keep")
