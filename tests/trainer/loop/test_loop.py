import torch

from curate.core.chat.base_model import load_chat_format
from tests.trainer.conftest import MakeInputs
from trainer.data.dataset import read_tokenized_rows
from trainer.loop.loop import TrainingJob, train
from trainer.loop.micro_batches import micro_batches
from trainer.model.adapter import new_adapter, trainable
from trainer.model.load import load_model


def test_an_update_is_adamw_whatever_way_gradients_lie_in_memory(make_inputs: MakeInputs) -> None:
    """One step of AdamW moves every weight that has a gradient by the rate, against the gradient's sign."""
    inputs = make_inputs(max_steps=1, schedule="constant", warmup=0, learning_rate=0.01, batch_rows=20)
    samples = read_tokenized_rows(inputs.files.train, load_chat_format(inputs.base), inputs.config).rows
    model = new_adapter(load_model(inputs.base), inputs.config.lora, 1).model
    for name, value in trainable(model).items():
        value.data.add_(0.05 if ".lora_B." in name else 0.0)
    with micro_batches(model, inputs.config, samples) as parts:
        _, gradients = parts.loss_and_gradients(samples)
    before = {name: value.detach().clone() for name, value in trainable(model).items()}
    trained = train(TrainingJob(inputs.config, model, samples, [], "x", inputs.output / "none"), lambda _: None)
    moved = {name: trained.state[name] - value for name, value in before.items()}
    for change, gradient in zip(moved.values(), gradients, strict=True):
        clear = gradient.abs() > 1e-6  # beside AdamW's epsilon of 1e-8, clipped gradients may be small
        assert torch.allclose(change[clear], -0.01 * gradient[clear].sign(), rtol=0.05, atol=1e-6)
