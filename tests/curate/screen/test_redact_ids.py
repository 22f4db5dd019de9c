"""What rejected rows show: no finding of a rejecting or redacting screen is left in their raw text."""

import json
from pathlib import Path

import msgspec
from curate.table.row_ref import Because, Rejection
from hypothesis import given
from hypothesis import strategies as st

from curate.recipe.screens import PersonalData, Screens, Secrets
from curate.screen.redact_ids import NOTE, redact_ids, redact_rejections

KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
SCREENS = Screens(secrets=Secrets(action="reject"), personal_data=PersonalData(action="redact"))


def rejection(raw: str) -> Rejection:
    return Rejection(id=None, path="p", line=1, offset=0, stage="s", reason="r", detail="why", held=raw)


@given(st.text('ab \\"\n{}[]:,é', max_size=20), st.text('ab \\"\n{}[]:,é', max_size=20), st.booleans())
def test_no_key_is_left_wherever_it_stands(before: str, after: str, is_json: bool) -> None:
    text = f"{before} {KEY} {after}"
    raw = json.dumps({"a": [{"deep": text}], "b": 1}) if is_json else text
    clean = redact_rejections([rejection(raw), rejection("nothing here")], SCREENS, Path())
    assert KEY not in clean[0].raw
    assert clean[0].detail == f"why; {NOTE}"
    assert clean[1] == rejection("nothing here")
    if is_json:
        assert json.loads(clean[0].raw)["b"] == 1


def test_a_key_that_json_escapes_hide_is_found() -> None:
    hidden = '{"messages": [{"role": "user", "content": "' + "".join(f"\\u{ord(c):04x}" for c in KEY) + '"}]}'
    (clean,) = redact_rejections([rejection(hidden)], SCREENS, Path())
    assert KEY not in json.dumps(json.loads(clean.raw))


def test_screens_that_only_report_change_nothing() -> None:
    told = rejection(f"mail jane.doe@bigcorp.com the key {KEY}")
    assert redact_rejections([told], Screens(secrets=Secrets()), Path()) == [told]


def test_ids_are_redacted_as_messages_are() -> None:
    told = msgspec.structs.replace(
        rejection("{}"), id="jane.doe@bigcorp.com", because_of=Because("john.roe@bigcorp.com", 1.0)
    )
    (clean,) = redact_rejections([told], SCREENS, Path())
    assert clean.id is not None
    assert clean.because_of is not None
    assert "bigcorp" not in clean.id + clean.because_of.id
    assert (clean.because_of.similarity, clean.detail, clean.raw) == (1.0, "why", "{}")
    assert redact_ids(["row-1", "jane.doe@bigcorp.com"], SCREENS, Path()) == {"jane.doe@bigcorp.com": clean.id}


def test_names_in_objects_and_messages_are_redacted_too() -> None:
    raw = json.dumps({"messages": [], KEY: 1, "meta": {"jane.doe@bigcorp.com": "a", "john.roe@bigcorp.com": "b"}})
    quoting = Rejection(
        id=None, path="p", line=1, offset=0, stage="s", reason="r", detail=f"no field {KEY!r}", held=raw
    )
    (clean,) = redact_rejections([quoting], SCREENS, Path())
    text = clean.raw + clean.detail
    assert KEY not in text
    assert "@bigcorp" not in text
    assert clean.detail.startswith("no field '")
    assert clean.detail.endswith(NOTE)
    record = json.loads(clean.raw)
    assert sorted(record["meta"].values()) == ["a", "b"]
    assert 1 in record.values()
    only_told = msgspec.structs.replace(quoting, held="{}")
    (told,) = redact_rejections([only_told], SCREENS, Path())
    assert KEY not in told.detail
    assert NOTE not in told.detail
