"""The hardware that a training could run on: a user's table with prices and their date, or known cards without."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config

if TYPE_CHECKING:
    import torch

# Of a card's memory: the driver's context and what the allocator can't use in between stay out of reach.
_USABLE = 0.92
# Of a data sheet's rate for dense bf16 products: what training reaches. PEFT's run on an L40S (see the tests of the
# plan) came to 0.24, torchtune's packed and compiled one on a 4090 to 0.7.
_REACHED = 0.35
# Of the rate that a plain product reaches in the same process: the trainer's own steps, seen on two cores.
_REACHED_HERE = 0.75
_TRIES = 10  # products that the machine's rate is measured on; the fastest counts


class Hardware(Config):
    """A machine to train on: one card, or several that each hold the whole model and share the rows."""

    name: str = Field(min_length=1)
    memory_gb: float = Field(gt=0, description="Memory of one card, in GiB as cards are sold.")
    cards: int = Field(1, ge=1)
    tflops: float = Field(gt=0, description="Dense bf16 products of one card, from its data sheet.")
    reached: float = Field(_REACHED, gt=0, le=1, description="Share of that rate that training reaches.")
    price_per_hour: float | None = Field(None, ge=0, description="Of all cards together.")

    @property
    def room_bytes(self) -> float:
        """What a training may take on each card."""
        return self.memory_gb * 2**30 * _USABLE

    @property
    def rate(self) -> float:
        """Operations a second that training reaches on all cards."""
        return self.tflops * 1e12 * self.reached * self.cards


class HardwareTable(Config):
    """Hardware with what it costs. Prices need a currency and the day on which they were true."""

    priced_on: date | None = None
    currency: str | None = None
    hardware: list[Hardware] = Field(min_length=1)

    @model_validator(mode="after")
    def _prices_have_a_date(self) -> Self:
        if any(one.price_per_hour is not None for one in self.hardware) and not (self.priced_on and self.currency):
            raise ValueError("prices need `priced_on` (a date) and `currency`")
        return self


# Rates: NVIDIA's Ada whitepaper (with float32 accumulation) and the data sheets of L40S and H100 SXM, all dense.
KNOWN = HardwareTable(
    hardware=[
        Hardware(name="RTX 4070 Ti", memory_gb=12, tflops=80),
        Hardware(name="RTX 4080", memory_gb=16, tflops=97),
        Hardware(name="RTX 4090", memory_gb=24, tflops=165),
        Hardware(name="2 x RTX 4090", memory_gb=24, cards=2, tflops=165),
        Hardware(name="L40S", memory_gb=48, tflops=362),
        Hardware(name="4 x L40S", memory_gb=48, cards=4, tflops=362),
        Hardware(name="H100", memory_gb=80, tflops=989),
        Hardware(name="8 x H100", memory_gb=80, cards=8, tflops=989),
    ]
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that we run on; `rate` is what training can reach of the operations that a plain product reaches."""

    on_gpu: bool
    room_bytes: float
    rate: float


@cache
def this_machine() -> Machine:
    """What is here. The rate is measured for a moment: on a busy machine it is what others leave to us."""
    import torch

    from trainer.model.load import compute_dtype, free_bytes

    on_gpu = torch.cuda.is_available()
    return Machine(on_gpu, free_bytes(), _measured_rate("cuda" if on_gpu else "cpu", compute_dtype("auto")))


def _measured_rate(device: str, dtype: "torch.dtype") -> float:
    import time

    import torch

    side = 8192 if device == "cuda" else 1024  # large enough to be limited by arithmetic, 10 ms or less
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    fastest = float("inf")
    for _ in range(_TRIES):
        started = time.perf_counter()
        (left @ right)[0, 0].item()  # reading a value waits for the GPU
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * side**3 / fastest * _REACHED_HERE
