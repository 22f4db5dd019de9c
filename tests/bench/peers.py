"""Throw-away virtual environments for the tools that we are measured against: their pins clash with each other."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".bench"


class PeerMissingError(Exception):
    """A peer can't be installed or run here; the text says why."""


def peer_python(name: str, packages: list[str]) -> Path:
    """The interpreter of the environment `name`, made with `packages` where it is not there yet.

    Raises: PeerMissingError with the last line of what pip said.
    """
    folder = BENCH / "venvs" / name
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file() and done.read_text().split() == packages:
        return python
    print(f"installing {' '.join(packages)} into {folder.relative_to(ROOT)}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *packages]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=1800)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or "") if isinstance(error.stderr, str) else ""
        raise PeerMissingError(said.strip().splitlines()[-1] if said.strip() else str(error)) from error
    done.write_text(" ".join(packages))
    return python


def installed_version(python: Path, package: str) -> str:
    """The version of `package` in an environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
