"""promptfoo with four assertions, through its command line: `run_promptfoo.py job.json out.json`."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_bytes())
folder = Path(job["folder"])
provider = {
    "id": "openai:chat:m",
    "config": {"apiBaseUrl": job["url"], "apiKey": "none", "max_tokens": 32, "temperature": 0},
}
tests = [
    {
        "vars": {"q": item["q"]},
        "assert": [
            {"type": "equals", "value": item["a"]},
            {"type": "is-json"},
            {"type": "regex", "value": r"\d+"},
            {"type": "contains", "value": "answer"},
        ],
    }
    for item in job["items"]
]
config = {"prompts": ["{{q}}"], "providers": [provider], "tests": tests}
(folder / "promptfoo.json").write_text(json.dumps(config))
quiet = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "PROMPTFOO_CONFIG_DIR": str(folder / "promptfoo"),
    "OPENAI_API_KEY": "none",
    "PATH": os.pathsep.join([str(Path(job["promptfoo"]).parent), os.environ["PATH"]]),
}
command = [job["promptfoo"], "eval", "-c", "promptfoo.json", "-j", str(job["in_flight"]), "--no-cache", "--no-table"]
command += ["--no-progress-bar", "-o", "promptfoo-out.json"]
# It ends with 100 where an assertion failed.
subprocess.run(command, check=False, cwd=folder, env={**os.environ, **quiet}, capture_output=True)
results = json.loads((folder / "promptfoo-out.json").read_bytes())["results"]["results"]
times = [result["latencyMs"] for result in results]
found = {
    "p50_ms": statistics.median(times),
    "right": sum(result["success"] for result in results) / len(results),
    "errors": sum(bool(result.get("error")) and not result.get("response") for result in results),
}
Path(sys.argv[2]).write_text(json.dumps(found))
