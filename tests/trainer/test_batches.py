from hypothesis import given
from hypothesis import strategies as st

from trainer.batches import collate, epoch_batches, split_by_tokens
from trainer.dataset import Sample

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_every_row_comes_once_an_epoch(lengths: list[int], batch_rows: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(lengths, batch_rows, seed, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == batch_rows for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_rows


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = [10 + i % 7 for i in range(64)]
    assert epoch_batches(lengths, 4, 1, 0) == epoch_batches(lengths, 4, 1, 0)
    assert epoch_batches(lengths, 4, 1, 0) != epoch_batches(lengths, 4, 1, 1)
    assert epoch_batches(lengths, 4, 1, 0) != epoch_batches(lengths, 4, 2, 0)


def test_rows_of_similar_length_meet() -> None:
    lengths = [20 + (37 * i) % 200 for i in range(400)]

    def padded(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    in_order = [list(range(i, i + 8)) for i in range(0, 400, 8)]
    grouped = padded(epoch_batches(lengths, 8, 0, 0))
    assert grouped < 1.12 * sum(lengths)
    assert grouped < 0.75 * padded(in_order)


@given(LENGTHS, st.integers(1, 2000))
def test_parts_keep_to_the_budget_and_lose_nothing(lengths: list[int], budget: int) -> None:
    parts = split_by_tokens(range(len(lengths)), lengths, budget)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or max(lengths[row] for row in part) * len(part) <= budget


def test_padding_is_at_the_end_and_never_supervised() -> None:
    batch = collate([Sample("a", [5, 6, 7], [False, True, True]), Sample("b", [8], [False])])
    assert batch.ids_BT.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.supervised_BT.tolist() == [[False, True, True], [False, False, False]]
