"""Whole builds beside plain loops: `python -m tests.bench.build [--json] [--rows 500000] [--rounds 3]`.

JSON Lines of chat in, a dataset out, every tool in a process of its own, start-up included, in turns;
the fastest of `--rounds` counts, and the most memory. Ours:

- build: read, validate, exact and near duplicates, split, rejections, manifest, card, on every processor.
- deduplicated: the same into one file, with `split: {shares: {train: 1, val: 0, test: 0}}`.
- template check: the same with `base`, so that every row is also rendered and tokenised (on a tenth of the rows).

The peers do less, and each says what it leaves out; a build can't be expected to be as quick as they are.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.bench.corpus import chat_texts

ROOT = Path(__file__).resolve().parents[2]
BARS = {"build": 20_000, "deduplicated": 60_000, "template check": 5_000}  # rows a second
_BUILDS = {"build": "recipe", "deduplicated": "unique"}  # name -> recipe
BYTES_BAR = 1200  # of memory a row
_WATCH_S = 0.2  # short beside a build, long beside reading a table of the kernel's
PEERS = {
    "polars": (
        "scan, drop rows with the same messages, write; exact duplicates only, no validation, no reasons, no manifest",
        "import sys, polars as pl\n"
        "frame = pl.scan_ndjson(sys.argv[1]).unique('messages', keep='first', maintain_order=True)\n"
        "frame.sink_ndjson(sys.argv[2])\n",
    ),
    "json loop": (
        "json.loads, drop repeated prompts, json.dumps; exact duplicates only, no validation, no reasons, no manifest",
        "import json, sys\n"
        "seen = set()\n"
        "with open(sys.argv[1]) as rows, open(sys.argv[2], 'w') as out:\n"
        "    for line in rows:\n"
        "        row = json.loads(line)\n"
        "        key = json.dumps(row['messages'])\n"
        "        if key not in seen:\n"
        "            seen.add(key)\n"
        "            out.write(json.dumps(row) + '\\n')\n",
    ),
}
_OURS = (
    "import sys; from pathlib import Path; from curate.build.build import build; build(Path(sys.argv[1]), force=True)"
)


class _FailedError(Exception):
    """A command failed; the text is the last line that it said."""


def main() -> int:
    """Measure and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", default="embedded:smollm2-135m", help="empty: no template check")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.rows, options.rounds, options.base)
    print(json.dumps(result, indent=2) if options.json else as_text(result))
    return 0 if all(bar["met"] for bar in result["bars"].values()) else 1


def measure(folder: Path, rows: int, rounds: int, base: str) -> dict[str, Any]:
    """`ours`, `peers`, `ratios` (our throughput over theirs), `bars`, and the setting."""
    _write_rows(folder / "rows.jsonl", rows)
    _write_recipe(folder / "recipe.yaml", "rows.jsonl")
    _write_recipe(folder / "unique.yaml", "rows.jsonl", split={"shares": {"train": 1, "val": 0, "test": 0}})
    # name -> command and rows
    jobs = {
        name: ([sys.executable, "-c", _OURS, str(folder / f"{recipe}.yaml")], rows) for name, recipe in _BUILDS.items()
    }
    if base:
        few = max(rows // 10, 1)
        _write_rows(folder / "few.jsonl", few)
        _write_recipe(folder / "checked.yaml", "few.jsonl", base=base)
        jobs["template check"] = ([sys.executable, "-c", _OURS, str(folder / "checked.yaml")], few)
    jobs |= {
        name: ([sys.executable, "-c", code, str(folder / "rows.jsonl"), str(folder / "out")], rows)
        for name, (_, code) in PEERS.items()
    }
    _run(jobs["build"][0])  # machine code is compiled once for each machine
    ours = _in_turns(jobs, rounds)
    peers = {name: {**ours.pop(name), "does": does} for name, (does, _) in PEERS.items()}
    rate = ours["build"]["rows_per_s"]
    bars = {
        name: {"bar": bar, "reached": ours[name]["rows_per_s"], "met": ours[name]["rows_per_s"] >= bar}
        for name, bar in BARS.items()
        if name in ours
    }
    size = ours["build"]["bytes_per_row"]
    bars["bytes per row"] = {"bar": BYTES_BAR, "reached": size, "met": size <= BYTES_BAR}
    return {
        "setting": {
            "rows": rows,
            "rounds": rounds,
            "input_bytes": (folder / "rows.jsonl").stat().st_size,
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "load": [round(one, 2) for one in os.getloadavg()],
        },
        "ours": ours,
        "peers": peers,
        "ratios": {name: round(rate / peer["rows_per_s"], 3) for name, peer in peers.items() if "rows_per_s" in peer},
        "bars": bars,
    }


def _write_rows(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(chat_texts(rows).texts):
            question, _, answer = text.partition("\n")
            messages = [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": f"{question} {answer[: len(answer) // 2]}"},
                {"role": "assistant", "content": answer[len(answer) // 2 :].strip() or "So it is."},
            ]
            file.write(json.dumps({"id": f"row-{number}", "messages": messages}, ensure_ascii=False) + "\n")


def _write_recipe(path: Path, rows: str, **more: Any) -> None:
    recipe = {"name": "bench", "behaviour": "Answers.", "output": path.stem, "sources": [{"name": "s", "path": rows}]}
    path.write_text(json.dumps({**recipe, **more}))


def _in_turns(jobs: dict[str, tuple[list[str], int]], rounds: int) -> dict[str, dict[str, Any]]:
    """What each command took in its fastest round; `missing` says why one that failed has no figures."""
    runs: dict[str, list[tuple[float, float, int]]] = {name: [] for name in jobs}
    failed: dict[str, str] = {}
    for turn in range(rounds):
        for name, (command, _) in jobs.items():
            print(f"round {turn + 1} of {rounds}: {name}", file=sys.stderr)
            try:
                runs[name].append(_timed(command))
            except _FailedError as error:
                if name not in PEERS:
                    raise
                failed[name] = str(error)
    return {
        name: {"missing": failed[name]} if name in failed else _figures(runs[name], rows)
        for name, (_, rows) in jobs.items()
    }


def _timed(command: list[str]) -> tuple[float, float, int]:
    """Seconds, processor seconds, and bytes of memory at the peak. Raises: _FailedError."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = _run(command)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def _figures(runs: list[tuple[float, float, int]], rows: int) -> dict[str, Any]:
    seconds, processor, _ = min(runs)
    peak = max(run[2] for run in runs)
    return {
        "seconds": round(seconds, 3),
        "all_seconds": [round(run[0], 3) for run in runs],
        "rows_per_s": round(rows / seconds),
        "processor_seconds": round(processor, 3),
        "peak_bytes": peak,
        "bytes_per_row": round(peak / rows),
    }


def _run(command: list[str]) -> int:
    """Run a command and return the peak of the memory that it and the processes it starts have together, in bytes.

    Raises: _FailedError with the last line that it said.
    """
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_own_bytes, _with_children(process.pid))))
            time.sleep(_WATCH_S)
        said.seek(0)
        if process.returncode != 0:
            raise _FailedError((said.read().strip().splitlines() or ["it said nothing"])[-1])
    return peak


def _with_children(process: int) -> list[int]:
    """The process and all below it."""
    found = [process]
    with suppress(OSError):  # it may have ended meanwhile
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            found += [one for child in children.read_text().split() for one in _with_children(int(child))]
    return found


def _own_bytes(process: int) -> int:
    """What the process has in memory, its part of what it shares with others; pages of files are the system's."""
    kilobytes = 0
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                kilobytes += int(line.split()[1])
    return kilobytes * 1024


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    setting = result["setting"]
    lines = [
        f"{setting['rows']:,} chat rows, {setting['input_bytes'] / 1e6:.0f} MB; {setting['processors']} processors,"
        f" load {setting['load'][0]:g} at the end. The ratio is our build's rows a second over the peer's.",
        "",
        "| | rows/s | processor s | bytes a row | ratio | leaves out |",
        "|---|---|---|---|---|---|",
    ]
    for name, run in {**{f"acidtest, {name}": run for name, run in result["ours"].items()}, **result["peers"]}.items():
        if "missing" in run:
            lines.append(f"| {name} | failed: {run['missing']} | | | | |")
            continue
        ratio = f"{result['ratios'][name]:g}" if name in result["ratios"] else ""
        figures = f"{run['rows_per_s']:,} | {run['processor_seconds']:g} | {run['bytes_per_row']:,} | {ratio}"
        lines.append(f"| {name} | {figures} | {run.get('does', '')} |")
    lines += ["", "| bar | | measured | |", "|---|---|---|---|"]
    for name, bar in result["bars"].items():
        sense = "at most" if name == "bytes per row" else "at least"
        verdict = "met" if bar["met"] else "MISSED"
        lines.append(f"| {name} | {sense} {bar['bar']:,} | {bar['reached']:,} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
