"""Records as structures: what is read and written again is the same file, byte for byte."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.core.errors import ProvenanceError
from curate.core.records import read_record, write_record
from evalkit.gate.decide_rules import RuleOutcome
from evalkit.gate.verdict_file import GateVerdict
from evalkit.records.typed import read_typed, write_typed
from evalkit.results.folder import RESULT, read_result
from evalkit.results.result_record import ResultRecord
from tests.evalkit.gate.made_results import results
from tests.evalkit.recorded_run import record_run


def _keys(value: Any, path: str = "") -> list[str]:
    """The path of every key, in the file's order."""
    if isinstance(value, dict):
        return [key for name, inner in value.items() for key in (f"{path}.{name}", *_keys(inner, f"{path}.{name}"))]
    return [key for inner in value for key in _keys(inner, f"{path}[]")] if isinstance(value, list) else []


def test_a_stored_result_goes_through_the_structure_unchanged(tmp_path: Path) -> None:
    folder = results(tmp_path, {"base": [True, False, None] * 8, "adapter": [True, True, None] * 8})
    before = (folder / RESULT).read_bytes()
    record = read_result(folder)
    assert msgspec.json.decode(msgspec.json.encode(record)) == read_record(folder / RESULT)
    write_typed(folder / RESULT, record)
    assert (folder / RESULT).read_bytes() == before


def test_a_stored_verdict_goes_through_the_structure_unchanged(tmp_path: Path) -> None:
    from evalkit.gate.decision import gate

    folder = results(tmp_path, {"base": [True] * 20 + [False] * 10, "adapter": [True] * 12 + [False] * 18})
    rules = tmp_path / "gate.yaml"
    rules.write_text("contender: adapter\nrules: [{rule: non-inferior, metric: exact, than: base, margin: 0.05}]\n")
    made = gate(folder, None, rules, write_to=tmp_path)
    path = tmp_path / "verdict.json"
    before = path.read_bytes()
    read = read_typed(path, GateVerdict[RuleOutcome], "a verdict", "")
    assert read == made.verdict
    write_typed(path, read)
    assert path.read_bytes() == before


def test_the_keys_stand_in_the_order_that_other_programs_know(tmp_path: Path) -> None:
    keys = _keys(msgspec.to_builtins(record_run(30).record()))
    assert [key for key in keys if key.count(".") == 1] == [
        ".kind", ".schema", ".suite", ".primary", ".ladder", ".contenders", ".comparisons", ".constant_answer",
        ".slices", ".contamination", ".economics", ".chain", ".versions", ".input_digest", ".stopped", ".judges",
        ".digest",
    ]  # fmt: skip


@pytest.mark.parametrize("changed", [{"kind": "verdict"}, {"ladder": 1}, {"contenders": [{"name": "base"}]}])
def test_another_record_is_refused_by_name(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "result.json"
    write_record(path, {**msgspec.to_builtins(record_run(5).record()), **changed})
    with pytest.raises(ProvenanceError, match="not a result that we know"):
        read_typed(path, ResultRecord, "a result", "make it again")
