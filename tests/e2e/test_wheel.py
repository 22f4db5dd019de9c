"""A wheel works outside the checkout: it carries the rubrics, the samples and the commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel was installed into, without its dependencies (this environment has them)."""
    work = tmp_path_factory.mktemp("wheel")
    # Built from a copy of what git tracks, so that nothing lying around in the checkout can slip in or help.
    subprocess.run(
        f"git -C {ROOT} ls-files -z | tar -C {ROOT} --null -T - -cf - | tar -C {work} -xf -", shell=True, check=True
    )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", work / "dist", work], check=True, capture_output=True)
    (wheel,) = (work / "dist").glob("*.whl")
    target = work / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, capture_output=True)
    return target


def _run(installed: Path, cwd: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import runpy, sys; sys.argv[0] = {program!r}; runpy.run_module({program!r}, run_name='__main__')"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_it_holds_the_packages_and_the_data_and_nothing_else(installed: Path) -> None:
    top = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} - {"bin"}
    assert top == {"curate", "trainer", "evalkit"}
    assert (installed / "curate" / "rubrics" / "structured_output.yaml").is_file()
    assert (installed / "curate" / "samples" / "toolcalls" / "recipe.yaml").is_file()
    assert {path.name for path in (installed / "bin").iterdir()} == {"curate", "trainer", "evalkit"}


def test_a_starter_folder_builds_a_dataset(installed: Path, tmp_path: Path) -> None:
    started = _run(installed, tmp_path, "curate", "init", "mine")
    assert started.returncode == 0, started.stderr
    assert {"recipe.yaml", "train.yaml", "suite.yaml"} <= {path.name for path in (tmp_path / "mine").iterdir()}
    built = _run(installed, tmp_path, "curate", "build", "mine/recipe.yaml")
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "mine" / "dataset" / "manifest.json").is_file()
    again = _run(installed, tmp_path, "curate", "init", "mine")
    assert again.returncode == 2
    assert "mine" in again.stderr


def test_rubrics_and_samples_are_found_by_name(installed: Path, tmp_path: Path) -> None:
    code = "from curate.core.paths import find_path; from pathlib import Path; print(find_path(%r, Path()))"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    for name in ("package:rubrics/tone.yaml", "package:samples/toolcalls/suite.yaml"):
        command = [sys.executable, "-c", code % name]
        found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        path = Path(found.stdout.strip())
        assert path.is_file()
        assert path.is_relative_to(installed / "curate")


def _add_other_trainer(place: Path) -> None:
    """What pip leaves of another distribution that has a package `trainer`."""
    (place / "trainer").mkdir(exist_ok=True, parents=True)
    (place / "trainer" / "__init__.py").write_text('"""Trains voices."""\n')
    about = place / "voices-0.36.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: voices\nVersion: 0.36\n")
    (about / "RECORD").write_text("trainer/__init__.py,sha256=x,22\nvoices-0.36.dist-info/METADATA,,\n")


def test_another_distribution_with_a_package_of_ours_is_told_of(installed: Path, tmp_path: Path) -> None:
    alone = _run(installed, tmp_path, "curate", "--version")
    assert (alone.returncode, alone.stderr) == (0, "")
    over = shutil.copytree(installed, tmp_path / "over")
    _add_other_trainer(over)
    told = _run(over, tmp_path, "evalkit", "--version")
    assert told.returncode == 0
    assert f"{over / 'trainer'} holds files of the distribution voices 0.36" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    before = tmp_path / "before"
    _add_other_trainer(before)
    told = _run(Path(f"{before}{os.pathsep}{installed}"), tmp_path, "curate", "--version")
    assert f"`import trainer` finds the distribution voices 0.36 in {before / 'trainer'}, not" in told.stderr
