"""The training loop. There is one; what differs between trainings is data in `TrainConfig`."""

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
from trainer.adapter import State, trainable, without_adapter
from trainer.batches import epoch_batches
from trainer.checkpoint import HeldOut, Position, read_checkpoint, write_checkpoint
from trainer.config import CHECKPOINT_EVERY_S, TrainConfig
from trainer.loss import check_head
from trainer.parts import Parts, parts_of
from trainer.probe import probe
from trainer.record import StepRecord
from trainer.sample import Sample
from trainer.schedule import learning_rate, steps_in_all
from trainer.stopping import reason_to_stop
from trainer.team import ALONE, Team

_SWITCHED_OFF = ("qlora", "lora", "ia3")  # virtual tokens begin at random, and without them there is no step 0
_NAMED_ROWS = 10  # of the rows in a step that went wrong


@dataclass(frozen=True)
class Job:
    """Everything the loop needs. `checkpoint` is the file that it may go on from and writes to.

    `probed` is called once the largest part of any step has been computed, before the first step.
    """

    config: TrainConfig
    model: Any
    train: Sequence[Sample]
    held_out: Sequence[Sample]
    input_digest: str
    checkpoint: Path
    checkpoint_every_s: float = CHECKPOINT_EVERY_S
    on_held_out: Callable[[HeldOut], None] = lambda _: None
    probed: Callable[[], None] = lambda: None
    team: Team = ALONE


@dataclass(frozen=True)
class Trained:
    """What came out: the kept adapter's tensors, the step it is from, and the losses on the way.

    `initial` is the digest of the tensors that training started from, `stopped` why it ended early.
    """

    state: State
    step: int
    position: Position
    initial: str
    stopped: str | None


Watch = Callable[[StepRecord], None]


def train(job: Job, watch: Watch) -> Trained:
    """Train the model's adapter to the end, going on from the job's checkpoint; `watch` sees every step.

    Killed at any point and called again, it ends in the same bits. Raises: DataError naming rows where a loss is not
    finite, ServiceError where the memory is not enough; the checkpoint from before stays.
    """
    check_head(job.model)
    with parts_of(job.model, job.config, job.train, job.team) as parts:
        training = _Training(job, parts)
        probe(parts, job.model, training.train, job.config)
        job.probed()
        return training.run(watch)


class _Training:
    """The moving parts: adapter, optimizer, position. `run` moves them; everything random depends on the step alone."""

    def __init__(self, job: Job, parts: Parts) -> None:
        self.job = job
        self.parts = parts
        self.config = job.config
        self.device = next(job.model.parameters()).device
        self.parameters = trainable(job.model)
        self.initial = _digest(self.parameters)
        fused = self.device.type == "cpu"  # one pass over each tensor; elsewhere torch chooses
        self.optimizer = torch.optim.AdamW(
            self._groups(), lr=0.0, weight_decay=job.config.weight_decay, fused=fused or None
        )
        self.lengths = [sample.size for sample in job.train]
        job.model.eval()
        # Before a checkpoint moves anything: where the whole model is trained, there is no adapter to switch off.
        self.train, self.held_out = parts.with_references(job.train), parts.with_references(job.held_out)
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
        job.team.agree(lambda: (job.input_digest, self.position.step, _digest(self.parameters)))

    def run(self, watch: Watch) -> Trained:
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
        return Trained(state, step, self.position, self.initial, self._stopped())

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
        rows = self.batches(epoch)[index]
        samples = [self.train[row] for row in rows]
        supervised = sum(row.supervised_count for sample in samples for row in sample.rows)
        tokens = sum(sample.size for sample in samples)
        torch.manual_seed(stable_seed(self.config.seed, f"step {step}") % 2**63)  # dropout
        self.job.model.train()
        loss, gradients = self.parts.loss_and_gradients(samples)
        for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
            # torch's fused AdamW reads a gradient in the order of memory: one that lies transposed would be mixed up.
            parameter.grad = gradient.contiguous()
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(step, samples)
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
        loss = self.parts.mean_loss(self.held_out)
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

    def _not_finite(self, step: int, samples: Sequence[Sample]) -> DataError:
        self.optimizer.zero_grad()
        self.job.model.eval()
        losses = [self.parts.mean_loss([sample]) for sample in samples]
        bad = [sample.row for sample, loss in zip(samples, losses, strict=True) if not math.isfinite(loss)]
        rows = bad or [sample.row for sample in samples]
        return DataError(
            f"the loss or its gradient is not a finite number at step {step + 1}; nothing was updated",
            where=f"rows {', '.join(rows[:_NAMED_ROWS])}" + (" ..." if len(rows) > _NAMED_ROWS else ""),
            fix="look at these rows; if nothing is wrong with them, lower learning_rate",
        )

    def _adapter(self) -> State:
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def _save(self) -> None:
        if not self.job.team.leads:
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
