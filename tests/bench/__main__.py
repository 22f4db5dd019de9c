"""Every benchmark there is, one after the other, into BENCHMARKS.md: `python -m tests.bench [NAME ...]`.

Each is a section, which says when and on what it was measured. Where some are named, the others stay as they are.
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
    sections, worst = _sections(TARGET.read_text() if TARGET.exists() else ""), 0
    for name in arguments or there:
        print(f"benchmark {name}", file=sys.stderr)
        command = [sys.executable, "-m", f"tests.bench.{name}", "--json"]
        done = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        worst = max(worst, min(abs(done.returncode), 1))  # a signal that ended it is below zero
        sections[name] = f"{_measured()}\n\n{_section(name, done.stdout)}"
        TARGET.write_text(_HEAD + "".join(f"\n## {one}\n\n{sections[one]}\n" for one in there if one in sections))
    return worst


def _sections(text: str) -> dict[str, str]:
    """What stands in the file so far, by benchmark."""
    parts = (part.partition("\n") for part in f"\n{text}".split("\n## ")[1:])
    return {name.strip(): rest.strip() for name, _, rest in parts}


def _measured() -> str:
    """Today's date, and this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = [models[0] if models else platform.machine(), f"{os.cpu_count()} cores", platform.system()]
    return f"Measured on {datetime.now(UTC):%Y-%m-%d}: {', '.join(machine)}, Python {platform.python_version()}."


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
