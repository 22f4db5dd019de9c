"""Every benchmark there is, one after the other, into BENCHMARKS.md: `python -m tests.bench [NAME ...]`.

A benchmark is a module here that prints one JSON object with --json and has a function `as_text` that makes Markdown
of it. It ends with 1 where a bar is missed.
"""

import importlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.peers import ROOT

# Those that the design names come first; any other module here with a `main` follows.
NAMED = ("dedup", "build", "train", "harness", "generate", "review", "startup")
FOLDER = Path(__file__).parent
TARGET = ROOT / "BENCHMARKS.md"
_HEAD = """# Benchmarks

`make bench` measures all of this again. Each tool runs in an environment of its own, in the same run, in turns with
ours; compare the ratios, since seconds differ from machine to machine.
"""


def main(arguments: list[str]) -> int:
    """Run the benchmarks and write the file; 1 where one failed or missed a bar."""
    there = names()
    unknown = sorted(set(arguments) - set(there))
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(there)}", file=sys.stderr)
        return 2
    sections, worst = [], 0
    for name in arguments or there:
        print(f"benchmark {name}", file=sys.stderr)
        command = [sys.executable, "-m", f"tests.bench.{name}", "--json"]
        done = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        worst = max(worst, min(abs(done.returncode), 1))  # a signal that ended it is below zero
        sections.append(f"## {name}\n\n{_section(name, done.stdout)}\n")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    measured = f"Measured on {datetime.now(UTC):%Y-%m-%d}, {machine}.\n"
    TARGET.write_text("\n".join([_HEAD, measured, *sections]))
    return worst


def names() -> list[str]:
    """The benchmarks that there are: modules of this folder that are run by themselves."""
    found = [path.stem for path in sorted(FOLDER.glob("*.py")) if "\ndef main(" in path.read_text()]
    rest = [name for name in found if name not in NAMED and not name.startswith("__")]
    return [*(name for name in NAMED if name in found), *rest]


def _section(name: str, output: str) -> str:
    """What a benchmark printed, as Markdown; a benchmark that printed nothing has failed, and the file says so."""
    try:
        result = json.loads(output)
    except json.JSONDecodeError:
        return "This benchmark failed."
    as_text = getattr(importlib.import_module(f"tests.bench.{name}"), "as_text", None)
    return as_text(result) if as_text is not None else f"```json\n{json.dumps(result, indent=2)}\n```"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
