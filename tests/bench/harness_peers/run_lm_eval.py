"""lm-eval through its chat-completions model: `run_lm_eval.py job.json out.json`. It reports no latency."""

import json
import os
import sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_bytes())
folder = Path(job["folder"])
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
os.environ["OPENAI_API_KEY"] = "none"

import lm_eval  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

lines = [json.dumps({"q": item["q"], "a": item["a"]}) for item in job["items"]]
(folder / "lm.jsonl").write_text("\n".join(lines))
(folder / "tasks").mkdir(exist_ok=True)
(folder / "tasks" / "bench.yaml").write_text(
    f"""task: bench
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder / "lm.jsonl"}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 32}}
metric_list: [{{metric: exact_match}}]
"""
)
result = lm_eval.simple_evaluate(
    model="local-chat-completions",
    model_args=f"model=m,base_url={job['url']}/chat/completions,num_concurrent={job['in_flight']},tokenized_requests=False",
    tasks=["bench"],
    task_manager=TaskManager(include_path=str(folder / "tasks")),
    apply_chat_template=True,
    bootstrap_iters=0,
)
Path(sys.argv[2]).write_text(
    json.dumps({"p50_ms": None, "right": result["results"]["bench"]["exact_match,none"], "errors": 0})
)
