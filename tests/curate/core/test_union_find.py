"""Sets that grow together are the connected parts of a graph."""

from hypothesis import given
from hypothesis import strategies as st

from curate.core.union_find import UnionFind

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


@given(PAIRS)
def test_what_is_joined_has_one_smallest_member(pairs: list[tuple[int, int]]) -> None:
    sets = UnionFind[int]()
    for one, other in pairs:
        sets.join(one, other)
    reached = {member: {member} for pair in pairs for member in pair}
    for _ in range(len(reached)):
        for one, other in pairs:
            reached[one] = reached[other] = reached[one] | reached[other]
    assert sets.all() == {member: min(found) for member, found in reached.items()}
    assert sets.smallest(31) == 31
