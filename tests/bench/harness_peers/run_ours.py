"""acidtest, through `evaluate` as the command line calls it: `run_ours.py job.json out.json`."""

import json
import sys
import time
from pathlib import Path

import yaml

from evalkit.run import RunOptions, evaluate

job = json.loads(Path(sys.argv[1]).read_bytes())
folder = Path(job["folder"])
rows = (
    {
        "id": item["id"],
        "messages": [{"role": "user", "content": item["q"]}, {"role": "assistant", "content": item["a"]}],
    }
    for item in job["items"]
)
(folder / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
suite = {
    "name": "harness",
    "items": "items.jsonl",
    "output": "results",
    "contenders": [{"name": "served", "endpoint": {"model": "m", "base_url": job["url"], "key_env": None}}],
    "generation": {"max_tokens": 32},
    "scorers": [
        {"name": "exact", "kind": "exact"},
        {"name": "json_valid", "kind": "json_valid"},
        {"name": "number", "kind": "number"},
        {"name": "length", "kind": "length", "at_most": 60},
    ],
    "primary": "exact",
    "useful_effect": 0.1,
    "running": {"concurrency": job["in_flight"], "latency_items": 0},
}
(folder / "suite.yaml").write_text(yaml.safe_dump(suite))
del job["items"]
started = time.perf_counter()
result = evaluate(folder / "suite.yaml", RunOptions(cache=folder / "kept", output=folder / job["output"])).result
[served] = result["contenders"]
seconds = time.perf_counter() - started
found = {
    "seconds": seconds,
    "p50_ms": served["latency_ms"]["p50"],
    "right": served["metrics"]["exact"]["mean"],
    "errors": served["errors"],
}
Path(sys.argv[2]).write_text(json.dumps(found))
