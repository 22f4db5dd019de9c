from typing import Any

import pytest
import torch

from curate.core.chat.base_model import BaseModel
from tests.models import SHAPES, tiny_base
from tests.trainer.test_loss import CPU, gradients, make_samples, relative, with_moved_adapter
from tests.trainer.test_packing import one_at_a_time, with_prefix
from trainer.layers import lean_layers
from trainer.loss import loss_sum, unwrapped
from trainer.model import LoadedModel, load_model
from trainer.packing import pack, row_layout


@pytest.fixture(scope="module", params=sorted(SHAPES))
def shaped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_base(tmp_path_factory.mktemp(request.param), request.param)
    return with_moved_adapter(load_model(BaseModel(str(folder), folder=folder)))


def exchanged(model: Any) -> set[str]:
    """The kinds of layers that have a forward of ours."""
    return {type(module).__name__ for module in unwrapped(model).modules() if "forward" in vars(module)}


def test_lean_layers_give_the_gradients_of_the_librarys_own(shaped: LoadedModel) -> None:
    samples = with_prefix(make_samples())
    alone, alone_gradient = one_at_a_time(shaped.model, samples)
    with lean_layers(shaped.model), row_layout(shaped.model, samples) as layout:
        assert layout is pack
        loss = loss_sum(shaped.model, layout(samples, CPU))
        loss.backward()
    assert float(loss.detach()) == pytest.approx(alone, rel=1e-5)
    assert relative(gradients(shaped.model), alone_gradient) < 1e-5
    assert not exchanged(shaped.model)


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        ("llama", {"LlamaRMSNorm", "LlamaMLP", "LlamaDecoderLayer"}),
        ("qwen3", {"Qwen3RMSNorm", "Qwen3MLP", "Qwen3DecoderLayer"}),
        # Its blocks have layers of the same names, but what they add is scaled.
        ("granite", {"GraniteRMSNorm", "GraniteMLP"}),
        # Its norms scale by 1 + weight, its MLP's gate is another function, and its blocks have more norms.
        ("gemma2", set()),
    ],
)
def test_only_layers_that_compute_the_same_are_exchanged(
    shape: str, kinds: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny_base(tmp_path_factory.mktemp(shape), shape)
    loaded = load_model(BaseModel(str(folder), folder=folder))
    if shape == "granite":
        for block in loaded.model.model.layers:
            block.residual_multiplier = 0.5
    with torch.no_grad():  # a weight of 1 would look the same in either norm
        for name, value in loaded.model.named_parameters():
            if "norm" in name:
                value.add_(0.5)
    with lean_layers(loaded.model):
        assert exchanged(loaded.model) == kinds
    assert not exchanged(loaded.model)


def test_the_last_block_computes_only_what_predicts(tiny: BaseModel) -> None:
    model = with_moved_adapter(load_model(tiny)).model
    samples = make_samples()
    batch = pack(samples, CPU)
    seen: list[int] = []
    for block in unwrapped(model).model.layers:
        block.mlp.gate_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    with row_layout(model, samples), lean_layers(model):
        seen.clear()
        loss_sum(model, batch)
    assert seen == [batch.ids_BT.shape[1], len(batch.predicting_N)]
    assert seen[1] < seen[0] / 2
