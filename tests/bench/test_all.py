"""`make bench`: every benchmark is found, and one that fails is said and stops no other."""

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


def test_tables_show_bars_ratios_and_what_is_missing() -> None:
    text = as_text(RESULT)
    assert "| polars | 10 | 1.5 | 7 | 1 | less |" in text
    assert "| absent | failed: no such package |" in text
    assert "| build | at least 20 | 10 | MISSED |" in text
    assert "| bytes per row | at most 9 | 7 | met |" in text
