from hypothesis import given
from hypothesis import strategies as st

from curate.core.prices import TokenPrice
from curate.core.rows.row import Message, Row
from curate.synthesize.config import Audit, Budget
from curate.synthesize.job import audit_sample
from curate.synthesize.spending import open_purse, spent
from curate.table.ties import seed_ties
from tests.curate.row_makers import select


def row_of(row_id: str, seed: str | None = None) -> Row:
    meta = {"synthetic": {"seed_row": seed}} if seed else {}
    return Row(id=row_id, messages=[Message("user", row_id)], meta=meta)


def test_a_row_is_tied_to_its_seed_and_its_siblings() -> None:
    made = {"a": None, "a1": "a", "a2": "a", "a11": "a1", "b": None, "c1": "c"}
    ties = seed_ties(select([row_of(name, seed) for name, seed in made.items()]))
    assert ties["a"] == ties["a1"] == ties["a2"] == ties["a11"]
    assert "b" not in ties
    assert ties["c1"] != ties["a"]


def test_rows_that_name_each_other_as_seed_do_not_hang() -> None:
    assert len(seed_ties(select([row_of("a", "b"), row_of("b", "a")]))) == 2


@given(st.integers(0, 80), st.integers(0, 20), st.floats(0, 1))
def test_the_audit_sample_has_its_size_and_moves_little(rows: int, at_least: int, share: float) -> None:
    made = [row_of(str(number)) for number in range(rows)]
    chosen = audit_sample(made, Audit(share=share, at_least=at_least), seed=1)
    assert len(chosen) == min(rows, max(at_least, -int(-share * rows // 1)))
    assert audit_sample(list(reversed(made)), Audit(share=share, at_least=at_least), seed=1) == chosen
    more = audit_sample([*made, row_of("new")], Audit(share=share, at_least=at_least), seed=1)
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
