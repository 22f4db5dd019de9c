"""What rejected rows show: no finding of a rejecting or redacting screen is left in their raw text."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.recipe.screens import PersonalData, Screens, Secrets
from curate.screen.redact_ids import NOTE, redact_ids, redact_rejections, redacted
from curate.table.byte_store import ByteSpool
from curate.table.rejections import Because, Block, Instead, LooseRecords, OtherRows, Rejection, Rejections, Rule
from curate.table.row_table import RowTable
from tests.curate.row_makers import make_row, select

KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SCREENS = Screens(secrets=Secrets(action="reject"), personal_data=PersonalData(action="redact"))


def rejection(raw: str) -> Rejection:
    return Rejection(id=None, path="p", line=1, offset=0, stage="s", reason="r", detail="why", raw=raw)


def as_block(one: Rejection, spool: ByteSpool) -> Block:
    """A rejection as stages hand it over."""
    raw = one.raw.encode()
    records = LooseRecords(spool, one.path, [(one.id, one.line, one.offset, spool.add(raw), len(raw))])
    instead = None
    if (kept := one.because_of) is not None:
        others = OtherRows([kept.id], [kept.dataset])
        instead = Instead(RowTable(), np.array([~0]), np.array([kept.similarity]), others)
    return Block(one.stage, records, [Rule(one.reason)], np.array([0]), [one.detail], instead)


def cleaned(rejections: Sequence[Rejection], screens: Screens = SCREENS) -> list[Rejection]:
    """The rejections redacted: the same whether they are objects or stand in columns."""
    spool = ByteSpool()
    blocks = Rejections(as_block(one, spool) for one in rejections)
    found = redacted(rejections, screens, Path())
    assert list(redact_rejections(blocks, screens, Path(), spool)) == found
    return found


@given(st.text('ab \\"\n{}[]:,é', max_size=20), st.text('ab \\"\n{}[]:,é', max_size=20), st.booleans())
def test_no_key_is_left_wherever_it_stands(before: str, after: str, is_json: bool) -> None:
    text = f"{before} {KEY} {after}"
    raw = json.dumps({"a": [{"deep": text}], "b": 1}) if is_json else text
    clean = cleaned([rejection(raw), rejection("nothing here")])
    assert KEY not in clean[0].raw
    assert clean[0].detail == f"why; {NOTE}"
    assert clean[1] == rejection("nothing here")
    if is_json:
        assert json.loads(clean[0].raw)["b"] == 1


def test_a_key_that_json_escapes_hide_is_found() -> None:
    hidden = '{"messages": [{"role": "user", "content": "' + "".join(f"\\u{ord(c):04x}" for c in KEY) + '"}]}'
    (clean,) = cleaned([rejection(hidden)])
    assert KEY not in json.dumps(json.loads(clean.raw))


def test_screens_that_only_report_change_nothing() -> None:
    told = rejection(f"mail jane.doe@bigcorp.com the key {KEY}")
    assert cleaned([told], Screens(secrets=Secrets())) == [told]


def test_ids_are_redacted_as_messages_are() -> None:
    told = msgspec.structs.replace(
        rejection("{}"), id="jane.doe@bigcorp.com", because_of=Because("john.roe@bigcorp.com", 1.0)
    )
    (clean,) = cleaned([told])
    assert clean.id is not None
    assert clean.because_of is not None
    assert "bigcorp" not in clean.id + clean.because_of.id
    assert (clean.because_of.similarity, clean.detail, clean.raw) == (1.0, "why", "{}")
    assert redact_ids(["row-1", "jane.doe@bigcorp.com"], SCREENS, Path()) == {"jane.doe@bigcorp.com": clean.id}


def test_names_in_objects_and_messages_are_redacted_too() -> None:
    raw = json.dumps({"messages": [], KEY: 1, "meta": {"jane.doe@bigcorp.com": "a", "john.roe@bigcorp.com": "b"}})
    quoting = msgspec.structs.replace(rejection(raw), detail=f"no field {KEY!r}")
    (clean,) = cleaned([quoting])
    text = clean.raw + clean.detail
    assert KEY not in text
    assert "@bigcorp" not in text
    assert clean.detail.startswith("no field '")
    assert clean.detail.endswith(NOTE)
    record = json.loads(clean.raw)
    assert sorted(record["meta"].values()) == ["a", "b"]
    assert 1 in record.values()
    only_told = msgspec.structs.replace(quoting, raw="{}")
    (told,) = cleaned([only_told])
    assert KEY not in told.detail
    assert NOTE not in told.detail


def test_of_many_rows_only_those_with_findings_change() -> None:
    """Rows of a table that repeat others of it: what is redacted stands apart, in order, and all else stays."""
    said = ["fine", KEY, "fine too", f"{KEY} again", KEY, "fine"]
    rows = select([make_row(text, id="jane.doe@bigcorp.com" if n == 5 else f"r{n}") for n, text in enumerate(said)])
    why = [(f"rule {n % 2}", f"detail {n}") for n in range(len(said))]
    given = Rejections.of_rows("s", rows, why, [(f"kept {n}", 0.5, None) for n in range(len(said))])
    found = list(redact_rejections(given, SCREENS, Path(), rows.table.spool))
    assert found == redacted(list(given), SCREENS, Path())
    changed = [new != old for new, old in zip(found, given, strict=True)]
    assert changed == [False, True, False, True, True, True]
    assert not any(text in one.raw + str(one.id) for one in found for text in (KEY, "bigcorp"))
