"""Manifests: what is read is written again byte for byte, and what is none is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import ProvenanceError
from curate.core.manifest import Manifest, peek_manifest, read_manifest, sealed, write_manifest
from curate.core.records import write_record

BUILT = Path(__file__).with_name("built_manifest.json")  # of a build with every stage but review and index


def test_a_manifest_is_written_as_it_was_read(tmp_path: Path) -> None:
    manifest = read_manifest(BUILT)
    assert write_manifest(tmp_path / "manifest.json", manifest) == manifest == sealed(manifest)
    assert (tmp_path / "manifest.json").read_bytes() == BUILT.read_bytes()


def test_what_a_manifest_does_not_say_is_empty(tmp_path: Path) -> None:
    record = write_record(tmp_path / "manifest.json", {"kind": "manifest", "outputs": {"x": {"digest": "sha256:0"}}})
    found = read_manifest(tmp_path / "manifest.json")
    assert found.digest == record["digest"]
    assert (found.stages, found.added or {}, found.outputs["x"].rows or None) == ([], {}, None)


@pytest.mark.parametrize("record", [{"kind": "run"}, {"kind": "manifest", "outputs": {"x": 1}}, {"seed": "one"}])
def test_another_record_is_no_manifest(tmp_path: Path, record: dict[str, Any]) -> None:
    write_record(tmp_path / "manifest.json", record)
    with pytest.raises(ProvenanceError, match="not a manifest"):
        read_manifest(tmp_path / "manifest.json")
    assert peek_manifest(tmp_path / "manifest.json") is None


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**json.loads(BUILT.read_text()), "name": "forged"}))
    with pytest.raises(ProvenanceError, match="does not fit its digest"):
        read_manifest(tmp_path / "manifest.json")
    assert peek_manifest(tmp_path / "manifest.json") is None
    assert peek_manifest(tmp_path / "nothing.json") is None


def test_a_dry_manifest_has_a_digest() -> None:
    assert sealed(Manifest(name="one")).digest != sealed(Manifest(name="two")).digest
