"""Asking an endpoint beside other harnesses: `python -m tests.bench.harness [--json] [--items 2000] [--peers ...]`.

A loopback server answers after 50 ms; every harness asks it the same questions, 64 at a time, and applies its own rules
(four; lm-eval has one for such a task). Each runs in a process of its own, in turns; the best of `--rounds` counts.

- requests/s: as the server sees it, from the first question to the last answer: nobody's start-up counts.
- processor ms: of the whole process for an item, less what a run over few items costs; of each the least of all rounds,
  since starting costs some of them more than asking, and differs by more from one start to the next.
- latency: the median that the harness reports, over the server's own median.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.bars import bar_table, judged
from tests.bench.peers import BENCH, ROOT, PeerMissingError, installed_version, peer_python

SCRIPTS = Path(__file__).parent / "harness_peers"
LATENCY_MS = 50
FEW = 20  # items of the run whose processor time is what starting costs
MANY = 20_000  # items of the run whose memory counts
PEERS = {
    "inspect-ai": ["inspect-ai", "openai"],
    "lm-eval": ["lm-eval[api]"],
    "promptfoo": ["promptfoo@0.123.1", "node@24"],
}  # it needs a newer Node.js than most systems have
# name -> (bound, sense)
BARS = {
    "requests/s": (800.0, "at least"),
    "processor ms an item": (1.0, "at most"),
    "peak MB at 20,000 items": (120.0, "at most"),
    "warm cache, s for all items": (1.0, "at most"),
    "latency reported, over the server's": (1.1, "at most"),
    "times inspect-ai": (5.0, "at least"),
    "times promptfoo": (5.0, "at least"),
    "times lm-eval": (1.0, "at least"),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """One harness: the interpreter of its environment, and for promptfoo its program."""

    name: str
    python: Path
    version: str | None = None
    program: str | None = None


def main() -> int:
    """Measure and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; empty for none")
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name]
    result = measure(options.items, options.in_flight, options.rounds, peers)
    print(json.dumps(result, indent=2) if options.json else as_text(result))
    return 0 if all(bar["met"] for bar in result["bars"].values()) else 1


def measure(items: int, in_flight: int, rounds: int, peers: Sequence[str]) -> dict[str, Any]:
    """All figures: `ours`, `peers`, `ratios` (our requests/s over theirs), `bars`, and the setting."""
    tools, missing = _tools(peers)
    runs: dict[str, list[dict[str, Any]]] = {}
    small: dict[str, list[float]] = {}
    with server() as url, tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for tool in tools:
                print(f"round {turn + 1} of {rounds}: {tool.name}", file=sys.stderr)
                small.setdefault(tool.name, []).append(_run(tool, url, Path(folder), FEW, in_flight)["processor_s"])
                runs.setdefault(tool.name, []).append(_run(tool, url, Path(folder), items, in_flight))
        ours = tools[0]
        warm = [_run(ours, url, Path(folder), items, in_flight, keep=bool(turn)) for turn in range(3)]
        many = _run(ours, url, Path(folder), MANY, in_flight)
    figures = {tool.name: _figures(runs[tool.name], small[tool.name], items, tool) for tool in tools}
    own = figures.pop("acidtest")
    own |= {"warm_s": min(run["seconds"] for run in warm[1:]), "peak_mb_many": many["peak_mb"]}
    ratios = {name: round(own["requests_per_s"] / found["requests_per_s"], 2) for name, found in figures.items()}
    return {
        "setting": {
            "items": items,
            "in_flight": in_flight,
            "latency_ms": LATENCY_MS,
            "rounds": rounds,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
        },
        "ours": own,
        "peers": {**figures, **{name: {"missing": why} for name, why in missing.items()}},
        "ratios": ratios,
        "bars": _bars(own, ratios),
    }


@contextmanager
def server() -> Iterator[str]:
    """The address of a running server."""
    command = [sys.executable, str(Path(__file__).with_name("harness_server.py")), str(LATENCY_MS)]
    # On leaving, its standard input is closed, and it ends.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.stdin.close()


def questions(count: int) -> list[dict[str, str]]:
    """Questions of 60 to 260 characters with the answers that the server gives."""
    texts = [f"Question {n}: how many characters has this text? " + "word " * (n % 40) for n in range(count)]
    return [{"id": f"q{n}", "q": text, "a": json.dumps({"answer": len(text)})} for n, text in enumerate(texts)]


def _tools(peers: Sequence[str]) -> tuple[list[Tool], dict[str, str]]:
    tools, missing = [Tool("acidtest", Path(sys.executable))], {}
    for name in peers:
        try:
            if name == "promptfoo":
                tools.append(_promptfoo())
            else:
                python = peer_python(name, PEERS[name])
                tools.append(Tool(name, python, installed_version(python, name)))
        except PeerMissingError as error:
            missing[name] = str(error)
    return tools, missing


def _promptfoo() -> Tool:
    """promptfoo in a folder of its own. Raises: PeerMissingError."""
    folder = BENCH / "node"
    program = folder / "node_modules" / ".bin" / "promptfoo"
    if not program.is_file() or not program.with_name("node").exists():
        if shutil.which("npm") is None:
            raise PeerMissingError("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", *PEERS["promptfoo"]]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise PeerMissingError((done.stderr.strip().splitlines() or ["npm failed"])[-1])
    return Tool("promptfoo", Path(sys.executable), PEERS["promptfoo"][0].partition("@")[2], str(program))


def _run(tool: Tool, url: str, folder: Path, items: int, in_flight: int, *, keep: bool = False) -> dict[str, Any]:
    """One run: what the tool reports, what the server saw, and what the system counted."""
    place = folder / tool.name
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(exist_ok=True)
    job = {"url": url, "items": questions(items), "in_flight": in_flight, "folder": str(place)}
    job |= {"promptfoo": tool.program, "output": f"results{len(list(place.glob('results*')))}"}
    (place / "job.json").write_text(json.dumps(job))
    script = SCRIPTS / f"run_{'ours' if tool.name == 'acidtest' else tool.name.replace('-', '_')}.py"
    command = [str(tool.python), str(script), str(place / "job.json"), str(place / "out.json")]
    ours_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": ours_path if tool.name == "acidtest" else ""}
    _served(url)
    with (place / "said.txt").open("w+") as said:
        process = subprocess.Popen(command, env=environment, cwd=BENCH, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{tool.name} failed:\n{said.read()[-2000:]}")
    processor_s = used.ru_utime + used.ru_stime
    peak_mb = used.ru_maxrss / 1000 * 1.024
    return {**json.loads((place / "out.json").read_bytes()), "processor_s": processor_s, "peak_mb": round(peak_mb)} | {
        "server": _served(url)
    }


def _served(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/served", timeout=30) as response:
        found: dict[str, Any] = json.loads(response.read())
    return found


def _figures(runs: Sequence[dict[str, Any]], small: Sequence[float], items: int, tool: Tool) -> dict[str, Any]:
    best = max(runs, key=lambda run: run["server"]["count"] / run["server"]["seconds"])
    p50 = best["p50_ms"]
    asking_s = min(run["processor_s"] for run in runs) - min(small)
    return {
        "version": tool.version,
        "requests_per_s": round(best["server"]["count"] / best["server"]["seconds"], 1),
        "processor_ms": round(asking_s / (items - FEW) * 1000, 3),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "p50_ms": p50,
        "server_p50_ms": round(best["server"]["p50_ms"], 1),
        "latency_over_server": round(p50 / best["server"]["p50_ms"], 3) if p50 is not None else None,
        "right": best["right"],
        "asked": best["server"]["count"],
    }


def _bars(ours: dict[str, Any], ratios: dict[str, float]) -> dict[str, Any]:
    measured = {
        "requests/s": ours["requests_per_s"],
        "processor ms an item": ours["processor_ms"],
        "peak MB at 20,000 items": ours["peak_mb_many"],
        "warm cache, s for all items": ours["warm_s"],
        "latency reported, over the server's": ours["latency_over_server"],
        **{f"times {name}": ratio for name, ratio in ratios.items()},
    }
    return judged(measured, BARS)


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    setting = result["setting"]
    lines = [
        f"{setting['items']:,} questions, {setting['in_flight']} at a time, to a server that answers after"
        f" {setting['latency_ms']} ms; {setting['cores']} cores, load {setting['load']:g} at the end.",
        "",
        "| harness | requests/s | ours is faster | processor ms an item | peak MB | median latency | the server's |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, found in {"acidtest": result["ours"], **result["peers"]}.items():
        if "missing" in found:
            lines.append(f"| {name} | could not be installed: {found['missing']} | | | | | |")
            continue
        ratio = f"{result['ratios'][name]:g} times" if name in result["ratios"] else ""
        label = f"{name} {found['version']}" if found["version"] else name
        reported = "none" if found["p50_ms"] is None else f"{found['p50_ms']:.1f} ms"
        lines.append(
            f"| {label} | {found['requests_per_s']:,.0f} | {ratio} | {found['processor_ms']:.2f} | {found['peak_mb']}"
            f" | {reported} | {found['server_p50_ms']:.1f} ms |"
        )
    return "\n".join([*lines, *bar_table(result["bars"])])


if __name__ == "__main__":
    sys.exit(main())
