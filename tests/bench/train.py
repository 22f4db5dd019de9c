"""Our training loop beside TRL's SFTTrainer: `python -m tests.bench.train [--json] [--rounds 3]`.

Same SmolLM2-135M weights in float32, same rows, same LoRA adapter to begin with, same optimizer steps, two threads,
each in a process of its own. About a quarter of an hour for all of it; `--only` takes some, and the result says which.
Two kinds of rows, and the start:

- rows: the training rows of the sample, which `curate` builds from bfcl-eval; eight rows a step.
- prefix: 64 rows of 60 tokens a step, behind one prompt of 600 tokens.
- start: how long `trainer fit` takes, with its defaults and the same dataset, until its first step begins.

TRL is measured padded (in our order, so that the losses can be compared), grouped by length, and packed; the best
counts. With a prefix all rows are of one length, and there is nothing to group or pack. A rate is of the tokens that
are no padding, after the first pass, which only warms up, over all passes but those in which other programs used much
of the machine (at least the calmer half of them counts); how much they used stands beside it. `--seconds` ends TRL's
packed setting and the one with a prefix early: the others see the same rows as we do. A machine's speed changes from
minute to minute, so on `rows` our loop and TRL's best setting take several rounds in turns, the best of each counts,
and a matrix product is measured before each.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.bars import bar_table, judged
from tests.bench.peers import BENCH, ROOT, PeerMissingError, installed_version, peer_python

SCRIPTS = Path(__file__).parent / "train_peers"
PEER = ["trl==1.16.0", "peft", "psutil", "torch==2.13.0"]
BASE, THREADS, SEED = "embedded:smollm2-135m", 2, 7
LORA = {"r": 16, "alpha": 32}
PREFIX_TOKENS, OWN_TOKENS, PREFIX_ROWS = 600, 60, 64
KINDS = ("rows", "prefix", "start")
_NF4_STEPS = 8  # enough for a rate; the losses are compared in float32
_CALM = 0.05  # of the machine used by others
_STARTS = 2  # the first one may read files from disk that the next finds in memory
# name -> (bar, whether it is the least or the most that will do)
BARS = {
    "rows, times TRL's best": (2.2, "at least"),
    "prefix, times TRL's best": (7.0, "at least"),
    "rows, memory of TRL's best": (1.0, "at most"),
    "prefix, memory of TRL's best": (1.0, "at most"),
    "share of a matrix product's multiply-adds": (0.75, "at least"),
    "NF4, time of float32": (1.3, "at most"),
    "seconds from start to first step": (10.0, "at most"),
    "largest difference of losses": (1e-3, "at most"),
}
_MATRIX = (
    "import sys, time, torch; torch.set_num_threads(int(sys.argv[1])); a = torch.randn(2048, 2048); best = 9e9\n"
    "for _ in range(12):\n"
    "    started = time.perf_counter(); a @ a; best = min(best, time.perf_counter() - started)\n"
    "print(2048**3 / best)\n"
)


def main() -> int:
    """Measure and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(KINDS), help="which of these, comma-separated")
    options = parser.parse_args()
    result = measure(options.steps, options.seconds, options.rounds, options.only.split(","))
    print(json.dumps(result, indent=2) if options.json else as_text(result))
    return 0 if all(bar["met"] for bar in result["bars"].values()) else 1


def measure(steps: int, seconds: float, rounds: int, kinds: list[str]) -> dict[str, Any]:
    """All figures: `ours`, `peers`, `ratios` (our rate over TRL's), `bars`, and the setting."""
    python, trl = None, "not asked for"
    if set(kinds) != {"start"}:
        try:
            python = peer_python("trl", PEER)
            trl = installed_version(python, "trl")
        except PeerMissingError as error:
            trl = f"could not be installed: {error}"
    with tempfile.TemporaryDirectory() as name:
        bench = _Bench(Path(name), python, steps, seconds)
        ours: dict[str, Any] = {}
        peers: dict[str, Any] = {}
        if "rows" in kinds:
            bench.on_rows(ours, peers, rounds)
        if "prefix" in kinds:
            bench.on_prefix(ours, peers)
        start_s = bench.seconds_to_first_step() if "start" in kinds else None
        products = bench.products
    bars, ratios = _bars(ours, peers, start_s)
    shown = {name: {key: value for key, value in run.items() if key != "losses"} for name, run in peers.items()}
    return {
        "setting": {
            "measured": [kind for kind in KINDS if kind in kinds],
            "steps": steps,
            "rounds": rounds,
            "threads": THREADS,
            "trl": trl,
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "matrix_product_gmacs": [round(rate / 1e9, 1) for rate in products],
        },
        "ours": {name: {key: value for key, value in run.items() if key != "losses"} for name, run in ours.items()},
        "peers": shown,
        "ratios": ratios,
        "bars": bars,
    }


class _Bench:
    """One run of the benchmark: its folder, its settings, and the rate of a matrix product before each process."""

    def __init__(self, folder: Path, trl: Path | None, steps: int, seconds: float) -> None:
        from curate.build.build import build
        from curate.core.chat.base_model import find_base, load_chat_format
        from trainer.config import TrainConfig
        from trainer.data.dataset import read_tokenized_rows
        from trainer.model.load import weights_place

        self.folder, self.trl, self.steps, self.seconds = folder, trl, steps, seconds
        self.products: list[float] = []
        dataset = BENCH / "toolcalls"
        build(ROOT / "samples" / "toolcalls" / "recipe.yaml", output=dataset)
        base = find_base(BASE, folder)
        config = TrainConfig(base=BASE, dataset="-", output="-")
        self.samples = read_tokenized_rows(dataset / "train.jsonl", load_chat_format(base), config).rows
        self.job: dict[str, Any] = {
            "base": BASE,
            "model": weights_place(base),
            "tokenizer": str(base.cache() / "tokenizer"),
            "adapter": str(folder / "adapter"),
            "lora": LORA,
            "learning_rate": 5e-4,
            "threads": THREADS,
            "seed": SEED,
            "micro_batch_tokens": TrainConfig.model_fields["micro_batch_tokens"].default,
        }

    def on_rows(self, ours: dict[str, Any], peers: dict[str, Any], rounds: int) -> None:
        """Measure on the sample's rows, in the order that our loop takes them."""
        from trainer.data.batches import epoch_batches

        batch = 8
        few = self.samples[: self.steps * batch]
        order = [row for rows in epoch_batches([len(s.ids) for s in few], batch, SEED, 0) for row in rows]
        job = {"steps": self.steps, "batch_rows": batch, "rows_per_pass": batch}
        plain = [(sample.ids, sample.supervised) for sample in few]
        ordered = [plain[row] for row in order]

        def run_ours(mode: str) -> None:
            steps = self.steps if mode == "float32" else min(self.steps, _NF4_STEPS)
            _keep_best(ours, f"rows, {mode}", self._run(None, {**job, "mode": mode, "rows": plain, "steps": steps}))

        def run_trl(mode: str, limit: float | None) -> None:
            run = self._run(self.trl, {**job, "mode": mode, "rows": ordered, "seconds": limit})
            _keep_best(peers, f"rows, {mode}", run)

        for mode in ("float32", "nf4", "nf4 expanded"):
            run_ours(mode)
        for mode in ("padded", "grouped", "packed") if self.trl else ():
            run_trl(mode, self.seconds if mode == "packed" else None)
        best = max(peers, key=lambda name: float(peers[name]["tokens_per_s"]), default="").removeprefix("rows, ")
        for _ in range(rounds - 1):
            for mode in ("float32", "nf4"):
                run_ours(mode)
            if best:
                run_trl(best, None)

    def on_prefix(self, ours: dict[str, Any], peers: dict[str, Any]) -> None:
        """Measure on rows that share a long prompt: real tokens, cut to the sizes that are wanted."""
        prompt = [token for sample in self.samples for token in sample.ids][:PREFIX_TOKENS]
        ends = [s for s in self.samples if len(s.ids) >= OWN_TOKENS and s.supervised_count <= OWN_TOKENS - 2]
        rows = [
            (prompt + sample.ids[-OWN_TOKENS:], [False] * PREFIX_TOKENS + sample.supervised[-OWN_TOKENS:])
            for sample in ends[:PREFIX_ROWS]
        ] * 2
        # Half of the rows at a time: all of them at once are a tenth quicker, for two fifths more memory.
        tokens = PREFIX_ROWS * OWN_TOKENS // 2 + PREFIX_TOKENS
        job = {"batch_rows": PREFIX_ROWS, "rows": rows, "steps": 2, "micro_batch_tokens": tokens}
        ours["prefix, float32"] = self._run(None, {**job, "mode": "float32"})
        if self.trl:
            # All rows are of one length, so grouping or packing them would leave out nothing; packs are slower besides.
            limits = {"mode": "padded", "rows_per_pass": 4, "seconds": self.seconds}
            peers["prefix, padded"] = self._run(self.trl, {**job, **limits})

    def seconds_to_first_step(self) -> float:
        """How long `trainer fit` takes until its first step begins: the best of a few."""
        config = {"base": BASE, "dataset": str(BENCH / "toolcalls"), "max_steps": 1, "threads": THREADS}
        found = []
        for number in range(_STARTS):
            print("trainer fit: one step", file=sys.stderr)
            run, file = self.folder / f"run-{number}", self.folder / f"train-{number}.yaml"
            file.write_text(json.dumps(config | {"output": str(run)}))  # JSON is YAML
            code = "from trainer.cli import main; main()"
            started = time.monotonic()
            with subprocess.Popen(
                [sys.executable, "-c", code, "fit", str(file)],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            ) as process:
                while not (steps := run / "steps.jsonl").is_file() or not steps.read_bytes().endswith(b"\n"):
                    if process.poll() not in (None, 0):
                        raise RuntimeError(f"trainer fit failed:\n{process.stderr.read() if process.stderr else ''}")
                    time.sleep(0.02)
                seconds = time.monotonic() - started
                process.communicate()
            found.append(seconds - json.loads(steps.read_bytes().splitlines()[0])["environment"]["seconds"])
        return min(found)

    def _run(self, python: Path | None, more: dict[str, Any]) -> dict[str, Any]:
        job, out = self.folder / "job.json", self.folder / "out.json"
        job.write_text(json.dumps({**self.job, **more}))
        product = [sys.executable, "-c", _MATRIX, str(THREADS)]
        self.products.append(float(subprocess.run(product, check=True, capture_output=True, text=True).stdout))
        script = SCRIPTS / ("run_trl.py" if python else "run_ours.py")
        print(f"{script.stem}: {more['mode']}, {more['batch_rows']} rows a step", file=sys.stderr)
        quiet = {"OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        path = "" if python else os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [str(python or sys.executable), str(script), str(job), str(out)]
        done = subprocess.run(
            command,
            check=False,
            cwd=BENCH,
            env={**os.environ, **quiet, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{script.stem} failed:\n{done.stderr[-3000:]}")
        return {**_figures(json.loads(out.read_bytes())), "product_gmacs": round(self.products[-1] / 1e9, 1)}


def _keep_best(runs: dict[str, Any], name: str, run: dict[str, Any]) -> None:
    """The quicker of this run and the one before; the losses stay those of the first, which is never cut short."""
    known = runs.get(name)
    if known is None:
        runs[name] = run
    elif run["tokens_per_s"] > known["tokens_per_s"]:
        runs[name] = {**run, "losses": known["losses"]}


def _figures(run: dict[str, Any]) -> dict[str, Any]:
    """Rates over the calm passes, and at least the calmer half, from what a process wrote."""
    passes = [[b - a for a, b in zip(x[:3], y[:3], strict=True)] + y[3:] for x, y in pairwise(run["marks"])]
    passes.sort(key=_used_by_others)
    calm = [one for at, one in enumerate(passes) if at < len(passes) / 2 or _used_by_others(one) < _CALM]
    seconds, own, everybody, tokens, *work = (sum(column) for column in zip(*calm, strict=True))
    found = {
        "passes": len(calm),
        "tokens_per_s": round(tokens / seconds, 1),
        "tokens_per_processor_s": round(tokens / own, 1),
        "used_by_others": round(_used_by_others([seconds, own, everybody]), 2),
        "peak_mb": round(run["peak_bytes"] / 1e6),
        "losses": run["losses"],
    }
    if work:
        found["gmacs"] = round(multiply_adds(*work) / seconds / 1e9, 1)
    return found


def _used_by_others(one: list[float]) -> float:
    """The share of the machine that other programs used meanwhile."""
    seconds, own, everybody, *_ = one
    return max(0.0, everybody - own) / seconds / (os.cpu_count() or 1)


def multiply_adds(computed_tokens: int, supervised: int) -> float:
    """The multiply-adds that a LoRA step of SmolLM2-135M needs; attention's own are left out.

    A frozen weight takes one going forward and one for the gradient of its input, an adapter's one more for its own.
    """
    # The last block's MLP comes behind all attention: only what the loss looks at is computed there.
    hidden, wide, kv, layers, vocabulary = 576, 1536, 192, 30, 49152
    mlp = [(hidden, wide), (hidden, wide), (wide, hidden)]
    block = [(hidden, hidden), (hidden, kv), (hidden, kv), (hidden, hidden), *mlp]
    everywhere = layers * _per_token(block) - _per_token(mlp)
    return computed_tokens * everywhere + supervised * (_per_token(mlp) + 2.0 * hidden * vocabulary)


def _per_token(layers: list[tuple[int, int]]) -> float:
    rank = LORA["r"]
    return sum(2.0 * inputs * outputs + 3.0 * rank * (inputs + outputs) for inputs, outputs in layers)


def _bars(
    ours: dict[str, Any], peers: dict[str, Any], start_s: float | None = None
) -> tuple[dict[str, Any], dict[str, float]]:
    measured: dict[str, float] = {} if start_s is None else {"seconds from start to first step": start_s}
    ratios: dict[str, float] = {}
    for kind in ("rows", "prefix"):
        rival = {name: run for name, run in peers.items() if name.startswith(kind)}
        own = ours.get(f"{kind}, float32")
        if not own or not rival:
            continue
        ratios |= {f"trl {name}": round(own["tokens_per_s"] / run["tokens_per_s"], 2) for name, run in rival.items()}
        best = max(rival.values(), key=lambda run: float(run["tokens_per_s"]))
        measured[f"{kind}, times TRL's best"] = own["tokens_per_s"] / best["tokens_per_s"]
        measured[f"{kind}, memory of TRL's best"] = own["peak_mb"] / best["peak_mb"]
    if plain := ours.get("rows, float32"):
        measured["share of a matrix product's multiply-adds"] = plain["gmacs"] / plain["product_gmacs"]
        measured["NF4, time of float32"] = plain["tokens_per_s"] / ours["rows, nf4"]["tokens_per_s"]
        if padded := peers.get("rows, padded"):
            pairs = zip(plain["losses"], padded["losses"], strict=True)
            measured["largest difference of losses"] = max(abs(a - b) for a, b in pairs)
    bars = judged(measured, BARS)  # before rounding
    return {name: {**bar, "measured": float(f"{bar['measured']:.3g}")} for name, bar in bars.items()}, ratios


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    setting = result["setting"]
    products = setting["matrix_product_gmacs"] or [math.nan]
    lines = [
        f"SmolLM2-135M, LoRA r {LORA['r']} on all linear layers, float32, {setting['threads']} threads,"
        f" {setting['steps']} steps, the best of {setting['rounds']} rounds; TRL {setting['trl']}."
        f" Measured: {', '.join(setting['measured'])}.",
        f"A plain matrix product made {min(products):g} to {max(products):g} thousand million multiply-adds a second.",
        "",
        "| | tokens/s | tokens per processor second | used by others | peak MB | ours is faster |",
        "|---|---|---|---|---|---|",
    ]
    named = [(f"acidtest, {name}", run) for name, run in result["ours"].items()]
    for name, run in [*named, *((f"trl {name}", run) for name, run in result["peers"].items())]:
        ratio = f"{result['ratios'][name]:g} times" if name in result["ratios"] else ""
        rates = f"{run['tokens_per_s']:g} | {run['tokens_per_processor_s']:g} | {run['used_by_others']:.0%}"
        lines.append(f"| {name} | {rates} | {run['peak_mb']:,} | {ratio} |")
    return "\n".join([*lines, *bar_table(result["bars"])])


if __name__ == "__main__":
    sys.exit(main())
