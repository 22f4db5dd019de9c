"""Records, places and the console: seals that break, functions by name, messages instead of tracebacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate.core.errors import ConfigError, DataError, ProvenanceError, ServiceError
from curate.core.paths import cache_folder, find_path, load_function, package_folder
from curate.core.records import environment, peek_record, read_record, seal, write_record


def test_a_record_comes_back_and_its_seal_leaves_out_time_and_place(tmp_path: Path) -> None:
    one = write_record(
        tmp_path / "a.json", {"kind": "x", "list": [{"n": 1, "latency_ms": 3}], "environment": environment()}
    )
    two = seal({"kind": "x", "list": [{"n": 1, "latency_ms": 9}], "environment": {}})
    assert read_record(tmp_path / "a.json") == one
    assert one["digest"] == two["digest"] != seal({"kind": "x", "list": [{"n": 2}]})["digest"]


@pytest.mark.parametrize("change", [('"kind": "x"', '"kind": "y"'), ("{", "[")])
def test_a_record_changed_by_hand_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "a.json"
    write_record(path, {"kind": "x"})
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ProvenanceError) as caught:
        read_record(path)
    assert caught.value.exit_code == 4
    assert peek_record(path) is None
    assert peek_record(tmp_path / "none.json") is None


def test_paths_start_at_the_config_files_folder(tmp_path: Path) -> None:
    assert find_path("../x/y.jsonl", tmp_path / "z") == tmp_path / "x" / "y.jsonl"
    assert find_path("/abs/x", tmp_path) == Path("/abs/x")
    assert find_path("package:msgspec/json.py", tmp_path).is_file()
    assert package_folder("curate").name == "curate"


@pytest.mark.parametrize("name", ["no_such_package_x", ""])
def test_a_package_that_is_missing_says_how_to_get_it(name: str) -> None:
    with pytest.raises(DataError) as caught:
        find_path(f"package:{name}/data.json", Path())
    assert f"pip install {name}" in str(caught.value)


def test_functions_are_found_by_file_and_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def double(x):\n    return 2 * x\nnumber = 3\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    assert load_function("mine.py:double", tmp_path)(4) == 8
    for value in ("mine.py:other", "mine.py:number", "none.py:f", "broken.py:f", "mine.double", "double"):
        with pytest.raises(ConfigError):
            load_function(value, tmp_path)


def test_the_cache_folder_can_be_chosen_and_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACIDTEST_CACHE", str(tmp_path / "new"))
    assert cache_folder() == tmp_path / "new"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACIDTEST_CACHE", str(tmp_path / "file" / "sub"))
    with pytest.raises(ServiceError, match="set ACIDTEST_CACHE"):
        cache_folder()


PROGRAM = """
import click, os, signal, time
from curate.core.console import run, progress, command_options
from curate.core.errors import ProvenanceError

@click.command()
@click.argument("how")
@command_options
def main(how):
    if how == "known": raise ProvenanceError("it broke", where="a.json", fix="mend it")
    if how == "unknown": raise KeyError("oops")
    if how == "os": open("/no/such/file")
    if how == "code": return 6
    if how == "term": os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)
    if how == "bar":
        with progress("working", 3) as advance:
            for _ in range(3): advance(1, "note")
    click.echo("product")

run(main)
"""


def _run(how: str, *flags: str, **environment_variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, how, *flags],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment_variables},
    )  # fmt: skip


def test_known_trouble_is_a_message_with_three_parts_and_a_code() -> None:
    result = _run("known")
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr == "error: it broke\n  where: a.json\n  to do: mend it\n"
    assert "Traceback" in _run("known", "--debug").stderr


def test_unknown_trouble_admits_to_be_ours_and_shows_no_traceback() -> None:
    result = _run("unknown")
    assert result.returncode == 70
    assert "fault of acidtest" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("how", "code"), [("os", 3), ("code", 6), ("ok", 0), ("bar", 0), ("term", 130)])
def test_exit_codes(how: str, code: int) -> None:
    result = _run(how)
    assert result.returncode == code
    assert "Traceback" not in result.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -c '{PROGRAM}' ok | false; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", command], check=False, capture_output=True).returncode == 0
