"""Peaks that others measured and published, beside what is predicted for them from the base's config alone.

Sources: LitGPT `tutorials/resource-tables.md` (A100, Alpaca's longest row: 1,304 tokens) and
`config_hub/finetune/README.md` (A10G, rows cut at 512); PEFT `method_comparison/MetaMathQA/results` (L40S);
torchtune's README and recipes (RTX 4090, A100; 2 x 2,048 packed, checkpointing); Dettmers et al., QLoRA
(arXiv:2305.14314): 65B in 48 GB; Unsloth's requirements: 70B from 41 GB. GB are 1e9 bytes.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from trainer.plan.memory import Load, peak
from trainer.plan.plan import llama_config
from trainer.plan.tensor_count import Shape, count

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WHOLE, CHUNKED = 16, 10  # bytes for each logit: all positions at once, or chunk by chunk


LLAMA2_7B = (4096, 11008, 32, 32, 32, 32000)
LLAMA2_13B = (5120, 13824, 40, 40, 40, 32000)
LLAMA3_8B = (4096, 14336, 32, 32, 8, 128256)
LLAMA32_3B = (3072, 8192, 28, 24, 8, 128256)
MISTRAL_7B = (4096, 14336, 32, 32, 8, 32000)
LLAMA_65B = (8192, 22016, 80, 64, 64, 32000)
LLAMA3_70B = (8192, 28672, 80, 64, 8, 128256)


@dataclass(frozen=True)
class Case:
    """A published run. Of `positions` the logits exist at once; None: of all tokens."""

    name: str
    gb: float
    base: tuple[int, ...]
    tokens: int
    r: int
    targets: list[str]
    dropout: float = 0.0
    adapter: torch.dtype = torch.bfloat16
    tied: bool = False
    positions: int | None = None
    load: dict[str, Any] = field(default_factory=dict)

    def shape(self) -> Shape:
        return count(llama_config(*self.base, tied=self.tied), self.adapt, torch.bfloat16)

    def adapt(self, model: Any) -> Any:
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(r=self.r, lora_dropout=self.dropout, target_modules=self.targets, task_type="CAUSAL_LM")
        adapted = get_peft_model(model, lora)
        for value in adapted.parameters():
            if value.requires_grad:
                value.data = value.data.to(self.adapter)
        return adapted

    def predicted_gb(self) -> float:
        load = Load(
            tokens=self.tokens,
            positions=self.positions or self.tokens,
            number_bytes=2,
            logit_bytes=CHUNKED if self.positions else WHOLE,
            trained_bytes=self.adapter.itemsize,
            **self.load,
        )
        return peak(self.shape(), load).total / 1e9


QV = ["q_proj", "v_proj"]
PACKED = {"quantised": True, "checkpointing": True}
CASES = [
    Case("LitGPT Llama-2-7B, batch 1", 21.30, LLAMA2_7B, 1304, 8, QV, dropout=0.05),
    Case("LitGPT Llama-2-7B, batch 2", 29.07, LLAMA2_7B, 2608, 8, QV, dropout=0.05),
    Case("LitGPT Llama-2-13B, batch 1", 38.12, LLAMA2_13B, 1304, 8, QV, dropout=0.05),
    Case("LitGPT Llama-3-8B, 1 x 512", 19.73, LLAMA3_8B, 512, 32, QV, dropout=0.05),
    Case("LitGPT Llama-2-7B, 2 x 512", 19.77, LLAMA2_7B, 1024, 32, QV, dropout=0.05),
    Case("LitGPT Mistral-7B, 2 x 512", 20.66, MISTRAL_7B, 1024, 32, QV, dropout=0.05),
    # The longest batch is not published; batch_size and max_seq_length are: 4 x 768.
    Case("PEFT Llama-3.2-3B, r 32", 22.27, LLAMA32_3B, 3072, 32, QV, adapter=torch.float32, tied=True),
    Case("PEFT Llama-3.2-3B, r 64", 22.60, LLAMA32_3B, 3072, 64, QV, adapter=torch.float32, tied=True),
    Case("torchtune Llama-3.1-8B QLoRA", 7.95, LLAMA3_8B, 4096, 8, ALL, positions=512, load=PACKED),
    Case("torchtune Llama-3.2-3B QLoRA", 4.90, LLAMA32_3B, 4096, 64, ALL, tied=True, positions=512, load=PACKED),
    # "Fits 48 GB": 512 tokens, r 64 on all linear layers, as in the paper.
    Case("QLoRA Llama-65B", 48.0, LLAMA_65B, 512, 64, ALL, load=PACKED),
    # "Minimum": one short row.
    Case("Unsloth Llama-3-70B", 41.0, LLAMA3_70B, 512, 16, ALL, positions=512, load=PACKED),
]


def test_published_peaks_are_predicted() -> None:
    rows = [(case.name, case.predicted_gb(), case.gb) for case in CASES]
    for name, predicted, actual in rows:
        print(f"{name:32} {predicted:6.2f} GB predicted  {actual:6.2f} GB published  {predicted / actual - 1:+6.1%}")
    assert len(rows) == 12
    assert sum(abs(predicted / actual - 1) <= 0.10 for _, predicted, actual in rows) >= 11


@pytest.mark.parametrize(
    ("dropout", "adapter", "formula"),
    [
        (0.0, torch.bfloat16, (16, 4, 8, 14, 40)),
        (0.0, torch.float32, (36, 4, 10, 28, 0)),
        (0.05, torch.float32, (60, 4, 14, 28, 0)),
    ],
)
def test_the_count_is_the_formula_where_one_was_fitted(
    dropout: float, adapter: torch.dtype, formula: tuple[int, ...]
) -> None:
    case = Case("", 0, LLAMA3_8B, 128, 16, ALL, dropout=dropout, adapter=adapter)
    widths = (4096, 1024, 14336, 16, 1)  # hidden, keys, MLP, rank
    expected = sum(factor * width for factor, width in zip(formula, widths, strict=True))
    assert case.shape().block == pytest.approx(expected, rel=0.05)
