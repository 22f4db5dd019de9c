from collections.abc import Sequence
from typing import Any

import pytest
import torch

from curate.core.chat.base_model import BaseModel
from tests.models import SHAPES, tiny_base
from tests.trainer.conftest import MakeInputs
from tests.trainer.loop.test_cross_entropy import make_samples
from tests.trainer.model.test_methods import METHODS, moved
from tests.trainer.packing.test_pack import with_prefix
from trainer.config import TrainConfig
from trainer.data.tokenized_row import TokenizedRow
from trainer.fit import fit
from trainer.layers import recompute as checkpointing
from trainer.layers.recompute import needs_recomputing
from trainer.loop.micro_batches import micro_batches
from trainer.model.load import load_model


def config_of(**changed: Any) -> TrainConfig:
    return TrainConfig.model_validate({"base": "b", "dataset": "d", "output": "o", "micro_batch_tokens": 64} | changed)


def computed(model: Any, config: TrainConfig, samples: Sequence[TokenizedRow]) -> tuple[float, list[torch.Tensor], int]:
    """Loss and gradients in training, and how often the MLP of a layer was called for them."""
    ran = 0

    def count(*_: object) -> None:
        nonlocal ran
        ran += 1

    mlp = next(module for name, module in model.named_modules() if name.endswith("layers.1.mlp"))
    hook = mlp.register_forward_pre_hook(count)
    model.train()
    torch.manual_seed(7)
    with micro_batches(model, config, samples) as parts:
        ran = 0
        loss, gradients = parts.loss_and_gradients(samples)
    hook.remove()
    return loss, gradients, ran


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("name", ["rslora", "prompt", "full"])
def test_computing_layers_again_gives_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, shape: str, name: str
) -> None:
    folder = tiny_base(tmp_path_factory.mktemp(shape), shape)
    model = moved(BaseModel(str(folder), folder=folder), name).model
    samples, method = with_prefix(make_samples()), METHODS[name].get("method", "lora")
    loss, kept, once = computed(model, config_of(method=method, checkpointing=False), samples)
    again_loss, again, twice = computed(model, config_of(method=method, checkpointing=True), samples)
    assert twice == 2 * once
    assert again_loss == loss
    assert all(map(torch.equal, again, kept))


def test_dropout_falls_the_same_way_again(tiny: BaseModel) -> None:
    from tests.trainer.loop.test_cross_entropy import trainable
    from trainer.config import Lora
    from trainer.model.adapter import new_adapter

    model = new_adapter(load_model(tiny), Lora(r=4, dropout=0.5), 1).model
    for value in trainable(model).values():
        value.data.add_(0.05)
    samples = make_samples()
    _, kept, _ = computed(model, config_of(checkpointing=False), samples)
    _, again, _ = computed(model, config_of(checkpointing=True), samples)
    assert all(map(torch.equal, again, kept))


def test_what_would_not_fit_is_computed_again(
    tiny: BaseModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = moved(tiny, "rslora").model
    samples = make_samples()
    assert computed(model, config_of(), samples)[2] == computed(model, config_of(checkpointing=False), samples)[2]
    monkeypatch.setattr(checkpointing, "free_bytes", lambda _: 1000)
    assert computed(model, config_of(), samples)[2] == 2 * computed(model, config_of(checkpointing=False), samples)[2]
    assert "layers are computed again" in capsys.readouterr().err


def test_what_is_kept_is_counted_tensor_by_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """x * x keeps x (once, though it is saved twice): 400 bytes for 10 tokens of a row. Weights are there anyway."""
    sample = TokenizedRow("a", [1] * 10, [True] * 10)
    model = torch.nn.Linear(100, 7, bias=False).requires_grad_(requires_grad=False)

    def loss(rows: Sequence[TokenizedRow]) -> torch.Tensor:
        x = torch.ones(100, requires_grad=True) + 0.0
        return (x * x).sum() + (torch.ones(3, 7, requires_grad=True) @ model.weight).sum() * 0

    monkeypatch.setattr(checkpointing, "free_bytes", lambda _: 2 * 400 * 100)
    assert not needs_recomputing(model, loss, [sample], 1000)
    assert needs_recomputing(model, loss, [sample], 1001)


def test_prefix_tuning_keeps_its_layers(make_inputs: MakeInputs) -> None:
    with pytest.raises(ValueError, match="can't be recomputed"):
        config_of(method="prefix", checkpointing=True)


def test_a_run_is_the_same_run_with_and_without(make_inputs: MakeInputs) -> None:
    kept = make_inputs(max_steps=3, checkpointing=False, output="kept")
    again = make_inputs(max_steps=3, checkpointing=True, output="again")
    assert kept.digest == again.digest
    assert fit(kept).record.adapter.digest == fit(again).record.adapter.digest
