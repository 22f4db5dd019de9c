"""Recall and false alarms on public texts with marked personal data. Floors, a little under what is reached."""

from pathlib import Path

from tests.bench.pii import measure

FLOORS = {"email": 1.0, "phone": 0.95, "iban": 1.0, "card": 0.98, "ssn": 1.0, "ip": 1.0}
MAX_FALSE_ALARMS = 5


def test_recall_by_type_with_the_clean_rows_as_control(public_data: Path) -> None:
    figures = measure(public_data / "presidio" / "synth_dataset_v2.json")
    assert {kind: line["recall"] >= FLOORS[kind] for kind, line in figures["types"].items()} == dict.fromkeys(
        FLOORS, True
    )
    assert sum(line["false_alarms"] for line in figures["types"].values()) <= MAX_FALSE_ALARMS
    assert figures["control"] == {"rows": 113, "rows_with_false_alarms": 0}
    assert "PERSON" in figures["outside_this_tier"]
