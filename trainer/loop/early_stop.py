"""When a training stops early, and what its losses say about overfitting: pure functions of the losses so far."""

from collections.abc import Sequence

from trainer.run.record import HeldOut

# Relative. Held-out losses of a good run move by less than the first between measurements near its end, and what is
# above the second is no chance wobble of a few rows.
_FLAT = 0.001
_RISE = 0.05


def reason_to_stop(held_out: Sequence[HeldOut], patience: int | None) -> str | None:
    """`flat` or `diverged` where the last `patience` held-out measurements brought nothing better, else None.

    The measurement of the bare base (step 0) doesn't count.
    """
    known = [held.loss for held in held_out if held.step]
    if patience is None or len(known) <= patience:
        return None
    before, since = min(known[:-patience]), known[-patience:]
    if min(since) < before * (1 - _FLAT):
        return None
    return "diverged" if since[-1] > before * (1 + _RISE) else "flat"


def overfitting(losses: Sequence[float], held_out: Sequence[HeldOut]) -> str | None:
    """A sentence where the held-out loss rose while the training loss fell, else None. `losses` has one per step."""
    known = [held for held in held_out if held.step]
    if len(known) < 2:
        return None
    best, last = min(known, key=lambda held: held.loss), known[-1]
    window = min(last.step - known[-2].step, best.step)
    then, now = (sum(losses[end - window : end]) / window for end in (best.step, last.step))
    if last.loss <= best.loss * (1 + _RISE) or now >= then:
        return None
    return (
        f"overfitting: held-out loss was lowest after step {best.step} ({best.loss:.3f}) and rose to {last.loss:.3f} by"
        f" step {last.step}, while training loss fell from {then:.3f} to {now:.3f}; fewer epochs, a lower learning_rate"
        " or more rows would help"
    )
