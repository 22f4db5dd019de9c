"""Near-duplicate removal beside its peers: `python -m tests.bench.dedup [--json] [--rows 50000,500000] [--peers ...]`.

Text in memory -> numbers of the rows to remove; word 3-grams, Jaccard 0.7, 128 minima. Every tool runs in a process of
its own, fast ones in turns (the best of `--rounds` counts), slow ones once and on the first number of rows alone, since
ten times as many would take them an hour. Measured against all similar pairs:

- recall: the share of the truly similar pairs of which at least one row is removed.
- precision: the share of removals that are due. In each component of truly similar rows one has to stay; as many
  removals as rows beyond that are due, a removal of a row that is similar to none never is.
- direct precision: the share of removed rows that are truly similar to a row that is kept.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.corpus import chat_texts
from tests.bench.exact_pairs import similar_pairs
from tests.bench.peers import BENCH, ROOT, PeerMissingError, installed_version, peer_python

SCRIPTS = Path(__file__).parent / "dedup_peers"
THRESHOLD = "0.7"
# peer -> (packages of its environment, whether it is fast enough to run in every round)
PEERS: dict[str, tuple[list[str], bool]] = {
    "rensa": (["rensa"], True),
    "datasketch": (["datasketch"], True),
    "text-dedup": (["text-dedup"], False),
    "datatrove": (["datatrove[processing,io]", "spacy"], False),
}
BARS = {"rensa": 5.0, "rensa, one core": 2.5, "datasketch": 25.0, "text-dedup": 100.0, "datatrove": 100.0}
RECALL_BAR = 0.999
_LATER_ROUNDS = 2  # of more rows, each of which takes minutes


@dataclass(frozen=True, slots=True)
class Truth:
    """All truly similar pairs, and for each row the component it is in."""

    pairs: NDArray[np.int64]
    component: NDArray[np.int64]

    @property
    def due(self) -> int:
        """How many rows have to go for one of each component to be left."""
        return int(self.component.size - np.unique(self.component).size)


def main() -> int:
    """Measure and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", default="50000,500000", help="comma-separated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; empty for none")
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name]
    sizes = []
    for turn, rows in enumerate(map(int, options.rows.split(","))):
        rounds = min(options.rounds, _LATER_ROUNDS) if turn else options.rounds
        sizes.append(measure(rows, rounds, [name for name in peers if PEERS[name][1] or not turn]))
    result = {"sizes": sizes}
    print(json.dumps(result, indent=2) if options.json else as_text(result))
    return 0 if all(bar["met"] for size in sizes for bar in size["bars"].values()) else 1


def measure(rows: int, rounds: int, peers: Sequence[str]) -> dict[str, Any]:
    """All figures: `ours`, `peers`, `ratios` (our throughput over theirs), `bars`, and the setting."""
    texts = chat_texts(rows).texts
    truth = find_truth(texts)
    size = sum(len(text.encode()) for text in texts)
    pythons, missing = _environments(peers)
    compile_s = _compile_seconds(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        path.write_text(json.dumps(texts))
        runs: dict[str, list[dict[str, Any]]] = {}
        for turn in range(rounds):
            for name in ("ours", "ours, one core", *pythons):
                if name in missing or (turn and name in PEERS and not PEERS[name][1]):
                    continue
                print(f"round {turn + 1} of {rounds}: {name}", file=sys.stderr)
                try:
                    runs.setdefault(name, []).append(_run(name, pythons.get(name), path))
                except PeerMissingError as error:
                    missing[name] = str(error)
                    runs.pop(name)
    figures = {name: _figures(found, truth, rows, size) for name, found in runs.items()}
    for name, python in ((name, python) for name, python in pythons.items() if name in figures):
        figures[name]["version"] = installed_version(python, name)
    two, one = figures.pop("ours"), figures.pop("ours, one core")
    ratios = {name: round(found["seconds"] / two["seconds"], 2) for name, found in figures.items()}
    one_core = {name: round(found["seconds"] / one["seconds"], 2) for name, found in figures.items()}
    return {
        "setting": {
            "rows": rows,
            "text_bytes": size,
            "true_pairs": len(truth.pairs),
            "removals_due": truth.due,
            "threshold": float(THRESHOLD),
            "rounds": rounds,
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "ours": {**two, "one_core": one, "compile_s": round(compile_s, 2)},
        "peers": {**figures, **{name: {"missing": why} for name, why in missing.items()}},
        "ratios": ratios,
        "ratios_one_core": one_core,
        "bars": _bars(two, ratios, one_core),
    }


def find_truth(texts: Sequence[str]) -> Truth:
    """All similar pairs in which the same numbers stand, found once for each corpus and kept in .bench/."""
    digest = hashlib.sha256("\0".join([THRESHOLD, "bare words", *texts]).encode()).hexdigest()[:16]
    path = BENCH / "truth" / f"{digest}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = [sorted(re.findall(r"\d+", text)) for text in texts]
        pairs = similar_pairs(texts, THRESHOLD)
        np.save(path, pairs[[numbers[a] == numbers[b] for a, b in pairs.tolist()]])
    pairs = np.load(path)
    return Truth(pairs, components(pairs, len(texts)))


def components(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each of `count` rows the number of the component that the pairs put it in."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, np.int64)


def judge(removed: Sequence[int], truth: Truth) -> dict[str, float]:
    """Recall, precision and direct precision of a removal, as the module's text defines them."""
    gone = np.zeros(truth.component.size, np.bool_)
    gone[list(removed)] = True
    found = gone[truth.pairs].any(axis=1)
    size = np.bincount(truth.component)
    gone_by_component = np.bincount(truth.component, weights=gone)
    due = np.minimum(gone_by_component, size - 1).sum()
    beside_kept = np.zeros(gone.size, np.bool_)
    for a, b in (truth.pairs.T, truth.pairs.T[::-1]):
        beside_kept[a[~gone[b]]] = True
    total = max(1, int(gone.sum()))
    return {
        "removed": int(gone.sum()),
        "recall": round(float(found.mean()) if len(found) else 1.0, 5),
        "precision": round(float(due) / total, 5),
        "direct_precision": round(float((gone & beside_kept).sum()) / total, 5),
    }


def _environments(peers: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
    pythons: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for name in peers:
        try:
            pythons[name] = peer_python(name, PEERS[name][0])
        except PeerMissingError as error:
            missing[name] = str(error)
    return pythons, missing


def _compile_seconds(texts: Sequence[str]) -> float:
    """What the very first call takes, with nothing compiled yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        path.write_text(json.dumps(texts[:1000]))
        return float(_run("ours", None, path, NUMBA_CACHE_DIR=folder)["first_call_s"])


def _run(name: str, python: Path | None, texts: Path, **environment: str) -> dict[str, Any]:
    output = texts.with_name("out.json")
    threads = "1" if "one core" in name else "2"
    script = SCRIPTS / (f"run_{name.replace('-', '_')}.py" if python is not None else "run_ours.py")
    command = [str(python or sys.executable), str(script), str(texts), str(output), THRESHOLD, threads]
    ours_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    set_up = {**os.environ, "PYTHONPATH": ours_path if python is None else "", **environment}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    done = subprocess.run(command, check=False, env=set_up, cwd=BENCH, text=True, **quiet)
    if done.returncode and python is not None:
        raise PeerMissingError(f"it failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(output.read_bytes())
    return result


def _figures(runs: Sequence[dict[str, Any]], truth: Truth, rows: int, size: int) -> dict[str, Any]:
    seconds = min(run["seconds"] for run in runs)
    found = {
        "seconds": round(seconds, 4),
        "all_seconds": [round(run["seconds"], 4) for run in runs],
        "rows_per_s": round(rows / seconds),
        "mb_per_s": round(size / seconds / 1e6, 1),
        **judge(runs[0]["removed"], truth),
    }
    if "peak_bytes" in runs[0]:
        found["peak_mb"] = round(max(run["peak_bytes"] for run in runs) / 1e6)
        found["first_call_s"] = round(min(run["first_call_s"] for run in runs), 3)
    return found


def _bars(ours: dict[str, Any], ratios: dict[str, float], one_core: dict[str, float]) -> dict[str, Any]:
    measured = {name: ratios[name] for name in BARS if name in ratios}
    if "rensa" in one_core:
        measured["rensa, one core"] = one_core["rensa"]
    bars = {name: {"at_least": BARS[name], "measured": value} for name, value in measured.items()}
    bars["recall"] = {"at_least": RECALL_BAR, "measured": ours["recall"]}
    bars["precision"] = {"at_least": 1.0, "measured": ours["precision"]}
    bars["direct precision"] = {"at_least": 1.0, "measured": ours["direct_precision"]}
    return {name: {**bar, "met": bar["measured"] >= bar["at_least"]} for name, bar in bars.items()}


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    return "\n\n".join(map(_tables, result["sizes"]))


def _tables(result: dict[str, Any]) -> str:
    setting, ours = result["setting"], result["ours"]
    lines = [
        f"{setting['rows']:,} chat rows, {setting['text_bytes'] / 1e6:.0f} MB, {setting['true_pairs']:,} similar pairs,"
        f" {setting['removals_due']:,} removals due; {setting['cores']} cores; compiling once {ours['compile_s']} s.",
        "",
        "| tool | s | rows/s | ours is faster | recall | precision | direct precision | removed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    shown = {"acidtest": ours, "acidtest, one core": ours["one_core"], **result["peers"]}
    for name, found in shown.items():
        if "missing" in found:
            lines.append(f"| {name} | missing: {found['missing']} | | | | | | |")
            continue
        ratio = f"{result['ratios'][name]:g} times" if name in result["ratios"] else ""
        label = f"{name} {found['version']}" if "version" in found else name
        lines.append(
            f"| {label} | {found['seconds']:.3f} | {found['rows_per_s']:,} | {ratio} | {found['recall']:.4f}"
            f" | {found['precision']:.4f} | {found['direct_precision']:.4f} | {found['removed']:,} |"
        )
    lines += ["", "| bar | at least | measured | |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {bar['at_least']:g} | {bar['measured']:g} | {'met' if bar['met'] else 'MISSED'} |"
        for name, bar in result["bars"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
