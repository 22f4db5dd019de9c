"""inspect_ai with four scorers: `run_inspect_ai.py job.json out.json`."""

import json
import os
import statistics
import sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_bytes())
os.chdir(job["folder"])

from inspect_ai import Task  # noqa: E402
from inspect_ai import eval as run_eval  # noqa: E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.model import get_model  # noqa: E402
from inspect_ai.scorer import exact, includes, match, pattern  # noqa: E402
from inspect_ai.solver import generate  # noqa: E402

samples = [Sample(id=item["id"], input=item["q"], target=item["a"]) for item in job["items"]]
task = Task(
    dataset=MemoryDataset(samples),
    solver=generate(),
    scorer=[exact(), includes(), match(), pattern(r"(\d+)")],
)
model = get_model("openai-api/local/m", base_url=job["url"], api_key="none")
[log] = run_eval(
    task,
    model=model,
    max_connections=job["in_flight"],
    max_samples=job["in_flight"],
    max_tokens=32,
    display="none",
    log_dir="logs",
)
times = [sample.output.time * 1000 for sample in log.samples or [] if sample.output.time]
right = [score.metrics["accuracy"].value for score in log.results.scores if score.name == "includes"]
found = {"p50_ms": statistics.median(times) if times else None, "right": right[0], "errors": 0}
Path(sys.argv[2]).write_text(json.dumps(found))
