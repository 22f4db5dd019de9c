"""The training loop. There is one; what differs between trainings is data in `TrainConfig`.

Once, before the first step:

1. The log-probabilities of the answers in the model before training, where the objective is measured from them.
2. What a checkpoint holds, where there is one: adapter, optimizer, position, best adapter so far.
3. The step's largest round, computed and forgotten: a training that lacks memory says so now.

Each step, a function of the inputs and its number alone:

1. The step's rows: each epoch shuffles them anew, by seed and epoch (`trainer.data.batches`).
2. Loss and gradients, added up over micro-batches in a fixed order (`trainer.loop.micro_batches`).
3. The gradients' norm; where it or the loss isn't finite, the training ends and names the rows.
4. The gradients clipped to `max_grad_norm`, the learning rate of this step, one update of AdamW.
5. A line of steps.jsonl; the held-out loss every so many steps, the best adapter by it kept beside; a checkpoint, where
   the last one is a minute old.

A training that was killed goes on from its checkpoint and ends in the same bits as one that wasn't: nothing random is
drawn from a generator that lives longer than a step. What it loses is at most a minute's steps.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import torch

from curate.core.console import progress, uninterrupted, warn
from curate.core.digests import digest_bytes, digest_json
from curate.core.errors import AcidtestError, DataError
from curate.core.seeding import stable_seed
from trainer.config import CHECKPOINT_EVERY_S, TrainConfig
from trainer.data.batches import epoch_batches
from trainer.data.tokenized_row import TokenizedRow
from trainer.loop.checkpoint import Position, read_checkpoint, write_checkpoint
from trainer.loop.cross_entropy import check_head
from trainer.loop.early_stop import reason_to_stop
from trainer.loop.memory_probe import probe
from trainer.loop.micro_batches import MicroBatches, micro_batches
from trainer.loop.processes import ONE_PROCESS, ProcessGroup
from trainer.loop.schedule import learning_rate, steps_in_all
from trainer.model.adapter import State, trainable, without_adapter
from trainer.run.record import HeldOut, StepRecord, Watch

_SWITCHED_OFF = ("qlora", "lora", "ia3")  # virtual tokens begin at random, and without them there is no step 0
_NAMED_ROWS = 10  # of the rows in a step that went wrong


@dataclass(frozen=True)
class TrainingJob:
    """Everything the loop needs.

    Attributes:
        model: a causal language model with what is trained on it attached, its trainable parameters marked.
        input_digest: of everything that the result depends on; a checkpoint of another one isn't used.
        checkpoint: the file that it may go on from and writes to.
        on_held_out: is called with each held-out loss.
        probed: is called once the largest round of any step has been computed, before the first step.
        processes: those that train together; each holds all rows.
    """

    config: TrainConfig
    model: Any
    train: Sequence[TokenizedRow]
    held_out: Sequence[TokenizedRow]
    input_digest: str
    checkpoint: Path
    checkpoint_every_s: float = CHECKPOINT_EVERY_S
    on_held_out: Callable[[HeldOut], None] = lambda _: None
    probed: Callable[[], None] = lambda: None
    processes: ProcessGroup = ONE_PROCESS


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        state: the kept adapter's tensors, by name.
        step: how many steps had been done when they were that.
        position: where the training ended, with the losses on the way.
        initial: the digest of the tensors that it began with.
        stopped: why it ended early, if it did.
    """

    state: State
    step: int
    position: Position
    initial: str
    stopped: str | None


def train(job: TrainingJob, watch: Watch) -> TrainingResult:
    """Train the model's adapter to the end, going on from the job's checkpoint; `watch` sees every step.

    Killed at any point and called again, it ends in the same bits. Raises: DataError naming rows where a loss is not
    finite, ServiceError where the memory is not enough; the checkpoint from before stays.
    """
    check_head(job.model)
    with micro_batches(job.model, job.config, job.train, job.processes) as batches:
        training = _Training(job, batches)
        probe(batches, job.model, training.train, job.config)
        job.probed()
        return training.run(watch)


class _Training:
    """What changes in a training: adapter, optimizer, position. `run` goes from step to step."""

    def __init__(self, job: TrainingJob, micro_batches: MicroBatches) -> None:
        self.job = job
        self.micro_batches = micro_batches
        self.config = job.config
        self.device = next(job.model.parameters()).device
        self.parameters = trainable(job.model)
        self.initial = _digest(self.parameters)
        fused = self.device.type == "cpu"  # one pass over each tensor; elsewhere torch chooses
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=0.0, weight_decay=job.config.weight_decay, fused=fused or None
        )
        self.lengths = [row.size for row in job.train]
        job.model.eval()
        # Before a checkpoint moves anything: where the whole model is trained, there is no adapter to switch off.
        self.train = micro_batches.with_references(job.train)
        self.held_out = micro_batches.with_references(job.held_out)
        self.total = steps_in_all(len(job.train), job.config)
        self.epoch_steps = math.ceil(len(job.train) / job.config.batch_rows)
        self.batches = lru_cache(maxsize=1)(
            lambda epoch: epoch_batches(self.lengths, job.config.batch_rows, job.config.seed, epoch)
        )
        self.position = Position(job.input_digest)
        self.best: State = {}
        # What the bare base makes of the held-out rows can be measured whenever the adapter can be switched off: then
        # the first step need not wait for it.
        self.base_waits = job.config.method in _SWITCHED_OFF and job.config.objective != "kto"
        self._restore()
        job.processes.agree(lambda: (job.input_digest, self.position.step, _digest(self.parameters)))

    def run(self, watch: Watch) -> TrainingResult:
        saved = time.monotonic()
        try:
            with progress("training", self.total) as advance:
                advance(self.position.step, note="measuring the held-out loss")
                if self._held_out_is_due(self.position.step) and not (self.base_waits and self.position.step == 0):
                    self._measure()
                while self.position.step < self.total and not self._stopped():
                    record = self._step(self.position.step)
                    watch(record)
                    if self._held_out_is_due(record.step):
                        self._measure()
                    if time.monotonic() - saved >= self.job.checkpoint_every_s:
                        self._save()
                        saved = time.monotonic()
                    advance(note=f"loss {record.loss:.3f}  {record.environment['tokens_per_s']:.0f} tokens/s")
        except KeyboardInterrupt:
            # It comes between two updates, so the state is that of a whole step.
            if self.position.step:
                self._save()
            raise
        best = self.config.keep == "best" and self.best
        state, step = (self.best, self.position.best_step) if best else (self._adapter(), self.position.step)
        return TrainingResult(state, step, self.position, self.initial, self._stopped())

    def _stopped(self) -> str | None:
        return reason_to_stop(self.position.held_out, self.config.early_stop)

    def _groups(self) -> list[dict[str, Any]]:
        """The parameters by how many times faster than the rest they learn (LoRA+: B does)."""
        groups: dict[float, list[torch.Tensor]] = {}
        for name, value in self.parameters.items():
            groups.setdefault(self.config.lora.b_rate_ratio if ".lora_B." in name else 1.0, []).append(value)
        return [{"params": values, "faster": faster} for faster, values in groups.items()]

    def _step(self, step: int) -> StepRecord:
        started = time.monotonic()
        epoch, index = divmod(step, self.epoch_steps)
        rows = [self.train[number] for number in self.batches(epoch)[index]]
        supervised = sum(one.supervised_count for row in rows for one in row.sequences)
        tokens = sum(row.size for row in rows)
        torch.manual_seed(stable_seed(self.config.seed, f"step {step}") % 2**63)  # dropout
        self.job.model.train()
        loss, gradients = self.micro_batches.loss_and_gradients(rows)
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            # torch's fused AdamW reads a gradient in the order of memory: one that lies transposed would be mixed up.
            parameter.grad = gradient.contiguous()
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(step, rows)
        rate = learning_rate(step, self.total, self.config)
        self._update(step + 1, rate, loss)
        seconds = time.monotonic() - started
        times = {"seconds": round(seconds, 3), "tokens_per_s": round(tokens / seconds, 1)}
        return StepRecord(step + 1, epoch, loss, rate, norm, tokens, supervised, times)

    def _update(self, step: int, rate: float, loss: float) -> None:
        with uninterrupted():
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["faster"]
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.position = msgspec.structs.replace(self.position, step=step, losses=(*self.position.losses, loss))

    def _held_out_is_due(self, step: int) -> bool:
        every = self.config.held_out_every or self.epoch_steps
        return bool(self.job.held_out) and (step % every == 0 or step == self.total)

    def _measure(self) -> None:
        position = self.position
        if any(held.step == position.step for held in position.held_out):
            return
        self.job.model.eval()
        if position.step and not position.held_out:
            with without_adapter(self.job.model):
                self._note(HeldOut(0, self._held_out_loss()))
            position = self.position
        loss = self._held_out_loss()
        # The bare base (step 0) is for comparison; an adapter is kept even where it is worse, and the losses say so.
        known = [held.loss for held in position.held_out if held.step]
        best_step = position.best_step
        if position.step and loss < min(known, default=math.inf):
            best_step, self.best = position.step, self._adapter()
        self.position = msgspec.structs.replace(position, best_step=best_step)
        self._note(HeldOut(position.step, loss))

    def _held_out_loss(self) -> float:
        loss = self.micro_batches.mean_loss(self.held_out)
        if not math.isfinite(loss):
            raise DataError(
                f"the held-out loss is not a finite number after step {self.position.step}",
                where="held_out",
                fix="look at the held-out rows; if nothing is wrong with them, lower learning_rate",
            )
        return loss

    def _note(self, held: HeldOut) -> None:
        self.position = msgspec.structs.replace(self.position, held_out=(*self.position.held_out, held))
        self.job.on_held_out(held)

    def _not_finite(self, step: int, rows: Sequence[TokenizedRow]) -> DataError:
        self.optimizer.zero_grad()
        self.job.model.eval()
        losses = [self.micro_batches.mean_loss([row]) for row in rows]
        bad = [row.name for row, loss in zip(rows, losses, strict=True) if not math.isfinite(loss)]
        names = bad or [row.name for row in rows]
        return DataError(
            f"the loss or its gradient is not a finite number at step {step + 1}; nothing was updated",
            where=f"rows {', '.join(names[:_NAMED_ROWS])}" + (" ..." if len(names) > _NAMED_ROWS else ""),
            fix="look at these rows; if nothing is wrong with them, lower learning_rate",
        )

    def _adapter(self) -> State:
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def _save(self) -> None:
        if not self.job.processes.is_main:
            return
        states = {name: self.optimizer.state[value] for name, value in self.parameters.items()}
        moments = {key: {name: state[key] for name, state in states.items()} for key in ("exp_avg", "exp_avg_sq")}
        tensors = {"adapter": self._adapter(), **moments, "best": self.best}
        try:
            write_checkpoint(self.job.checkpoint, self.position, tensors)
        except AcidtestError as error:
            # A full disk may have room again in a minute, and an earlier checkpoint is still whole.
            warn(f"no checkpoint after step {self.position.step}: {error.what} ({error.where}); the training goes on")

    def _restore(self) -> None:
        found = read_checkpoint(self.job.checkpoint, self.job.input_digest)
        if found is None:
            return
        self.position, sections = found
        self.best = {name: value.to(self.device) for name, value in sections.get("best", {}).items()}
        for name, parameter in self.parameters.items():
            parameter.data.copy_(sections["adapter"][name])
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.position.step)),
                "exp_avg": sections["exp_avg"][name].to(self.device),
                "exp_avg_sq": sections["exp_avg_sq"][name].to(self.device),
            }


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    plain = {name: value.detach().cpu().contiguous().view(torch.uint8) for name, value in tensors.items()}
    return digest_json({name: digest_bytes(value.numpy().tobytes()) for name, value in plain.items()})
