"""What a training file says."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from curate.core.config_file import Config

Method = Literal["qlora", "lora", "ia3", "prefix", "prompt", "full"]
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
    rank_stabilised: bool = Field(
        False,
        description="rsLoRA: scale by alpha / sqrt(r): a higher rank is not damped (arXiv:2312.03732).",
    )
    dora: bool = Field(
        False, description="DoRA: the norm of each output's weights is learned by itself (arXiv:2402.09353); slower."
    )
    b_rate_ratio: float = Field(
        1.0, ge=1, description="LoRA+: how many times faster B learns than A (arXiv:2402.12354); the paper takes 16."
    )


class TrainConfig(Config):
    """One training. Paths are relative to the folder of the file."""

    base: str = Field(min_length=1, description="`embedded:smollm2-135m`, a local folder, or a Hugging Face id.")
    dataset: str = Field(
        min_length=1, description="A folder that `curate build` wrote, or a JSONL file in a format that it knows."
    )
    held_out: str | None = Field(
        None, description="A JSONL file of rows for the held-out loss; left out: the dataset folder's val.jsonl."
    )
    output: str = Field(min_length=1, description="The run's folder.")
    method: Method = Field(
        "qlora",
        description="qlora: the frozen weights are NF4 with double quantisation; lora: as they are; ia3: learned scales"
        " of keys, values and inner activations; prefix: learned keys and values before each row; prompt: learned"
        " embeddings before each row; full: every weight is trained, in float32, at 24 bytes each or more.",
    )
    objective: Literal["sft", "dpo", "ipo", "kto", "orpo"] = Field(
        "sft",
        description="sft: the answers; the others: the chosen answer rather than the rejected one, measured from the"
        " base without the adapter (dpo, ipo, kto) or together with the chosen answer's own loss (orpo). kto also takes"
        " rows with one answer and a judgement: `label` or `meta.desirable`, true or false.",
    )
    beta: float = Field(
        0.1, gt=0, description="dpo, kto: how closely the base is kept to; ipo: its tau; orpo: the pairs' weight."
    )
    lora: Lora = Field(Lora(), description="For qlora and lora.")
    virtual_tokens: int = Field(16, ge=1, description="For prefix and prompt: how many are put before each row.")

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
    chat_template_kwargs: dict[str, Any] = Field(
        {},
        description="Settings for the base's chat template, such as {enable_thinking: false}; `evalkit run` renders"
        " with those of the run.",
    )
    history: Literal["error", "last", "split"] = Field(
        "error",
        description="What becomes of rows whose earlier turns the base's template rewrites once later ones follow, as"
        " many do that leave out old thoughts: last: only the last answer is learned; split: each answer is a sample of"
        " its own, rendered as at use. For sft.",
    )
    over_length: Literal["error", "drop", "truncate"] = Field(
        "error",
        description="What happens to longer rows, always counted; truncate: the end is cut off, and a row that would"
        " have no answer left is dropped.",
    )
    held_out_every: int | None = Field(
        None, ge=1, description="Held-out loss after this many steps; left out: after each epoch. Always at the end."
    )
    held_out_rows: int | None = Field(
        None, ge=1, description="How many held-out rows to measure on, the same ones each time; left out: all."
    )
    early_stop: int | None = Field(
        None, ge=1, description="Stop once this many held-out measurements in a row bring nothing better; else never."
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
    checkpointing: Literal["auto"] | bool = Field(
        "auto",
        description="Compute layers again in the backward pass instead of keeping what they made: the same result in"
        " less memory and about a third more time; auto: where it would not fit otherwise.",
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

    @model_validator(mode="after")
    def _prefix_is_kept(self) -> Self:
        if self.method == "prefix" and self.checkpointing is True:
            raise ValueError("checkpointing: method prefix gives keys and values to layers, which can't be recomputed")
        return self

    @model_validator(mode="after")
    def _base_is_there(self) -> Self:
        if self.method == "full" and self.objective == "kto":
            raise ValueError("objective: kto compares with the base at every step, and method full changes it")
        return self

    @model_validator(mode="after")
    def _precise_updates(self) -> Self:
        if self.method == "full" and self.dtype == "bfloat16":
            raise ValueError("dtype: method full trains in float32; in bfloat16 most updates would round to nothing")
        return self

    @property
    def quantisation(self) -> Literal["nf4"] | None:
        """How the frozen weights are stored."""
        return "nf4" if self.method == "qlora" else None

    @property
    def compute(self) -> Literal["auto", "float32", "bfloat16"]:
        """The type to compute in: trained weights need float32, whatever the hardware has."""
        return "float32" if self.method == "full" else self.dtype

    def what_matters(self) -> dict[str, object]:
        """Every setting that the adapter depends on. Inputs count by their digests, not their paths."""
        beside = {"base", "dataset", "held_out", "output", "expand_weights", "checkpointing", "log_to"}
        return self.model_dump(mode="json", exclude=beside)
