"""TRL's SFTTrainer on tokenised rows: `python run_trl.py job.json out.json`. See tests/bench/train.py for the job."""

import contextlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

job = json.loads(Path(sys.argv[1]).read_bytes())
torch.set_num_threads(job["threads"])
marks: list[tuple[float, float, float, int]] = []  # after each pass: time, own and all processor time, tokens


def everybody() -> float:
    """The processor time that everything on this machine has used."""
    used = psutil.cpu_times()
    return float(sum(used) - used.idle - getattr(used, "iowait", 0.0) - getattr(used, "guest", 0.0))


class EnoughError(Exception):
    """The time for this setting is used up."""


class Timed(SFTTrainer):  # type: ignore[misc]  # TRL is not installed where types are checked
    """Notes when each pass was done and how many tokens that are no padding it had."""

    def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> torch.Tensor:
        mask = inputs.get("attention_mask")
        tokens = int(inputs["input_ids"].numel() if mask is None else mask.sum())
        loss: torch.Tensor = super().training_step(model, inputs, *more, **named)
        used = resource.getrusage(resource.RUSAGE_SELF)
        marks.append((time.perf_counter(), used.ru_utime + used.ru_stime, everybody(), tokens))
        # Two passes at least, since the first one only warms up.
        if job["seconds"] and len(marks) > 1 and marks[-1][0] - marks[0][0] > job["seconds"]:
            raise EnoughError
        return loss


model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
model = PeftModel.from_pretrained(model, job["adapter"], is_trainable=True)
rows = [
    {"input_ids": ids, "labels": [i if s else -100 for i, s in zip(ids, supervised, strict=True)]}
    for ids, supervised in job["rows"]
]
packed = job["mode"] == "packed"
longest = max(len(row["input_ids"]) for row in rows)
per_pass = job["rows_per_pass"]
with tempfile.TemporaryDirectory() as folder:
    settings = SFTConfig(
        output_dir=folder,
        max_steps=job["steps"],
        per_device_train_batch_size=1 if packed else per_pass,
        gradient_accumulation_steps=job["batch_rows"] // per_pass,
        packing=packed,
        max_length=max(longest, per_pass * sum(len(row["input_ids"]) for row in rows) // len(rows))
        if packed
        else longest,
        train_sampling_strategy="group_by_length" if job["mode"] == "grouped" else "sequential",
        learning_rate=job["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch",
        # The settings that are quickest on a processor.
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Timed(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["tokenizer"]),
    )
    with contextlib.suppress(EnoughError):
        trainer.train()
figures = {
    "marks": marks,
    "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}
Path(sys.argv[2]).write_text(json.dumps(figures))
