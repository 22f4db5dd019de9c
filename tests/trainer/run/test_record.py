"""The record of a run: what was written by an earlier version is read, and written again to the byte."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.core.errors import ProvenanceError
from curate.core.records import read_record, write_record
from trainer.run.record import RECORD, RunRecord, peek_run, read_run, write_run

STORED = Path(__file__).with_name("stored_run.json")
DIGEST = "sha256:bb26f665d4796ebbc36cdd2be5efe0d5ffa590897fb8c4fbd978e419fa6b9784"


def stored_in(folder: Path, **changes: Any) -> Path:
    write_record(folder / RECORD, {**read_record(STORED), **changes})
    return folder


def test_a_stored_record_is_typed_and_written_again_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(STORED.read_bytes())
    run = peek_run(tmp_path)
    assert run
    assert run.record.digest == DIGEST
    assert (run.record.method, run.record.objective, run.quantisation) == ("lora", "sft", None)
    assert run.record.dataset.train.rows == 20
    assert run.record.final_losses["held_out_kept"] == run.record.losses.held_out[-1].loss
    again = write_run(tmp_path / "again", run.record)
    assert again.path.read_bytes() == STORED.read_bytes()
    assert again.record == run.record


def test_a_record_without_what_came_later_is_read(tmp_path: Path) -> None:
    body = read_record(STORED)
    for key in ("ending", "stream"):
        del body[key]
    del body["config"]["objective"]
    del body["template"]["text"], body["adapter"]["initial"]
    for key in ("truncated", "unstopped"):
        del body["dataset"]["train"][key]
    del body["environment"]["paths_from"]
    write_record(tmp_path / RECORD, body)
    run = peek_run(tmp_path)
    assert run
    assert (run.record.ending, run.record.objective, run.record.dataset.train.truncated) == (None, "sft", 0)
    assert run.paths_from == tmp_path


def test_what_only_other_versions_know_stays_in_the_document_and_counts_in_the_digest(tmp_path: Path) -> None:
    run = peek_run(stored_in(tmp_path, carbon={"grams": 3}))
    assert run
    assert run.document["carbon"] == {"grams": 3}
    assert run.record.digest == run.document["digest"] != DIGEST


@pytest.mark.parametrize("changes", [{"schema": 2}, {"kind": "merge"}, {"losses": "none"}, {"config": {}}])
def test_a_record_of_another_schema_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    stored_in(tmp_path, **changes)
    with pytest.raises(ProvenanceError, match="not a run record that we know"):
        read_run(tmp_path)
    assert peek_run(tmp_path) is None


def test_every_field_of_the_file_is_one_of_the_record() -> None:
    document = msgspec.json.decode(STORED.read_bytes())
    later = {"licenses"}  # the stored run is older
    assert list(document) == [name for name in RunRecord.__struct_fields__ if name not in later]
