from typing import Any

import pytest
import torch

from curate.core.chat.base_model import BaseModel
from tests.models import SHAPES, tiny_base
from tests.trainer.loop.test_cross_entropy import CPU, gradients, make_samples, relative, with_moved_adapter
from tests.trainer.packing.test_pack import one_at_a_time, with_prefix
from trainer.layers.lean_layers import lean_layers, rotate
from trainer.loop.cross_entropy import loss_sum
from trainer.loop.row_layout import row_layout
from trainer.model.load import LoadedModel, load_model, unwrapped
from trainer.packing.pack import pack


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


@pytest.mark.parametrize("heads_at", [1, 2])
def test_turns_with_heads_before_or_behind_the_tokens(heads_at: int) -> None:
    # Two rows, but angles for one: they stand for both, as in the library's own function.
    generator = torch.Generator().manual_seed(3)
    shape = (2, 3, 7, 8) if heads_at == 1 else (2, 7, 3, 8)
    q, k, for_q, for_k = (torch.randn(shape, generator=generator) for _ in range(4))
    angles = torch.randn(1, 7, 4, generator=generator).repeat(1, 1, 2)
    cos, sin = angles.cos(), angles.sin()

    def theirs(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=-1)
        return x * cos.unsqueeze(heads_at) + torch.cat([-second, first], dim=-1) * sin.unsqueeze(heads_at)

    q.requires_grad_()
    k.requires_grad_()
    for turned, x, upstream in zip(rotate(q, k, cos, sin, heads_at), (q, k), (for_q, for_k), strict=True):
        torch.testing.assert_close(turned, theirs(x))
        (found,), (expected,) = (torch.autograd.grad(out, x, upstream) for out in (turned, theirs(x)))
        torch.testing.assert_close(found, expected)
