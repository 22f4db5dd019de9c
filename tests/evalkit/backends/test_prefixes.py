from hypothesis import given
from hypothesis import strategies as st

from evalkit.backends.prefixes import common_prefix, prefix_groups

HEAD_A, HEAD_B = [1] * 300, [1] * 20 + [2] * 300


def test_prompts_with_one_long_start_are_one_group() -> None:
    assert prefix_groups([[*HEAD_A, n] for n in range(8)], 16) == [list(range(8))]


def test_two_long_starts_make_two_groups_where_that_saves_more_than_it_costs() -> None:
    prompts = [[*(HEAD_A if n % 2 else HEAD_B), n] for n in range(8)]
    assert sorted(map(sorted, prefix_groups(prompts, 16))) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert len(prefix_groups(prompts, 400)) == 1  # steps that long cost more than reading 840 tokens again


def test_prompts_whose_starts_nobody_shares_stay_together() -> None:
    prompts = [[n] * 100 for n in range(5, 10)] + [[*HEAD_A, n] for n in range(5)]
    groups = prefix_groups(prompts, 8)
    assert sorted(map(sorted, groups)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_long_starts_are_found_behind_a_short_one_that_they_share() -> None:
    prompts = [[*[9] * 4, *[n % 2] * 200, n] for n in range(8)] + [[5, 5]]
    assert sorted(map(sorted, prefix_groups(prompts, 16))) == [[0, 2, 4, 6], [1, 3, 5, 7], [8]]


def test_prompts_that_part_one_after_the_other_are_no_trouble() -> None:
    prompts = [[1] * n + [2] * 50 for n in range(1500)]
    assert sum(map(len, prefix_groups(prompts, 1))) == 1500


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=12), st.integers(0, 2))
def test_every_prompt_is_in_one_group_whose_start_is_no_shorter(prompts: list[list[int]], steps: int) -> None:
    groups = prefix_groups(prompts, steps)
    assert sorted(n for group in groups for n in group) == list(range(len(prompts)))
    shared = common_prefix(prompts)
    assert all(common_prefix([prompts[n] for n in group]) >= shared for group in groups)
