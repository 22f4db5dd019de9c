"""Our local generation beside a plain padded `generate` loop: `python -m tests.bench.generate [--json] [--prompts 32]`.

Same SmolLM2-135M weights in float32, same prompts, same threads, in one process and in turns. Two kinds of prompts,
both from the sample for function calling:

- few_shot: instructions and three solved examples, the same for every request.
- retrieval: instructions, and the three solved requests that are nearest to each.

The peer is transformers' `generate` as its documentation shows it: prompts in their order, padded on the left, sixteen
at a time, greedy. The ratio is of processor time, since other programs on the machine slow down one side or the other;
seconds stand beside it. Answers have to be the same, text for text.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.bench.bars import bar_table, judged
from tests.bench.peers import BENCH, ROOT

BASE, ROWS = "embedded:smollm2-135m", 16
MAX_TOKENS = 48
KINDS = {"few_shot": "base+prompt", "retrieval": "base+rag"}
BARS = {"few_shot": 3.0, "retrieval": 1.5}  # times the padded loop


def main() -> int:
    """Measure and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--prompts", type=int, default=32, help="of each kind")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side answers; the best counts")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", default=",".join(KINDS), help="which kinds, comma-separated")
    options = parser.parse_args()
    result = measure(options.only.split(","), options.prompts, options.rounds, options.threads)
    print(json.dumps(result, indent=2) if options.json else as_text(result))
    return 0 if all(bar["met"] for bar in result["bars"].values()) else 1


def measure(kinds: Sequence[str], prompts: int, rounds: int, threads: int) -> dict[str, Any]:
    """All figures: `ours`, `peers`, `ratios` (the peer's processor time over ours), `bars`, and the setting."""
    from curate.core.chat.base_model import find_base
    from trainer.model.load import load_model, set_threads

    asked = _requests(kinds, prompts)
    set_threads(threads)
    loaded = load_model(find_base(BASE, ROOT))
    ours: dict[str, Any] = {}
    padded: dict[str, Any] = {}
    found: dict[str, float] = {}
    bars: dict[str, tuple[float, str]] = {}
    for kind in kinds:
        sides: dict[str, Callable[[], dict[str, str]]] = {
            "ours": lambda kind=kind: _ours(loaded, asked[kind]),  # type: ignore[misc]  # a default binds the loop's value
            "padded": lambda kind=kind: _padded(loaded, asked[kind]),  # type: ignore[misc]  # likewise
        }
        best: dict[str, dict[str, Any]] = {}
        for _ in range(rounds):
            for name, side in sides.items():
                run = _timed(side)
                if name not in best or run["cpu_s"] < best[name]["cpu_s"]:
                    best[name] = run
        texts = [best[name].pop("texts") for name in ("ours", "padded")]
        lengths = [len(request.prompt_ids) for request in asked[kind]]
        setting = {"prompts": len(lengths), "prompt_tokens": sum(lengths), "longest": max(lengths)}
        ours[kind], padded[kind] = {**best["ours"], **setting}, best["padded"]
        ratio = round(padded[kind]["cpu_s"] / ours[kind]["cpu_s"], 2)
        same = sum(texts[0][item] == texts[1][item] for item in texts[0])
        found |= {f"{kind}, times the padded loop": ratio, f"{kind}, same answers": same}
        bars |= {f"{kind}, times the padded loop": (BARS[kind], "at least")}
        bars |= {f"{kind}, same answers": (len(lengths), "at least")}
    return {
        "setting": {
            "threads": threads,
            "max_tokens": MAX_TOKENS,
            "rounds": rounds,
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
        },
        "ours": ours,
        "peers": {"padded generate": padded},
        "ratios": {f"{kind}: padded generate": found[f"{kind}, times the padded loop"] for kind in kinds},
        "bars": judged(found, bars),
    }


def _requests(kinds: Sequence[str], prompts: int) -> dict[str, Any]:
    """The requests of the sample's contenders for so many of its items."""
    from curate.build.build import build
    from evalkit.ask.requests import ask_all
    from evalkit.suite.inputs import read_inputs

    sample, dataset = ROOT / "samples" / "toolcalls", BENCH / "toolcalls"
    build(sample / "recipe.yaml", output=dataset)
    suite = yaml.safe_load((sample / "suite.yaml").read_text())
    chosen = [KINDS[kind] for kind in kinds]
    suite |= {
        "items": str(dataset / "test.jsonl"),
        "train": str(dataset / "train.jsonl"),
        "contenders": [contender for contender in suite["contenders"] if contender["name"] in chosen],
        "output": "results",
    }
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "suite.yaml"
        path.write_text(yaml.safe_dump(suite))
        questions = {q.contender.name: q.requests for q in ask_all(read_inputs(path, limit=prompts))[0]}
    return {kind: questions[KINDS[kind]] for kind in kinds}


def _timed(side: Callable[[], dict[str, str]]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    texts = side()
    return {
        "cpu_s": round(time.process_time() - cpu, 2),
        "seconds": round(time.perf_counter() - wall, 2),
        "texts": texts,
    }


def _ours(loaded: Any, requests: Sequence[Any]) -> dict[str, str]:
    from evalkit.backends.transformers_local import TransformersLocal

    backend = TransformersLocal(loaded.model, loaded.chat)
    made = backend.generate(requests, max_tokens=MAX_TOKENS, advance=lambda *_: None)
    return {request.item: answer.text for request, answer in made}


def _padded(loaded: Any, requests: Sequence[Any]) -> dict[str, str]:
    import torch

    chat = loaded.chat
    pad = min(chat.stop_ids)
    texts: dict[str, str] = {}
    for start in range(0, len(requests), ROWS):
        batch = requests[start : start + ROWS]
        width = max(len(request.prompt_ids) for request in batch)
        short = [width - len(request.prompt_ids) for request in batch]
        with torch.inference_mode():
            out = loaded.model.generate(
                input_ids=torch.tensor([[pad] * n + r.prompt_ids for n, r in zip(short, batch, strict=True)]),
                attention_mask=torch.tensor([[0] * n + [1] * (width - n) for n in short]),
                do_sample=False,
                max_new_tokens=MAX_TOKENS,
                eos_token_id=sorted(chat.stop_ids),
                pad_token_id=pad,
            )
        for request, made in zip(batch, out[:, width:].tolist(), strict=True):
            end = next((i for i, token in enumerate(made) if token in chat.stop_ids), len(made))
            texts[request.item] = chat.tokenizer.decode(made[:end], skip_special_tokens=True)
    return texts


def as_text(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    setting = result["setting"]
    lines = [
        f"SmolLM2-135M in float32, {setting['threads']} threads, up to {setting['max_tokens']} tokens an answer, the"
        f" best of {setting['rounds']} rounds; load of the machine {setting['load']}.",
        "",
        "| prompts | tokens in prompts | ours, processor s | padded `generate`, processor s | times | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for kind, ours in result["ours"].items():
        padded = result["peers"]["padded generate"][kind]
        lines.append(
            f"| {ours['prompts']} {kind} | {ours['prompt_tokens']:,} | {ours['cpu_s']} | {padded['cpu_s']}"
            f" | {result['ratios'][f'{kind}: padded generate']} | {ours['seconds']} / {padded['seconds']} |"
        )
    return "\n".join(lines + bar_table(result["bars"]))


if __name__ == "__main__":
    sys.exit(main())
