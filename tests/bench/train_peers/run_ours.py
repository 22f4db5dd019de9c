"""Our own loop on tokenised rows: `python run_ours.py job.json out.json`. See tests/bench/train.py for the job."""

import json
import resource
import sys
import time
from pathlib import Path

import psutil

from curate.core.chat.base_model import find_base
from trainer.config import Lora, TrainConfig
from trainer.data.dataset import TokenizedRow
from trainer.loop.loop import TrainingJob, train
from trainer.model.adapter import new_adapter, save_adapter, trainable
from trainer.model.load import load_model, set_threads
from trainer.run.record import StepRecord

job = json.loads(Path(sys.argv[1]).read_bytes())
out = Path(sys.argv[2])
set_threads(job["threads"])
config = TrainConfig(
    base=job["base"],
    dataset="-",
    output="-",
    lora=Lora.model_validate(job["lora"]),
    batch_rows=job["batch_rows"],
    max_steps=job["steps"],
    micro_batch_tokens=job["micro_batch_tokens"],
    learning_rate=job["learning_rate"],
    schedule="constant",
    warmup=0,
    seed=job["seed"],
)
quantised = job["mode"].startswith("nf4")
loaded = load_model(
    find_base(job["base"], Path.cwd()),
    quantisation="nf4" if quantised else None,
    dequantise=job["mode"] == "nf4 expanded",
)
loaded = new_adapter(loaded, config.lora, job["seed"])
if not Path(job["adapter"]).exists():
    save_adapter(
        Path(job["adapter"]), loaded, {name: value.detach() for name, value in trainable(loaded.model).items()}
    )

computed: list[int] = []  # tokens of each pass, a shared prefix once
embeddings = loaded.model.get_input_embeddings()
embeddings.register_forward_pre_hook(lambda _, inputs: computed.append(inputs[0].numel()))
marks: list[tuple[float, float, float, int, int, int]] = []  # as in run_trl, then tokens computed and in the loss
losses: list[float] = []


def everybody() -> float:
    """The processor time that everything on this machine has used."""
    used = psutil.cpu_times()
    return float(sum(used) - used.idle - getattr(used, "iowait", 0.0) - getattr(used, "guest", 0.0))


def watch(record: StepRecord) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    times = (time.perf_counter(), used.ru_utime + used.ru_stime, everybody())
    marks.append((*times, record.tokens, sum(computed), record.supervised_tokens))
    computed.clear()
    losses.append(record.loss)


rows = [TokenizedRow(str(number), ids, supervised) for number, (ids, supervised) in enumerate(job["rows"])]
train(TrainingJob(config, loaded.model, rows, [], "bench", out.with_name("no-checkpoint"), float("inf")), watch)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
out.write_text(json.dumps({"marks": marks, "losses": losses, "peak_bytes": peak}))
