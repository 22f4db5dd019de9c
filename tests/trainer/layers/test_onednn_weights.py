from typing import Any

import pytest
import torch
from torch import nn

from trainer.layers import onednn_weights as packed_weights
from trainer.layers.onednn_weights import PackedWeights


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 80, bias=False), nn.Linear(80, 8))
    return model.requires_grad_(requires_grad=False)


def packed_layers(model: nn.Module) -> list[bool]:
    return ["forward" in vars(module) for module in model.children()]


@pytest.fixture
def mkldnn() -> None:
    if not packed_weights._available():
        pytest.skip("this torch has no oneDNN products")


@pytest.mark.parametrize("rows", [(1,), (3, 5), (1, 300)])
def test_packed_layers_give_the_products_of_plain_ones(mkldnn: None, rows: tuple[int, ...]) -> None:
    model, weights = two_layers(), PackedWeights()
    x = torch.randn(*rows, 64)
    with torch.inference_mode():
        expected = model(x)
        for _ in range(2):  # the second time with what was kept
            with weights.used_by(model):
                assert packed_layers(model) == [True, True, False]  # a narrow one isn't worth it
                torch.testing.assert_close(model(x), expected)
    assert packed_layers(model) == [False, False, False]


def test_layers_in_training_and_in_halves_are_left_alone(mkldnn: None) -> None:
    model = two_layers()
    model[0].requires_grad_(requires_grad=True)
    model[1].to(torch.bfloat16)
    with PackedWeights().used_by(model):
        assert packed_layers(model) == [False, False, False]


@pytest.mark.parametrize(
    ("name", "value"), [("free_bytes", lambda _: 1000), ("_available", lambda: False)], ids=["memory", "processor"]
)
def test_without_the_memory_or_the_library_layers_compute_as_ever(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    monkeypatch.setattr(packed_weights, name, value)
    model = two_layers()
    with PackedWeights().used_by(model):
        assert packed_layers(model) == [False, False, False]
