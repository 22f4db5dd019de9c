"""Rejections in columns: they say what the same rejections say one by one, to whoever asks."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from curate.table.row_ref import Because, Rejection, encode_rejection, reject

from curate.dedup.cluster_table import Texts, ids_among, repeated
from curate.table.rejections import (
    Found,
    Others,
    Rejections,
    Repeats,
    Rule,
    count_reasons,
    rejected_lines,
    rejected_rows,
    sizes_by_path,
    sizes_by_rule,
)
from tests.curate.row_makers import make_entries, make_row

RULES = [Rule("near", "{similarity:.2f} of {name}"), Rule("earlier", "as {name} says {{so}}")]


@pytest.fixture
def repeats() -> Repeats:
    entries = make_entries([make_row(f"prompt {n}", id=f"r{n}") for n in range(6)])
    found = Found(np.array([4, 1, 3]), np.array([0, ~1, 5]), np.array([0.5, 1.0, 0.75]), np.array([0, 1, 0], np.uint8))
    return Repeats("near", entries, found, RULES, Others(["x", "y"], ["old", "older"]))


def one_by_one(repeats: Repeats) -> list[Rejection]:
    row = dict(zip(("r4", "r1", "r3"), repeats.rows, strict=True))
    return [
        reject(row["r4"], "near", "near", "0.50 of r0", Because("r0", 0.5)),
        reject(row["r1"], "near", "earlier", "as y of older says {so}", Because("y", 1.0, "older")),
        reject(row["r3"], "near", "near", "0.75 of r5", Because("r5", 0.75)),
    ]


def told(rejections: Sequence[Rejection]) -> tuple[list[tuple[object, ...]], object, object]:
    """What columns say of the rejections of stage near, with ids and datasets as text; and the sizes of them all."""
    ids, datasets, paths = ids_among(rejections), Texts(), Texts()
    found = repeated(rejections, ("exact", "near"), ids, datasets, paths)
    known, files = [*datasets.known, None], list(paths.known)
    lines = zip(
        found.at.tolist(), ids.names(found.id), ids.names(found.instead), found.similarity.tolist(),
        found.stage.tolist(), [known[at] for at in found.dataset.tolist()], [files[at] for at in found.path.tolist()],
        found.line.tolist(),
        strict=True,
    )  # fmt: skip
    sizes = [{key: sorted(some.tolist()) for key, some in by.items()}
             for by in (sizes_by_rule(rejections), sizes_by_path(rejections))]  # fmt: skip
    return list(lines), *sizes


def test_columns_say_what_the_rejections_say(repeats: Repeats) -> None:
    plain = one_by_one(repeats)
    assert list(repeats) == plain == repeats
    assert [repeats[0], repeats[-1], *repeats[1:2]] == [plain[0], plain[2], plain[1]]
    with pytest.raises(IndexError):
        repeats[3]
    assert told(repeats) == told(plain)
    sizes = {rule: found.tolist() for rule, found in sizes_by_rule(repeats).items()}
    assert sizes == {
        ("near", "near"): [item.size for item in (plain[0], plain[2])],
        ("near", "earlier"): [plain[1].size],
    }
    assert count_reasons(repeats) == count_reasons(plain) == Counter({("near", "near"): 2, ("near", "earlier"): 1})
    assert rejected_rows(repeats) == rejected_rows(plain) == [item.held for item in plain]
    assert b"".join(rejected_lines(repeats)) == b"".join(encode_rejection(item) + b"\n" for item in plain)


def test_parts_behave_as_one_list(repeats: Repeats) -> None:
    unread = Rejection(id=None, path="p", line=1, offset=0, stage="read", reason="not-json", detail="", held="{")
    several = Rejections([unread], repeats, [])
    several.add(Rejections(repeats))
    plain = [unread, *one_by_one(repeats), *one_by_one(repeats)]
    assert several == plain
    assert [several[at] for at in range(-7, 7)] == plain + plain
    for part in (slice(2), slice(1, 5), slice(-2, None), slice(None, None, -1), slice(9, 12)):
        assert several[part] == plain[part]
    assert rejected_rows(several) is None
    assert told(several) == told(plain)
    assert told([]) == ([], {}, {})
    assert b"".join(rejected_lines(several)) == b"".join(encode_rejection(item) + b"\n" for item in plain)
