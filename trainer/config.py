"""What a training file says."""

from typing import Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config

CHECKPOINT_EVERY_S = 60.0  # at most a minute's work is lost, and writing (0.2 s) costs nothing beside it


class Lora(Config):
    """The adapter: low-rank updates of linear layers.

    Source: Hu et al., LoRA (arXiv:2106.09685); W x + alpha / r * B A x.
    """

    r: int = Field(16, ge=1, description="Rank of the update.")
    alpha: float = Field(32, gt=0, description="Scale of the update, divided by the rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of an adapter's inputs that is zeroed in training.")
    targets: Literal["all-linear", "attention"] = Field(
        "all-linear", description="Which layers get an update; all but the output head, or those of attention alone."
    )


class TrainConfig(Config):
    """One training. Paths are relative to the folder of the file."""

    base: str = Field(min_length=1, description="`embedded:smollm2-135m`, a local folder, or a Hugging Face id.")
    dataset: str = Field(min_length=1, description="A folder that `curate build` wrote, or a JSONL file of rows.")
    held_out: str | None = Field(
        None, description="A JSONL file of rows for the held-out loss; left out: the dataset folder's val.jsonl."
    )
    output: str = Field(min_length=1, description="The run's folder.")
    method: Literal["qlora", "lora"] = Field(
        "qlora", description="qlora: the frozen weights are NF4 with double quantisation; lora: as they are."
    )
    lora: Lora = Lora()

    epochs: int = Field(1, ge=1)
    max_steps: int | None = Field(None, ge=1, description="Stop after this many steps; the schedule ends there too.")
    batch_rows: int = Field(8, ge=1, description="Rows for each optimizer step.")
    micro_batch_tokens: int = Field(
        1536, ge=1, description="Tokens computed at once, about: bounds memory, does not change the result."
    )
    learning_rate: float = Field(5e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    seed: int = Field(0, ge=0, lt=2**32)

    max_length: int = Field(2048, ge=2, description="The longest row in tokens.")
    over_length: Literal["error", "drop"] = Field("error", description="What happens to longer rows; always counted.")
    held_out_every: int | None = Field(
        None, ge=1, description="Held-out loss after this many steps; left out: after each epoch. Always at the end."
    )
    held_out_rows: int | None = Field(
        None, ge=1, description="How many held-out rows to measure on, the same ones each time; left out: all."
    )
    keep: Literal["best", "last"] = Field("best", description="Which adapter to keep, by held-out loss or by time.")

    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Compute type; auto: bfloat16 on a GPU that has it, else float32."
    )
    expand_weights: Literal["auto"] | bool = Field(
        "auto",
        description="qlora: keep the NF4 weights expanded, a seventh faster with bit-identical results, in 4 bytes per"
        " weight; auto: where that is a small part of the free memory.",
    )
    log_to: Literal["mlflow", "tensorboard"] | None = Field(
        None, description="Send the losses to MLflow (where its own settings say) or TensorBoard as well."
    )
    threads: Literal["auto"] | int = Field("auto", description="Processor threads; auto: one per core.")

    @model_validator(mode="after")
    def _positive_threads(self) -> Self:
        if self.threads != "auto" and self.threads < 1:
            raise ValueError("threads: at least 1, or auto")
        return self

    @property
    def quantisation(self) -> Literal["nf4"] | None:
        """How the frozen weights are stored."""
        return "nf4" if self.method == "qlora" else None

    def what_matters(self) -> dict[str, object]:
        """Every setting that the adapter depends on. Inputs count by their digests, not their paths."""
        elsewhere = {"base", "dataset", "held_out", "output", "expand_weights", "log_to"}
        return self.model_dump(mode="json", exclude=elsewhere)
