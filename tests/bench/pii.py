"""Recall and false alarms of the personal-data screen by type: `python -m tests.bench.pii [--json]`.

On the synthetic texts of presidio-research, with the texts that hold nothing personal as control. A marked entity is
found when a span of its type overlaps it; a span that overlaps none of its type is a false alarm. Names, addresses and
other types that no pattern can see are counted as outside this tier, not left out.
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from curate.recipe.screens import PersonalData
from curate.screen.personal import find_personal

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "presidio" / "synth_dataset_v2.json"
KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
}


def measure(path: Path) -> dict[str, Any]:
    """By type `marked`, `found`, `recall`, `false_alarms`; the control; and the types outside this tier."""
    records = json.loads(path.read_text())
    found = find_personal(pl.Series([record["full_text"] for record in records]), PersonalData())
    marked: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for row, record in enumerate(records):
        spans = found.get(row, [])
        entities = [
            (KINDS.get(entity["entity_type"]), entity["start_position"], entity["end_position"], entity["entity_type"])
            for entity in record["spans"]
        ]
        for kind, start, end, name in entities:
            if kind is None:
                outside[name] += 1
                continue
            marked[kind] += 1
            hit[kind] += any(span.kind == kind and span.start < end and start < span.end for span in spans)
        for span in spans:
            alarms[span.kind] += not any(
                kind == span.kind and span.start < end and start < span.end for kind, start, end, _ in entities
            )
    clean = [row for row, record in enumerate(records) if not record["spans"]]
    return {
        "types": {
            kind: {
                "marked": marked[kind],
                "found": hit[kind],
                "recall": round(hit[kind] / marked[kind], 4),
                "false_alarms": alarms[kind],
            }
            for kind in KINDS.values()
        },
        "control": {"rows": len(clean), "rows_with_false_alarms": sum(row in found for row in clean)},
        "outside_this_tier": dict(outside.most_common()),
    }


def main() -> None:
    """Print the figures, as a table or with --json as an object."""
    if not DATA.is_file():
        sys.exit(f"the data set is not on this machine: {DATA.name} under {DATA.parent.name}/")
    figures = measure(DATA)
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=2))
        return
    print(as_text(figures))


def as_text(figures: Mapping[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| type | recall | found of marked | false alarms |", "|---|---|---|---|"]
    for kind, line in figures["types"].items():
        counts = f"{line['found']} of {line['marked']}"
        lines.append(f"| {kind} | {line['recall']:.3f} | {counts} | {line['false_alarms']} |")
    control = figures["control"]
    outside = ", ".join(f"{name} {count}" for name, count in figures["outside_this_tier"].items())
    lines += [
        "",
        f"Control: {control['rows_with_false_alarms']} of {control['rows']} clean rows raised an alarm."
        f" Outside this tier, where no pattern can see them: {outside}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
