import pytest
import torch

from curate.core.chat.base_model import BaseModel
from curate.core.errors import ServiceError
from tests.trainer.conftest import MakeInputs
from tests.trainer.loop.test_cross_entropy import make_samples
from trainer.config import Lora, TrainConfig
from trainer.data.batches import split_by_tokens
from trainer.fit import fit
from trainer.loop.memory_probe import probe
from trainer.loop.micro_batches import micro_batches
from trainer.model.adapter import new_adapter, trainable
from trainer.model.load import load_model

CONFIG = TrainConfig(base="b", dataset="d", output="o", batch_rows=3, micro_batch_tokens=40, threads=1)


def test_the_largest_parts_are_as_many_as_are_computed_at_once(tiny: BaseModel) -> None:
    model = new_adapter(load_model(tiny), Lora(r=4), 0).model
    rows = make_samples()
    with micro_batches(model, CONFIG, rows) as parts:
        largest = parts.largest(rows)
    lengths = [len(row.ids) for row in rows]
    every = split_by_tokens(range(len(rows)), lengths, CONFIG.micro_batch_tokens)
    assert len(every) > 1
    assert sum(len(row.ids) for row in largest) == max(sum(lengths[row] for row in part) for part in every)


def test_the_probe_leaves_no_trace(tiny: BaseModel) -> None:
    model = new_adapter(load_model(tiny), Lora(r=4, dropout=0.5), 0).model
    before = {name: value.clone() for name, value in trainable(model).items()}
    with micro_batches(model, CONFIG, make_samples()) as parts:
        probe(parts, model, make_samples(), CONFIG)
    for name, value in trainable(model).items():
        assert value.grad is None
        assert torch.equal(value, before[name])


def test_too_little_memory_is_said_before_the_first_step(tiny: BaseModel) -> None:
    model = new_adapter(load_model(tiny), Lora(r=4), 0).model
    rows = make_samples()
    with micro_batches(model, CONFIG, rows) as parts:
        # A petabyte: the allocator itself refuses.
        model.get_input_embeddings().register_forward_hook(lambda *_: torch.empty(2**50, dtype=torch.uint8))
        with pytest.raises(ServiceError, match="not enough memory") as caught:
            probe(parts, model, rows, CONFIG)
    assert "rows row-" in str(caught.value)
    assert "micro_batch_tokens" in str(caught.value)


def test_the_run_records_predicted_and_measured_memory(
    make_inputs: MakeInputs, capsys: pytest.CaptureFixture[str]
) -> None:
    record = fit(make_inputs(max_steps=1)).record
    measured = record.environment
    assert measured.predicted_memory_bytes
    assert measured.peak_memory_bytes > 0
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("memory: ")]
    assert said.endswith(f"{measured.predicted_memory_bytes / 1e9:.2f} GB predicted")
