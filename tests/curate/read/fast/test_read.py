"""A chunk read by machine code is the chunk read row by row."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.build.stages import all_makers
from curate.core.rows.formats.format import Format
from curate.core.rows.formats.registry import FORMATS
from curate.core.rows.row import encode_row
from curate.core.rows.row_keys import make_keys
from curate.core.rows.row_text import text_lengths
from curate.core.sources.record_to_row import RowReader
from curate.core.sources.records import Record
from curate.core.sources.source import Source
from curate.read.chunk_rows import read_rows
from curate.read.fast.lines import Lines
from curate.read.fast.read import read_fast
from curate.table.byte_store import ByteSpool
from curate.table.chunk import ChunkColumns
from curate.table.row_table import RowTable
from curate.table.selection import RowSelection
from tests.curate.read.fast.test_chat_lines import SOURCES, TEXTS, records
from tests.curate.row_makers import make_context

# What is nearly always taken apart, and what seldom is.
USUAL = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": TEXTS}),
            min_size=1,
            max_size=4,
        )
    },
    optional={
        "id": st.sampled_from(["a", "b", "ü"]),
        "label": st.sampled_from(["l", "é", ""]),
        "group": st.sampled_from(["g", "h"]),
        "source": st.sampled_from(["s", "other"]),
        "origin": st.sampled_from(["gold", "synthetic"]),
    },
).map(lambda row: json.dumps(row, ensure_ascii=False).encode())
JUNK = st.binary(max_size=6) | st.sampled_from([b"{}", b"[1]", b'{"messages": []}', b'{"messages": "\xff"}'])
# With what is preferred and compared, so that columns of every kind are made.
SETTINGS: list[dict[str, Any]] = [
    {},
    {"dedup": None},
    {"dedup": {"on": "answer", "prefer": ["newest", "shortest"]}, "split": {"by": "row"}},
    {"dedup": {"on": "conversation", "prefer": ["score"]}, "validate": {"fix": True}, "seed": 4},
]


def told(made: ChunkColumns, table: RowTable) -> tuple[object, ...]:
    """All that a chunk says, with the bytes that its places name."""
    rows = RowSelection(table, table.append(made, "s", "x"))
    places = {"raw_start", "line_start", "file"}
    columns = {name: rows.column(name).tolist() for name in made.columns if name not in places}
    packs = {name: table.spool.read(start, size) for name, (start, size) in made.packs.items()}
    labels, groups = dict(made.labels), dict(made.groups)
    return made.ids, labels, groups, columns, rows.raws(), [row.line for row in rows], packs, made.unread, made.records


LINES = st.lists(USUAL, min_size=1, max_size=4) | st.lists(USUAL | records() | JUNK, min_size=1, max_size=8)
# Plain text, and yet not trained on: what is in `meta` says so.
TURNS = b'"messages": [{"role": "user", "content": "what is on it"}, {"role": "assistant", "content": "a heron"}]'
NOT_CLEAR = [
    b'{"id": "a", %s, "images": ["heron.png"]}' % TURNS,
    b'{"id": "b", %s, "label": false}' % TURNS,
    b'{"id": "c", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "text": "b"}]}',
    b'{"id": "d", "messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "a"}]}',
    b'{"id": "e", "messages": [{"role": "human", "content": "q"}, {"from": "gpt", "value": "a"}]}',
]
WITHOUT_ID = b'{"messages": [{"role": "user", "content": "said without an id"}]}'


@pytest.mark.parametrize("source", SOURCES, ids=["gold", "labelled", "synthetic"])
@pytest.mark.parametrize("form", [FORMATS["chat"], None], ids=["chat", "unknown"])
@given(LINES, st.sampled_from(SETTINGS))
@example([WITHOUT_ID], {})
@example(NOT_CLEAR, {})
def test_both_ways_to_read_say_the_same(source: Source, form: Format | None, lines: list[bytes], settings: Any) -> None:
    makers = all_makers(make_context(**settings))
    given_records = [Record(number, 100 * number, line) for number, line in enumerate(lines, 1)]
    reader = RowReader(source, form, None, {})
    one, other = RowTable(makers, ByteSpool()), RowTable(makers, ByteSpool())
    slow = read_rows(given_records, reader, makers, one.spool, in_file=False)
    fast = read_fast(source, Lines.of_records(given_records), reader, makers, other.spool)
    assert told(slow, one) == told(fast, other)
    rows = RowSelection.all_of(one)
    assert [row.row for row in rows] == list(RowSelection.all_of(other).rows)
    for row in rows:
        assert row.id == row.row.id
        assert (row.label, row.group) == (row.row.label, row.row.group)
        assert one.column("lengths")[row.number].tolist() == list(text_lengths(row.row))
        assert one.column("row_key")[row.number].tobytes() == make_keys(row.row)[:16]
        assert row.line == row.raw or row.line == encode_row(row.row)
