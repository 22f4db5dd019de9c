import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.batches import epoch_batches, pad, split_by_tokens, step_batches
from trainer.data.tokenized_row import TokenizedRow

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


def test_the_batches_of_all_steps_are_those_of_the_epochs() -> None:
    lengths = [10 + i % 7 for i in range(30)]
    whole = [batch for epoch in range(3) for batch in epoch_batches(lengths, 4, 1, epoch)]
    for steps in (0, 1, 8, 9, 20):
        assert list(step_batches(lengths, 4, 1, steps)) == whole[:steps]


def test_rows_of_similar_length_meet() -> None:
    lengths = [20 + (37 * i) % 200 for i in range(400)]

    def padded(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    in_order = [list(range(i, i + 8)) for i in range(0, 400, 8)]
    grouped = padded(epoch_batches(lengths, 8, 0, 0))
    assert grouped < 1.12 * sum(lengths)
    assert grouped < 0.75 * padded(in_order)


@given(LENGTHS, st.integers(1, 2000), st.integers(1, 4))
def test_parts_lose_nothing_keep_workers_busy_and_about_keep_to_the_budget(
    lengths: list[int], budget: int, at_once: int
) -> None:
    parts = split_by_tokens(range(len(lengths)), lengths, budget, at_once)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert all(parts)
    assert len(parts) == len(lengths) or len(parts) % at_once == 0
    sizes = [sum(lengths[row] for row in part) for part in parts]
    # Graham's bound for the longest first: no part exceeds the mean by more than one row.
    assert max(sizes) <= sum(sizes) / len(sizes) + max(lengths)
    assert sum(sizes) / len(sizes) <= budget / at_once or len(parts) == len(lengths)


@given(LENGTHS, st.integers(2, 4), st.integers(0, 5000))
def test_what_a_first_part_has_ahead_counts_as_its_work(lengths: list[int], at_once: int, ahead: int) -> None:
    parts = split_by_tokens(range(len(lengths)), lengths, sum(lengths) + 1, at_once, ahead)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert len(parts) == min(at_once, len(lengths))
    assert all(parts)  # a part with too much ahead has a row all the same: its loss is that row's
    first, *others = [sum(lengths[row] for row in part) for part in parts]
    if len(parts[0]) > 1:
        assert all(ahead + first <= other + max(lengths) for other in others)


def test_padding_is_at_the_end_and_predicts_nothing() -> None:
    samples = [TokenizedRow("a", [5, 6, 7], [False, True, True]), TokenizedRow("b", [8, 9], [False, True])]
    batch = pad(samples, torch.device("cpu"))
    # From the last token that counts nothing is predicted, so it is a target alone.
    assert batch.ids_BT.tolist() == [[5, 6], [8, 0]]
    assert (batch.predicting_N.tolist(), batch.targets_N.tolist()) == ([0, 1, 2], [6, 7, 9])
