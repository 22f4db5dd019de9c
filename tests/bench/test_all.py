"""`make bench`: every benchmark is found, and one that fails is said and stops no other."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.bench import __main__ as everything
from tests.bench.build import as_text

RUN = {"rows_per_s": 10, "processor_seconds": 1.5, "bytes_per_row": 7}
RESULT = {
    "setting": {"rows": 1000, "input_bytes": 5_000_000, "processors": 2, "load": [0.5]},
    "ours": {"build": RUN},
    "peers": {"polars": {**RUN, "does": "less"}, "absent": {"missing": "no such package", "does": "less"}},
    "ratios": {"polars": 1.0},
    "bars": {"build": {"bar": 20, "reached": 10, "met": False}, "bytes per row": {"bar": 9, "reached": 7, "met": True}},
}


def test_every_module_that_is_run_by_itself_is_a_benchmark() -> None:
    names = everything.names()
    assert names[:3] == ["dedup", "build", "train"]
    assert "pii" in names
    assert not {"corpus", "peers", "exact_pairs"} & set(names)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert everything.main(["speed"]) == 2
    assert "no benchmark is called speed" in capsys.readouterr().err


def test_a_section_that_is_measured_again_takes_its_place_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "BENCHMARKS.md"
    target.write_text("# Benchmarks\n\n## train\n\nold | train\n\n## build\n\nold build\n\n### part\n\nkept\n")
    monkeypatch.setattr(everything, "TARGET", target)
    answers = {"build": json.dumps(RESULT), "pii": "no JSON"}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, answers[command[2].rpartition(".")[2]])

    monkeypatch.setattr(everything.subprocess, "run", run)
    assert everything.main(["pii", "build"]) == 1
    text = target.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## build", "## train", "## pii"]
    assert "old build" not in text
    assert text.count(f"Measured on {datetime.now(UTC):%Y-%m-%d}: ") == 2
    assert "## train\n\nold | train\n\n## pii\n\nMeasured on" in text
    assert text.endswith("This benchmark failed.\n")


def test_tables_show_bars_ratios_and_what_is_missing() -> None:
    text = as_text(RESULT)
    assert "| polars | 10 | 1.5 | 7 | 1 | less |" in text
    assert "| absent | failed: no such package |" in text
    assert "| build | at least 20 | 10 | MISSED |" in text
    assert "| bytes per row | at most 9 | 7 | met |" in text
