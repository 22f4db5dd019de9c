"""Every method of training: its losses and gradients, what it leaves behind, and going on after a stop."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from curate.core.chat.base_model import BaseModel
from curate.core.errors import ConfigError
from tests.models import SHAPES, tiny_base, torch_threads
from tests.trainer.conftest import MakeInputs
from tests.trainer.loop.test_cross_entropy import CPU, gradients, make_samples, relative
from tests.trainer.packing.test_pack import one_at_a_time, with_prefix
from tests.trainer.test_fit import StoppedError, stop_after
from trainer.config import Lora, Method, TrainConfig
from trainer.fit import fit
from trainer.inputs import Inputs
from trainer.loop.cross_entropy import loss_sum
from trainer.loop.micro_batches import micro_batches
from trainer.loop.row_layout import row_layout
from trainer.model.adapter import attach_adapter, new_adapter, trainable, using
from trainer.model.load import LoadedModel, load_model
from trainer.packing.pack import pack
from trainer.run.record import read_run

# What a training file says for each method; the learning rates are those at which a tiny random model learns.
METHODS: dict[str, dict[str, Any]] = {
    "rslora": {"lora": {"r": 4, "alpha": 8, "rank_stabilised": True}},
    "dora": {"lora": {"r": 4, "alpha": 8, "dora": True}},
    "dora-nf4": {"method": "qlora", "lora": {"r": 4, "alpha": 8, "dora": True}, "expand_weights": False},
    "lora-plus": {"lora": {"r": 4, "alpha": 8, "b_rate_ratio": 4}, "learning_rate": 5e-3},
    "ia3": {"method": "ia3", "learning_rate": 3e-2},
    "prefix": {"method": "prefix", "virtual_tokens": 4, "learning_rate": 1e-1},
    "prompt": {"method": "prompt", "virtual_tokens": 4, "learning_rate": 1e-1},
    "full": {"method": "full", "learning_rate": 3e-3},
}
IDS = torch.tensor([[5, 17, 60, 61, 99]])


def moved(base: BaseModel, name: str) -> LoadedModel:
    """A model with something to train that is not at its start: every parameter has a gradient."""
    config = TrainConfig.model_validate({"base": "b", "dataset": "d", "output": "o", "method": "lora", **METHODS[name]})
    loaded = new_adapter(load_model(base), config.lora, 1, config.method, config.virtual_tokens)
    generator = torch.Generator().manual_seed(2)
    for value in trainable(loaded.model).values():
        value.data.add_(torch.randn(value.shape, generator=generator) * 0.05)
    return loaded


@pytest.fixture(scope="module", params=sorted(SHAPES))
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tiny_base(tmp_path_factory.mktemp(request.param), request.param)
    return BaseModel(str(folder), folder=folder)


@pytest.mark.parametrize("name", ["dora", "ia3", "prefix", "prompt", "full"])
def test_loss_and_gradients_are_those_of_the_whole_models_own_forward(shape: BaseModel, name: str) -> None:
    model = moved(shape, name).model
    samples = with_prefix(make_samples())
    expected = 0.0
    for sample in samples:
        ids = torch.tensor([sample.ids])
        logits = model(input_ids=ids, use_cache=False).logits[0, -len(sample.ids) : -1].float()
        counted = torch.tensor(sample.supervised[1:])
        loss = cross_entropy(logits[counted], ids[0, 1:][counted], reduction="sum")
        loss.backward()
        expected += float(loss.detach())
    theirs = gradients(model)

    alone, alone_gradient = one_at_a_time(model, samples)
    assert alone == pytest.approx(expected, rel=1e-5)
    assert relative(alone_gradient, theirs) < 1e-5
    with row_layout(model, samples) as layout:
        assert layout is pack
        packed = loss_sum(model, layout(samples, CPU))
        packed.backward()
    assert float(packed.detach()) == pytest.approx(expected, rel=1e-5)
    assert relative(gradients(model), theirs) < 1e-5


@pytest.mark.parametrize("name", sorted(METHODS))
def test_parts_on_threads_give_the_same_gradients(tiny: BaseModel, name: str) -> None:
    model = moved(tiny, name).model
    samples = with_prefix(make_samples())
    alone, alone_gradient = one_at_a_time(model, samples)
    count = sum(sample.supervised_count for sample in samples)
    method = METHODS[name].get("method", "lora")
    config = TrainConfig(base="b", dataset="d", output="o", micro_batch_tokens=64, method=method)
    with torch_threads(2), micro_batches(model, config, samples) as parts:
        loss, found = parts.loss_and_gradients(samples)
    assert loss * count == pytest.approx(alone, rel=1e-5)
    assert relative(torch.cat([part.flatten() for part in found]) * count, alone_gradient) < 1e-5


@torch.no_grad()
def answers(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=IDS, use_cache=False).logits[:, -IDS.shape[1] :]
    return logits


def reloaded(inputs: Inputs) -> Any:
    """What training left, as the libraries alone load it."""
    folder = read_run(inputs.output).adapter
    if inputs.config.method == "full":
        return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(str(inputs.base.folder), dtype=torch.float32)
    return PeftModel.from_pretrained(base, str(folder)).eval()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_stopped_training_ends_in_the_same_bits_with_a_lower_loss_and_reloads(
    make_inputs: MakeInputs, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 6, "held_out_every": 10, **METHODS[name]}
    straight, broken = make_inputs(output="straight", **settings), make_inputs(output="broken", **settings)
    final: dict[str, torch.Tensor] = {}

    from trainer import fit as module

    put = module._put_weights

    def keep_answers(target: Path, loaded: LoadedModel, trained: Any) -> None:
        put(target, loaded, trained)
        loaded.model.eval()
        final["answers"] = answers(loaded.model)

    monkeypatch.setattr(module, "_put_weights", keep_answers)
    record = fit(straight).record
    losses = record.losses.train
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert record.losses.held_out[-1].loss < record.losses.held_out[0].loss
    if METHODS[name].get("method") != "qlora":
        assert torch.allclose(answers(reloaded(straight)), final["answers"], atol=1e-4, rtol=1e-4)

    with pytest.raises(StoppedError):
        fit(broken, watch=stop_after(7), checkpoint_every_s=0)
    seen: list[int] = []
    again = fit(broken, watch=lambda step: seen.append(step.step)).record
    assert seen[0] == 7  # the checkpoint after step 6 is the last whole one
    for path in sorted(read_run(straight.output).adapter.iterdir()):
        assert path.read_bytes() == (read_run(broken.output).adapter / path.name).read_bytes(), path.name
    assert again.losses == record.losses
    assert again.adapter == record.adapter


@pytest.mark.parametrize("name", ["dora", "ia3", "prefix", "prompt"])
def test_switched_off_it_is_the_bare_base(make_inputs: MakeInputs, name: str) -> None:
    inputs = make_inputs(max_steps=2, **METHODS[name])
    fit(inputs)
    bare = answers(load_model(inputs.base).model)
    loaded = attach_adapter(load_model(inputs.base), inputs.output / "adapter", "a")
    with using(loaded, None) as model:
        assert torch.equal(answers(model), bare)
    with using(loaded, "a") as model:
        assert not torch.allclose(answers(model), bare, atol=1e-3)


def test_rank_stabilised_updates_are_scaled_by_the_root_of_the_rank(tiny: BaseModel) -> None:
    def scales(lora: Lora) -> set[float]:
        model = new_adapter(load_model(tiny), lora, 1).model
        return {part.scaling["default"] for part in model.modules() if type(getattr(part, "scaling", None)) is dict}

    assert scales(Lora(r=4, alpha=8)) == {2.0}
    assert scales(Lora(r=4, alpha=8, rank_stabilised=True)) == {4.0}


def test_with_lora_plus_b_moves_faster_by_the_ratio(make_inputs: MakeInputs) -> None:
    """Adam's first step is the learning rate times the gradient's sign, so it shows each parameter's rate."""
    from safetensors.torch import load_file

    moved_by = {}
    for ratio in (1, 8):
        inputs = make_inputs(
            output=f"run-{ratio}", max_steps=1, schedule="constant", warmup=0, lora={"r": 4, "b_rate_ratio": ratio}
        )
        fit(inputs)
        weights = load_file(inputs.output / "adapter" / "adapter_model.safetensors")
        moved_by[ratio] = max(float(value.abs().max()) for key, value in weights.items() if "lora_B" in key)
    assert moved_by[1] == pytest.approx(1e-2, rel=1e-3)
    assert moved_by[8] == pytest.approx(8e-2, rel=1e-3)


def test_a_wholly_trained_model_is_a_base_that_others_can_name(make_inputs: MakeInputs) -> None:
    inputs = make_inputs(max_steps=2, **METHODS["full"])
    record = fit(inputs).record
    assert not (inputs.output / "adapter").exists()
    model = load_model(inputs.base).model
    assert record.adapter.parameters == sum(value.numel() for value in model.parameters())
    further = make_inputs(base=str(inputs.output / "model"), output="further", max_steps=1)
    assert further.base_digest != inputs.base_digest
    assert fit(further).record.base.digest == further.base_digest


def test_whole_models_are_not_trained_in_bfloat16() -> None:
    with pytest.raises(ValueError, match="most updates would round to nothing"):
        TrainConfig(base="b", dataset="d", output="o", method="full", dtype="bfloat16")


def test_a_model_without_the_layers_that_ia3_scales_is_refused(tiny: BaseModel) -> None:
    loaded = load_model(tiny)
    for layer in loaded.model.model.layers:
        layer.mlp.other = layer.mlp.down_proj
        del layer.mlp.down_proj
    method: Method = "ia3"
    with pytest.raises(ConfigError, match="ia3 needs layers named"):
        new_adapter(loaded, Lora(), 1, method)
