"""Damaged input: every fault in samples/dirty is rejected for its own reason, and nothing else is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from curate.build.build import build
from curate.build.dataset_folder import verify_dataset
from curate.core.errors import AcidtestError, DataError
from curate.core.files import decode_lines
from curate.core.manifest import MANIFEST, ManifestOutput, write_manifest
from curate.table.rejections import Rejection
from tests.conftest import ROOT
from tests.curate.row_makers import chat, write_recipe

DIRTY = ROOT / "samples" / "dirty"
EXPECTED: dict[str, Any] = yaml.safe_load((DIRTY / "expected.yaml").read_text())
LINES = {name: lines for name, lines in EXPECTED.items() if isinstance(lines, dict)}


def build_file(folder: Path, source: Path, **settings: Any) -> list[Rejection]:
    """The rejections of a build whose only source is `source`."""
    recipe = write_recipe(folder, [chat("unused")], {"sources": [{"name": "s", "path": str(source)}], **settings})
    built = build(recipe)
    return list(decode_lines(built.output / "rejected.jsonl", Rejection))


def test_every_damaged_file_has_its_expectation() -> None:
    assert {path.name for path in DIRTY.iterdir()} - {"README.md", "expected.yaml"} == set(EXPECTED)


@pytest.mark.parametrize("name", LINES)
def test_every_damaged_row_is_rejected_for_its_reason(tmp_path: Path, name: str) -> None:
    # Near duplicates are another matter, and the good rows differ in a number alone.
    rejected = build_file(tmp_path, DIRTY / name, dedup=None)
    assert {item.line: f"{item.stage}: {item.reason}" for item in rejected} == LINES[name]
    data = (DIRTY / name).read_bytes()
    assert all(item.detail for item in rejected)
    for item in rejected:
        assert data[item.offset :].startswith(item.raw.encode()[:15])


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - LINES.keys()))
def test_a_file_that_is_damaged_as_a_whole_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        build_file(tmp_path, DIRTY / name)
    assert EXPECTED[name] in caught.value.what
    assert name in str(caught.value.where)
    assert caught.value.fix


def test_a_line_of_fifty_megabytes_is_rejected_and_not_copied(tmp_path: Path) -> None:
    good = json.dumps(chat("after it")).encode()
    long = json.dumps(chat("x" * 50_000_000)).encode()
    (tmp_path / "long.jsonl").write_bytes(b"\n".join([json.dumps(chat("before it")).encode(), long, good, b""]))
    (rejected,) = build_file(tmp_path, tmp_path / "long.jsonl", dedup=None)
    assert (rejected.reason, rejected.line) == ("line-too-long", 2)
    assert str(len(long)) in rejected.detail.replace(",", "") or str(len(long) + 1) in rejected.detail
    assert len(rejected.raw) < 10_000
    assert (tmp_path / "out" / "train.jsonl").stat().st_size < 1000


def test_a_latin1_file_says_which_byte(tmp_path: Path, public_data: Path) -> None:
    with pytest.raises(DataError, match=r"read: not-utf-8(.|\n)*byte 0x.. at position \d+ is not UTF-8"):
        build_file(tmp_path, public_data / "snips" / "train_PlayMusic_full.json", dedup=None)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked.jsonl"
    if os.geteuid() == 0:
        locked.mkdir()  # root may read everything, but no folder as if it were a file
        (locked / "rows.jsonl").symlink_to(tmp_path / "nowhere")
    else:
        locked.write_text("{}\n")
        locked.chmod(0)
    with pytest.raises(AcidtestError, match=r"locked\.jsonl"):
        build_file(tmp_path, locked)


def test_three_mistakes_in_a_recipe_are_told_together(tmp_path: Path, run_cli: Any) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: r\nbehaviour: Answers.\noutput: out\nsources:\n  - name: s\n    path: s.jsonl\n    format: sharegtp\n"
        "dedup:\n  threshold: 7\nvalidate:\n  severity: {mojibak: off}\n"
    )
    result = run_cli("curate", "build", tmp_path / "recipe.yaml")
    assert result.returncode == 2
    assert "3 mistakes" in result.stderr
    for line in (7, 9, 11):
        assert f"recipe.yaml:{line}:" in result.stderr


def test_a_disk_that_takes_no_more_is_told_and_leaves_no_half_dataset(tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path, [chat(f"question {n} " + "x" * 2000, "a", id=str(n)) for n in range(200)], {"dedup": None}
    )
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.argv[0] = 'curate';"
        "from curate.cli.main import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "build", str(recipe)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode in {3, 5}, result.stderr
    assert "error: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not list((tmp_path / "out").glob("*.jsonl"))


@pytest.mark.slow
@pytest.mark.system("unshare")
@pytest.mark.parametrize("room_kb", [4, 40, 400])
def test_a_full_disk_is_told_and_the_build_goes_on_where_there_is_room(tmp_path: Path, room_kb: int) -> None:
    """A file system of its own, so small that it is full before, while or after stages keep what they decided."""
    rows = [chat(f"question {n} " + f"word{n} " * 300, "a", id=str(n)) for n in range(200)]
    recipe = write_recipe(tmp_path, rows, {"screens": {"personal_data": {"action": "redact"}}})
    out, report = tmp_path / "out", tmp_path / "left"
    out.mkdir()
    build_it = f"{sys.executable} -c 'from curate.cli.main import main; main()' build {recipe}"
    script = (
        f"mount -t tmpfs -o size={room_kb}k tmpfs {out} || exit 77; {build_it}; code=$?; ls -A {out} > {report};"
        f"mount -o remount,size=40m {out} || exit 77; {build_it} >&2;"
        f"cp -r {out} {tmp_path / 'copy'}; exit $code"
    )
    result = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if result.returncode == 77 or "unshare" in result.stderr:
        pytest.skip("this machine lets nobody but its administrator mount a file system")
    assert result.returncode == 5, result.stderr
    assert "No space left on device" in result.stderr
    assert "free some disk space" in result.stderr
    assert "internal error" not in result.stderr
    assert set(report.read_text().split()) <= {".kept"}
    verify_dataset(tmp_path / "copy")


def test_a_reference_that_leads_outside_its_schema_is_never_followed(tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path, [], {"sources": [{"name": "s", "path": str(DIRTY / "schemas.jsonl")}], "dedup": None}
    )
    (tmp_path / "outside.json").write_text('{"type": "string"}')
    (stage,) = [stage for stage in build(recipe).manifest.stages if stage.name == "validate"]
    assert stage.warnings == {"bad-tool-schema": 2}


def test_a_manifest_that_names_files_outside_its_folder_removes_none(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, [chat("a question", "an answer"), chat("another one of them", "too")])
    manifest = build(recipe).manifest
    (tmp_path / "precious.txt").write_text("stays")
    outputs = {**manifest.outputs, "../precious.txt": ManifestOutput(digest="sha256:0")}
    write_manifest(tmp_path / "out" / MANIFEST, msgspec.structs.replace(manifest, outputs=outputs))
    assert not build(recipe).up_to_date
    assert (tmp_path / "precious.txt").read_text() == "stays"


def test_links_in_the_output_folder_are_not_written_through(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, [chat("a question", "an answer"), chat("another one of them", "too")])
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("stays")
    (tmp_path / "precious.txt").write_text("stays")
    (tmp_path / "out" / "train.jsonl").symlink_to(tmp_path / "precious.txt")
    (tmp_path / "out" / ".kept").symlink_to(tmp_path / "elsewhere")
    build(recipe)
    build(recipe, force=True)
    assert (tmp_path / "precious.txt").read_text() == "stays"
    assert (tmp_path / "elsewhere" / "mine.txt").read_text() == "stays"
    assert not (tmp_path / "out" / "train.jsonl").is_symlink()


def test_a_cache_folder_that_cannot_be_written_to_is_named(tmp_path: Path, run_cli: Any) -> None:
    recipe = write_recipe(tmp_path, [chat("a question", "an answer")], {"base": "embedded:smollm2-135m"})
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "ACIDTEST_CACHE": str(tmp_path / "file" / "cache")}
    result = run_cli("curate", "build", recipe, env=environment)
    assert result.returncode == 5, result.stderr
    assert "set ACIDTEST_CACHE" in result.stderr
    assert not (tmp_path / "out").exists()
