"""Duplicates against brute force: what is dropped repeats what is kept, and nothing else is dropped."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.rows import Message, Row
from curate.entries import Entry, Outcome
from curate.exact import drop_exact
from curate.near import drop_near
from curate.normalize import text_key
from curate.pipeline import check_account
from tests.curate.row_makers import make_context, make_entries, make_row

WORDS = [f"w{n}" for n in range(40)]


def similarity(a: str, b: str, ngram: int = 3) -> float:
    first, second = (
        {tuple(words[at : at + ngram]) for at in range(len(words) - ngram + 1)} for words in (a.split(), b.split())
    )
    return len(first & second) / len(first | second) if first | second else 0.0


def noisy_texts(seed: int, count: int) -> list[str]:
    """Texts of which many are edited copies of others, with similarities all over the range."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(count // 3)]
    while len(texts) < count:
        words = draw.choice(texts).split()
        for _ in range(draw.randint(0, 3)):
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        texts.append(" ".join(words))
    return texts


def by_id(entries: list[Entry]) -> dict[str, Row]:
    return {entry.row.id: entry.row for entry in entries}


def run_near(made: list[Row], /, **dedup: Any) -> tuple[list[Entry], Outcome]:
    entries = make_entries(made)
    outcome = drop_near(entries, make_context(dedup=dedup))
    check_account("near", entries, outcome)
    return entries, outcome


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
def test_near_duplicates_against_all_pairs(seed: int, threshold: float) -> None:
    texts = list(dict.fromkeys(noisy_texts(seed, 150)))
    rows = [make_row(text, "same", id=str(n)) for n, text in enumerate(texts)]
    _, outcome = run_near(rows, threshold=threshold, bands=128, rows=1)
    kept = by_id(outcome.kept)
    for rejection in outcome.rejections:
        assert rejection.because_of is not None
        assert rejection.id is not None
        text, instead = texts[int(rejection.id)], kept[rejection.because_of.id].messages[0].text
        exact = similarity(text, instead)
        assert exact >= threshold
        assert rejection.because_of.similarity == pytest.approx(exact, abs=1e-4)
    # With 128 bands of one row a pair at 0.3 is missed once in 10^19, so no similar pair may be left.
    for a, b in itertools.combinations(kept.values(), 2):
        assert similarity(a.messages[0].text, b.messages[0].text) < threshold


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=7).map(" ".join), max_size=25), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter(texts: list[str], shuffle: random.Random) -> None:
    rows = [make_row(text, f"answer {n % 2}", id=str(n)) for n, text in enumerate(texts)]
    shuffled = rows.copy()
    shuffle.shuffle(shuffled)
    for stage in (drop_exact, drop_near):
        one = stage(make_entries(rows), make_context())
        other = stage(make_entries(shuffled), make_context())
        assert by_id(one.kept) == by_id(other.kept)
        assert {(r.id, r.reason, r.because_of) for r in one.rejections} == {
            (r.id, r.reason, r.because_of) for r in other.rejections
        }
        assert one.ties == other.ties


def test_a_chain_keeps_both_ends_and_ties_them() -> None:
    words = [f"c{n}" for n in range(30)]
    ends = [" ".join(words[:25]), " ".join(words[5:])]
    middle = " ".join(words)
    assert similarity(ends[0], ends[1]) < 0.7 <= min(similarity(middle, end) for end in ends)
    # The middle is longest: it is kept and both ends go.
    _, outcome = run_near([make_row(text, id=text[:3]) for text in (*ends, middle)])
    assert [entry.row.messages[0].text for entry in outcome.kept] == [middle]
    # The shortest are preferred: the ends stay, are not similar to each other, and are tied through the middle.
    _, outcome = run_near([make_row(text, id=text[:3] + text[-3:]) for text in (*ends, middle)], prefer=["shortest"])
    assert {entry.row.messages[0].text for entry in outcome.kept} == set(ends)
    assert len(set(outcome.ties.values())) == 1
    assert len(outcome.ties) == 2


@pytest.mark.parametrize("seed", range(5))
def test_gold_never_goes_for_synthetic(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        make_row(text, "same", id=str(n), origin=draw.choice(["gold", "synthetic"]))
        for n, text in enumerate(noisy_texts(seed, 150))
    ]
    for stage in (drop_exact, drop_near):
        entries = make_entries(rows)
        outcome = stage(entries, make_context())
        origins = {entry.row.id: entry.row.origin for entry in entries}
        for rejection in outcome.rejections:
            assert rejection.because_of is not None
            assert rejection.id is not None
            assert origins[rejection.id] == "synthetic" or origins[rejection.because_of.id] == "gold"


def test_one_prompt_with_different_answers_is_a_conflict_and_stays() -> None:
    text = " ".join(WORDS[:20])
    rows = [make_row(text, "yes", id="a"), make_row(text, "no", id="b"), make_row(f"{text} w1", "maybe", id="c")]
    _, outcome = run_near(rows, prefer=["shortest"])
    assert set(by_id(outcome.kept)) == {"a", "b"}
    # Where the similar row is preferred, it stays too; no one of a conflict goes for another prompt.
    _, other = run_near(rows, prefer=["longest"])
    assert set(by_id(other.kept)) == {"a", "b", "c"}
    assert other.ties == {"a": "a", "b": "a", "c": "a"}
    assert outcome.conflicts == other.conflicts == [["a", "b"]]
    assert outcome.ties == {"a": "a", "b": "a"}


def test_system_messages_do_not_count_in_what_is_compared() -> None:
    def row(system: str, prompt: str) -> Row:
        messages = [Message("system", system), Message("user", prompt), Message("assistant", "ok")]
        return Row(id=f"{system[:2]}{prompt[:5]}", messages=messages)

    template = " ".join(WORDS)
    _, outcome = run_near([row(template, "one two three four"), row(template, "five six seven eight")])
    assert not outcome.rejections
    entries = make_entries([row("s1", "one two three four"), row("s2", "one two three four")])
    assert not drop_exact(entries, make_context()).rejections
    assert len(drop_near(entries, make_context()).rejections) == 1


@pytest.mark.parametrize(("on", "left"), [("prompt", 2), ("answer", 1), ("conversation", 2)])
def test_what_is_compared(on: str, left: int) -> None:
    rows = [make_row(prompt, "a long answer that is the same", id=prompt) for prompt in ("hello there", "good bye now")]
    assert len(run_near(rows, on=on)[1].kept) == left


def test_dedup_null_turns_near_duplicates_off() -> None:
    entries = make_entries([make_row("a b c d e f", id="1"), make_row("a b c d e f", id="2")])
    assert len(drop_near(entries, make_context(dedup=None)).kept) == 2


@given(st.lists(st.tuples(st.sampled_from(["a", "A ", " b\n", "b", "c"]), st.sampled_from("xyX")), max_size=20))
def test_exact_keeps_one_of_each(pairs: list[tuple[str, str]]) -> None:
    entries = make_entries([make_row(prompt, answer, id=str(n)) for n, (prompt, answer) in enumerate(pairs)])
    outcome = drop_exact(entries, make_context())
    check_account("exact", entries, outcome)
    keys = [(text_key(e.row.messages[0].text), text_key(e.row.answer)) for e in outcome.kept]
    assert len(keys) == len(set(keys)) == len({(p.strip().lower(), a.lower()) for p, a in pairs})


def test_one_id_for_two_different_rows_leaves_one() -> None:
    outcome = drop_exact(make_entries([make_row("p", id="x"), make_row("q", id="x")]), make_context())
    assert len(outcome.kept) == 1
    assert [rejection.reason for rejection in outcome.rejections] == ["duplicate-id"]


def test_the_ledger_refuses_a_stage_that_loses_a_row(tmp_path: Path) -> None:
    entries = make_entries([make_row("p"), make_row("q")])
    with pytest.raises(RuntimeError, match="stage s: 2 rows went in, 1 kept"):
        check_account("s", entries, Outcome(entries[:1], []))
    with pytest.raises(RuntimeError, match="2 kept"):
        check_account("s", entries, Outcome([entries[0], entries[0]], []))


def test_the_same_for_any_number_of_threads() -> None:
    rows = [make_row(text, "same", id=str(n)) for n, text in enumerate(noisy_texts(1, 400))]
    outcomes = [drop_near(make_entries(rows), make_context(threads=threads)) for threads in (1, 2, 5)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0].rejections
