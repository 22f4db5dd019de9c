"""Slices and traits of broken items: named in the same order in every process."""

import numpy as np

from curate.core.rows.row import Message, Row
from evalkit.gate.traits import in_common, slices

ITEMS = [
    Row(
        id=f"i{number}",
        messages=[
            Message("user", f"{'please refund that order' if number % 2 else 'weather in Oslo'} {number}"),
            Message("assistant", "-"),
        ],
        label="dbca"[number // 2 % 4],
    )
    for number in range(40)
]
BROKEN = np.array([number % 2 == 1 for number in range(40)])


def test_slices_that_cost_the_same_stand_in_the_order_of_the_items() -> None:
    found = slices(ITEMS, -BROKEN.astype(np.float64))
    assert [one.trait for one in found] == ["label = d", "label = b", "label = c", "label = a"]


def test_words_of_the_same_items_stand_in_the_order_of_the_question() -> None:
    words = ", ".join(f"the question says {word!r}" for word in ("please", "refund", "that"))
    assert [one.trait for one in in_common(ITEMS, BROKEN, {}, {})] == [words]
