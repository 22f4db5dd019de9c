from curate.table.row_ref import Entry, Place
from hypothesis import given
from hypothesis import strategies as st

from curate.core.prices import TokenPrice
from curate.core.rows.row import Message, Row
from curate.synthesize.config import Audit, Budget
from curate.synthesize.job import audit_sample, seed_ties
from curate.synthesize.spending import open_purse, spent


def entry(row_id: str, seed: str | None = None) -> Entry:
    meta = {"synthetic": {"seed_row": seed}} if seed else {}
    row = Row(id=row_id, messages=[Message("user", row_id)], meta=meta)
    return Entry(row, Place("rows", "rows.jsonl", 1, 0), b"")


def test_a_row_is_tied_to_its_seed_and_its_siblings() -> None:
    entries = [entry("a"), entry("a1", "a"), entry("a2", "a"), entry("a11", "a1"), entry("b"), entry("c1", "c")]
    ties = seed_ties(entries)
    assert ties["a"] == ties["a1"] == ties["a2"] == ties["a11"]
    assert "b" not in ties
    assert ties["c1"] != ties["a"]


def test_rows_that_name_each_other_as_seed_do_not_hang() -> None:
    assert len(seed_ties([entry("a", "b"), entry("b", "a")])) == 2


@given(st.integers(0, 80), st.integers(0, 20), st.floats(0, 1))
def test_the_audit_sample_has_its_size_and_moves_little(rows: int, at_least: int, share: float) -> None:
    made = [entry(str(number)).row for number in range(rows)]
    chosen = audit_sample(made, Audit(share=share, at_least=at_least), seed=1)
    assert len(chosen) == min(rows, max(at_least, -int(-share * rows // 1)))
    assert audit_sample(list(reversed(made)), Audit(share=share, at_least=at_least), seed=1) == chosen
    more = audit_sample([*made, entry("new").row], Audit(share=share, at_least=at_least), seed=1)
    assert len({row.id for row in chosen} - {row.id for row in more}) <= 1


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=40))
def test_no_order_of_calls_exceeds_the_budget(calls: list[tuple[int, int, bool]]) -> None:
    price = TokenPrice(prompt=2, completion=4)
    purse = open_purse(Budget(calls=20, tokens=300, money=0.001), price, [])
    held: list[tuple[int, int]] = []
    for prompt, completion, at_once in calls:
        if purse.reserve((prompt, completion), price) == "yes":
            held.append((prompt, completion))
        if at_once and held:
            purse.settle(held[0], held.pop(0), price)
    for one in held:
        purse.settle(one, one, price)
    used = spent(purse, price)
    assert used.calls <= 20
    assert used.prompt_tokens + used.completion_tokens <= 300
    assert used.money is not None
    assert used.money <= 0.001
