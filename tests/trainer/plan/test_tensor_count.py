"""What is counted on shapes, beside what real models of the same shapes keep."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoConfig

from curate.core.chat.base_model import BaseModel
from tests.models import SHAPES, tiny_base
from tests.trainer.loop.test_cross_entropy import CPU, make_samples
from trainer.config import Lora
from trainer.data.batches import pad
from trainer.layers.lora_update import direct_updates
from trainer.model.adapter import new_adapter
from trainer.model.load import LoadedModel, load_model, unwrapped
from trainer.plan.tensor_count import count


def with_lora(model: Any, lora: Lora | None = None) -> Any:
    return new_adapter(LoadedModel(model, None, "", ""), lora or Lora(r=4), 0).model  # type: ignore[arg-type]


def kept_bytes(model: Any) -> float:
    """What a real forward pass keeps for each token."""
    known = {value.untyped_storage().data_ptr() for value in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return value

    batch = pad(make_samples(), CPU)
    model.train()
    embed = unwrapped(model).get_input_embeddings()
    embed.register_forward_hook(lambda *call: call[2].requires_grad_(requires_grad=True))
    with direct_updates(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        out = unwrapped(model).base_model(input_ids=batch.ids_BT, use_cache=False)
    assert out.last_hidden_state.requires_grad
    return sum(storage.nbytes() for storage in kept.values()) / batch.ids_BT.numel()


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_count_is_what_a_real_model_keeps(shape: str, tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / shape, shape)
    real = with_lora(load_model(BaseModel(shape, folder=folder), dtype="float32").model)
    counted = count(AutoConfig.from_pretrained(str(folder)), with_lora, torch.float32)
    assert counted.counted
    parameters = {True: 0, False: 0}
    for value in real.parameters():
        parameters[value.requires_grad] += value.numel()
    assert (counted.trainable, counted.linear + counted.frozen) == (parameters[True], parameters[False])
    # The real attention keeps a little more or less than a fused kernel does.
    assert counted.saved == pytest.approx(kept_bytes(real), rel=0.15)


def test_blocks_of_different_kinds_are_each_counted() -> None:
    """Every third block is attention, the others are convolutions: parameters have to come out exactly."""
    from transformers import AutoModelForCausalLM

    config = CONFIG_MAPPING["lfm2"](
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "conv", "full_attention", "conv", "conv", "full_attention"],
    )
    with torch.device("meta"):
        weights = sum(value.numel() for value in AutoModelForCausalLM.from_config(config).parameters())
    counted = count(config, with_lora, torch.float32)
    assert counted.counted
    assert counted.linear + counted.frozen == weights
    assert {"q_proj", "w1"} < set(counted.targets)


def test_operations_are_two_for_each_weight_and_as_many_back() -> None:
    config = CONFIG_MAPPING["llama"](
        vocab_size=512, hidden_size=256, intermediate_size=1024, num_hidden_layers=3, num_attention_heads=4
    )
    counted = count(config, with_lora, torch.float32)
    assert counted.forward == pytest.approx(2 * (counted.linear + counted.trainable), rel=0.02)
    assert counted.training == 2 * counted.forward


def test_an_architecture_that_asks_for_values_is_estimated_and_says_so() -> None:
    config = CONFIG_MAPPING["llama4_text"](
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    counted = count(config, with_lora, torch.bfloat16)
    assert not counted.counted
    assert counted.saved > 0
    assert counted.forward > 0


def test_a_model_that_cannot_be_made_without_storage_is_estimated_from_its_widths() -> None:
    widths = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    # The padding token lies outside the vocabulary: making the model fails.
    config = CONFIG_MAPPING["llama"](vocab_size=512, pad_token_id=9999, **widths)
    sound = count(CONFIG_MAPPING["llama"](vocab_size=512, **widths), with_lora, torch.float32)
    estimated = count(config, with_lora, torch.float32)
    assert not estimated.counted
    assert estimated.saved == pytest.approx(sound.saved, rel=0.1)
    assert estimated.linear == sound.linear
