"""Lines taken apart by machine code: what fits says just what the general reader makes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.rows.formats.chat import CHAT
from curate.core.rows.row import Message, Row, encode_row, encode_rows
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader
from curate.core.sources.source import Source
from curate.read.fast.chat_lines import ROLES, Scanned, scan
from curate.read.fast.lines import Lines
from curate.read.fast.write_lines import is_verbatim, rewritten

TEXTS = st.text() | st.sampled_from(["", "a/b", "\x00\x1f\x7f", "😀", "\u2028", "tab\t\r\b\f\n", '"\\', "long " * 30])
BLANKS = st.sampled_from(["", "", "", " ", "\t ", "\r"])
SOURCES = [
    Source(name="s", path="x"),
    Source(name='na"me/ü', path="x", label="L\n"),
    Source(name="s", path="x", origin="synthetic"),
]


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """JSON text of a value, in one of the many ways to write it."""
    if isinstance(value, dict):
        parts = [f"{draw(written(key))}{draw(BLANKS)}:{draw(written(one))}" for key, one in value.items()]
        return f"{draw(BLANKS)}{{{draw(BLANKS)}{','.join(draw(st.permutations(parts)))}}}{draw(BLANKS)}"
    if isinstance(value, list):
        return f"[{draw(BLANKS)}{','.join(draw(written(one)) for one in value)}]{draw(BLANKS)}"
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, str) and draw(st.integers(0, 3)) == 0:
        text = text.replace("/", "\\/").replace("a", "\\u0061")
    return f"{draw(BLANKS)}{text}{draw(BLANKS)}"


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A line that says a row, or nearly."""
    odd = st.sampled_from([None, 1, 1.5, True, [], {}, ["]"], {"k": "}"}, "gold", "x"])
    messages: list[Any] = []
    for _ in range(draw(st.sampled_from([0, 1, 2, 3, 25]))):
        message = {"role": draw(st.sampled_from([*ROLES, "narrator", "assistanx"])), "content": draw(TEXTS)}
        if draw(st.integers(0, 9)) == 0:
            message[draw(st.sampled_from(["name", "weight", "tool_calls", "tool_call_id", "content", "odd"]))] = draw(
                odd
            )
        messages.append(message)
    row: dict[str, Any] = {"messages": messages}
    if draw(st.integers(0, 9)):
        row["id"] = draw(st.sampled_from(["a", "row-1", "ü", "b\nc", ""]))
    for key in ("label", "source", "group", "tools", "origin", "meta", "more"):
        if draw(st.integers(0, 5)) == 0:
            row[key] = draw(odd | TEXTS | st.just("synthetic"))
    line = draw(written(row)).encode("utf-8", "replace").replace(b"\n", b"")
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(line) - 1))
        broken = line[:at] + draw(st.sampled_from([b"", b'"', b"\\", b",", b"}", b"x", b"\x01"])) + line[at + 1 :]
        line = broken.decode("utf-8", "ignore").encode()
    return line


def taken_apart(lines: list[bytes], *, strict: bool = True) -> Scanned:
    given = Lines.of_records([Record(1, 0, line) for line in lines])
    return scan(given.data, given.size, given.places, strict=strict)


def messages_of(found: Scanned, at: int) -> list[tuple[str, str, int, bool]]:
    first = found.lasts[at - 1] if at else 0
    return [
        (
            ROLES[found.roles[number]],
            found.data[slice(*found.texts[number])].tobytes().decode(),
            int(found.lengths[number]),
            bool(found.ascii[number]),
        )
        for number in range(first, found.lasts[at])
    ]


@given(st.lists(records(), min_size=1, max_size=8), st.sampled_from(SOURCES))
def test_what_fits_is_read_and_written_as_the_general_reader_does(lines: list[bytes], source: Source) -> None:
    found = taken_apart(lines)
    verbatim = is_verbatim(found, source)
    wanted = found.fits & ~verbatim
    rows, sizes = rewritten(found, wanted, source)
    made = []
    for at, line in enumerate(lines):
        if not found.fits[at]:
            continue
        read = RowReader(source, CHAT, None, {}).find(Record(1, 0, line))
        row = read[0]
        assert isinstance(row, Row)
        assert read[1] == verbatim[at]
        assert messages_of(found, at) == [
            (message.role, message.content, len(message.text), message.text.isascii()) for message in row.messages
        ]
        if wanted[at]:
            made.append(row)
            assert sizes[at] == len(encode_row(row))
    assert rows.tobytes() == encode_rows(made)
    assert not sizes[~wanted].any()


USUAL = {"id": "r", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "é"}]}


@pytest.mark.parametrize("more", [{}, {"label": "x"}, {"source": "y"}, {"group": None}, {"origin": "synthetic"}])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_usual_rows_fit(more: dict[str, Any], ensure_ascii: bool) -> None:
    line = json.dumps({**USUAL, **more}, ensure_ascii=ensure_ascii).encode()
    assert taken_apart([line] * 3).fits.all()


@pytest.mark.parametrize("more", [{"meta": {"a": [1, "}"]}}, {"tools": [{"x": "]"}]}, {"id": ""}])
def test_what_is_known_to_be_a_row_may_have_more(more: dict[str, Any]) -> None:
    line = json.dumps({**USUAL, **more}).encode()
    assert not taken_apart([line]).fits.any()
    found = taken_apart([line], strict=False)
    assert found.fits.all()
    assert [text for _, text, *_ in messages_of(found, 0)] == ["q", "é"]


def test_a_line_that_does_not_fit_stands_between_others() -> None:
    rows = [Row(id="a", messages=[Message("user", "x")]), Row(id="b", messages=[Message("user", "y")] * 2)]
    found = taken_apart([encode_row(rows[0]), b'{"id": "c", "messages": [{"role": "user"}]}', encode_row(rows[1])])
    assert found.fits.tolist() == [True, False, True]
    assert found.lasts.tolist() == [1, 2, 4]
    assert [text for _, text, *_ in messages_of(found, 2)] == ["y", "y"]
