"""Complete local models, tiny and random: for the mechanics of training and generation, not for quality."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from tests.chat_formats import chat_format

# Families of layer layouts: what differs is grouped attention, query norms, sliding windows, soft caps and scales.
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "mistral": {"sliding_window": 8},
    "gemma2": {"head_dim": 16, "final_logit_softcapping": 2.0, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "granite": {"logits_scaling": 4.0},
    "cohere": {"logit_scale": 0.25},
}

_WIDER = 8  # with this, an adapter can make one token all but certain


def tiny_base(folder: Path, shape: str = "llama", seed: int = 0) -> Path:
    """A model folder at `folder`: random weights (64 wide, 2 layers), a tokenizer of single bytes, ChatML."""
    chat = chat_format("chatml")
    config = CONFIG_MAPPING[shape](
        vocab_size=len(chat.tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=chat.tokenizer.eos_token_id,
        pad_token_id=chat.tokenizer.eos_token_id,
        **SHAPES[shape],
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # Fresh weights are so small that every token stays about equally likely, whatever an adapter does.
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.mul_(_WIDER)
    model.save_pretrained(str(folder))
    chat.tokenizer.save_pretrained(str(folder))
    return folder


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within the block torch has so many threads, which whatever runs there has to leave as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
        assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
