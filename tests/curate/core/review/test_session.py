"""The machine behind every screen: undo is the inverse of do, replay is the state, nothing is pending twice."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import ConfigError
from curate.core.review.decisions import Event
from curate.core.review.items import Chosen
from curate.core.review.session import Session
from curate.review.rows_deck import RowDeck, row_kind
from tests.curate.core.review.decks import make_deck, make_session, record, state, write_rows

KIND = row_kind()
CHOICES = {choice.name: choice for choice in KIND.choices}


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> RowDeck:
    return make_deck(tmp_path_factory.mktemp("deck"))


Act = Callable[[Session], object]
ACTS: dict[str, Act] = {
    "keep": lambda s: s.decide(CHOICES["keep"]),
    "drop": lambda s: s.decide(CHOICES["drop"]),
    "reason": lambda s: s.decide(CHOICES["3"]),
    "skip": lambda s: s.decide(CHOICES["skip"]),
    "note": lambda s: s.note("look again"),
    "undo": lambda s: s.undo(),
    "redo": lambda s: s.redo(),
    "next": lambda s: s.move(1),
    "previous": lambda s: s.move(-1),
    "pending": lambda s: s.next_pending(),
    "back": lambda s: s.previous_pending(),
    "refunds": lambda s: s.show(s.matching("label:refund"), "label:refund"),
    "open": lambda s: s.show(s.matching("decision:pending"), "decision:pending"),
    "all": lambda s: s.show(s.matching(""), ""),
    "longest": lambda s: s.sort_by("length"),
    "bulk": lambda s: s.decide_all(CHOICES["flag"]),
}
DECIDING = ("keep", "drop", "reason", "skip", "note", "bulk")
acts = st.lists(st.sampled_from(sorted(ACTS)), max_size=25)


@given(acts, st.sampled_from(DECIDING))
def test_undo_takes_back_what_was_done_and_returns_to_it(deck: RowDeck, before: list[str], act: str) -> None:
    session = make_session(deck, [])
    for name in before:
        ACTS[name](session)
    was, at, steps = state(session), session.at, len(session._history.done)
    ACTS[act](session)
    if len(session._history.done) == steps:  # nothing was shown, so nothing could be decided
        assert at is None
        return
    after = state(session)
    assert session.undo()
    assert state(session) == was
    assert session.at == at or act == "bulk"
    assert session.redo()
    assert state(session) == after


@given(acts)
def test_replay_is_the_state_with_all_that_can_be_undone(deck: RowDeck, names: list[str]) -> None:
    events: list[Event] = []
    session = make_session(deck, events)
    for name in names:
        ACTS[name](session)
    again = make_session(deck, list(events))
    assert state(again) == state(session)
    assert (again.done, again.counts) == (session.done, session.counts)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for one in (session, again):
        while one.undo():
            pass
    assert state(again) == state(session) == {}


@given(acts)
def test_what_is_counted_is_what_is_decided(deck: RowDeck, names: list[str]) -> None:
    session = make_session(deck, [])
    for name in names:
        ACTS[name](session)
    decided = [at for at in range(len(deck)) if not session.is_pending(at)]
    assert session.done == len(decided) == session.counts.total() == len(list(session.decided()))
    assert session.left == len(deck) - session.done
    assert len(session) == 0 or 0 <= session.cursor < len(session)


@given(acts)
def test_nothing_is_pending_twice(deck: RowDeck, names: list[str]) -> None:
    session = make_session(deck, [])
    for name in names:
        ACTS[name](session)
    session.show(session.matching(""), "")
    session.next_pending()
    seen = []
    while session.left:
        assert session.at is not None
        assert session.is_pending(session.at)
        seen.append(session.at)
        session.decide(CHOICES["keep"])
    assert len(set(seen)) == len(seen)
    assert not session.next_pending()


def test_a_decision_moves_on_to_the_next_pending_item(deck: RowDeck) -> None:
    session = make_session(deck, [])
    session.decide(CHOICES["keep"])
    assert session.at == 1
    session.move(3)
    session.decide(CHOICES["drop"])
    assert session.at == 5
    session.go_to(3)
    session.decide(CHOICES["keep"])
    assert session.at == 5  # 4 has been decided
    session.go_to(7)
    session.decide(CHOICES["keep"])
    assert session.at == 1  # from the last on to the first that is left


def test_undo_of_a_bulk_takes_back_all_of_it(deck: RowDeck) -> None:
    events: list[Event] = []
    session = make_session(deck, events)
    session.decide(CHOICES["keep"])
    session.show(session.matching("label:refund"), "label:refund")
    assert session.decide_all(CHOICES["drop"]) == 4
    assert state(session) == dict.fromkeys((0, 2, 4, 6), ("drop", "", ""))
    session.undo()
    assert state(session) == {0: ("keep", "", "")}
    assert session.at == 0
    assert {event.bulk for event in events[1:5]} == {2}


def test_a_note_stays_with_the_item_through_decisions(deck: RowDeck) -> None:
    session = make_session(deck, [])
    session.note("odd")
    assert session.is_pending(0)
    session.decide(CHOICES["drop"])
    assert state(session)[0] == ("drop", "", "odd")
    session.go_to(0)
    session.note("very odd")
    assert state(session)[0] == ("drop", "", "very odd")
    assert not session.is_pending(0)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("label:refund", [0, 2, 4, 6]),
        ("-label:refund", [1, 3, 5, 7]),
        ("label:refund,cancel id:r3", [3]),
        ("decision:keep", [0]),
        ("decision:pending label:refund", [2, 4, 6]),
        ('text~"question 5"', [5]),
        ("answer 6", [6]),
        ('"answer 6."', [6]),
        ("source:web origin:gold id~R7", [7]),
        ("label:nobody", []),
        ("note~odd", [1]),
        ("cluster:12", []),
    ],
)
def test_filters(deck: RowDeck, written: str, expected: list[int]) -> None:
    session = make_session(deck, [])
    session.decide(CHOICES["keep"])
    session.note("odd")
    assert list(session.matching(written)) == expected


def test_a_filter_on_an_unknown_field_is_refused(deck: RowDeck) -> None:
    with pytest.raises(ConfigError, match="no item has a field 'colour'"):
        make_session(deck, []).matching("colour:red")


def test_undo_of_what_is_filtered_out_shows_everything_again(deck: RowDeck) -> None:
    session = make_session(deck, [])
    session.decide(CHOICES["keep"])
    session.show(session.matching("label:cancel"), "label:cancel")
    session.undo()
    assert (session.at, session.filter, len(session)) == (0, "", 8)


def test_a_step_that_cannot_be_recorded_does_not_hold(deck: RowDeck) -> None:
    def refuse(_: object) -> None:
        raise OSError("disk full")

    session = Session(deck, [], refuse, reviewer="ann", clock=float, stamp=str)
    with pytest.raises(OSError, match="disk full"):
        session.decide(CHOICES["keep"])
    assert state(session) == {}
    assert session.at == 0
    assert session.is_pending(0)


def test_a_sample_keeps_its_own_positions(tmp_path: Path) -> None:
    deck = make_deck(tmp_path)
    events: list[Event] = []
    session = make_session(Chosen(deck, [6, 1, 3]), events)
    session.decide(CHOICES["drop"])
    assert [event.item for event in events] == ["r6"]
    assert state(make_session(deck, events)) == {6: ("drop", "", "")}
    assert session.left == 2


def test_the_pace_is_the_median_of_what_decisions_took(deck: RowDeck) -> None:
    times = iter([0.0, 2.0, 4.0, 3600.0, 3602.0])
    session = Session(deck, [], lambda _: None, reviewer="ann", clock=lambda: next(times), stamp=str)
    assert session.seconds_each is None
    for _ in range(5):
        session.decide(CHOICES["keep"])
    assert session.seconds_each == 2.0


def test_sorting(tmp_path: Path) -> None:
    rows = [record(n, meta={"uncertainty": value}) for n, value in enumerate((0.1, 0.9, 0.5))]
    session = make_session(RowDeck([write_rows(tmp_path / "rows.jsonl", rows)]), [])
    session.sort_by("uncertainty")
    assert [session.position(place) for place in range(3)] == [1, 2, 0]
    assert session.at == 0  # the reviewer stays at the item
    session.sort_by("order")
    assert [session.position(place) for place in range(3)] == [0, 1, 2]
    with pytest.raises(ConfigError, match="can't be sorted by 'similarity'"):
        session.sort_by("similarity")
