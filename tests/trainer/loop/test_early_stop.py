from pathlib import Path

import pytest

from tests.trainer.conftest import MakeInputs, make_row, write_rows
from tests.trainer.test_fit import StoppedError, stop_after
from trainer.fit import fit
from trainer.loop.early_stop import overfitting, reason_to_stop
from trainer.run.record import Ending, HeldOut


def held(*losses: float) -> list[HeldOut]:
    """Measurements each 10 steps, from the bare base on."""
    return [HeldOut(10 * number, loss) for number, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ((9, 3, 2, 1), None),
        ((9, 3), None),
        ((9, 3, 3, 3), "flat"),
        ((9, 3, 2.999, 2.998), "flat"),
        ((9, 3, 2.9, 3.1), None),
        ((9, 3, 3.1, 3.0), "flat"),
        ((9, 3, 3.1, 3.4), "diverged"),
        ((1, 3, 2, 1.5), None),  # the bare base was better, and still it learns
    ],
)
def test_training_stops_after_two_measurements_without_a_better_one(
    losses: tuple[float, ...], reason: str | None
) -> None:
    assert reason_to_stop(held(*losses), 2) == reason
    assert reason_to_stop(held(*losses), None) is None


def test_overfitting_is_held_out_up_while_training_goes_down() -> None:
    falling = [4 - step * 0.1 for step in range(40)]
    said = overfitting(falling, held(9, 3, 2, 2.5, 3))
    assert said is not None
    assert "lowest after step 20 (2.000) and rose to 3.000 by step 40" in said
    assert "training loss fell from 2.550 to 0.550" in said
    assert overfitting(falling, held(9, 4, 3, 2, 1)) is None
    assert overfitting(falling, held(9, 3, 2, 2.01, 2.02)) is None
    # Where the training loss rises too, the run is unstable, which is something else.
    assert overfitting(falling[::-1], held(9, 3, 2, 2.5, 3)) is None
    assert overfitting([], []) is None


def test_a_run_that_overfits_stops_says_so_and_keeps_the_best(make_inputs: MakeInputs, tmp_path: Path) -> None:
    # The held-out rows contradict the others: the more is learned, the worse it gets there.
    write_rows(tmp_path / "data" / "val.jsonl", [make_row(i, answer="~~~~~~~~") for i in range(100, 104)])
    settings = {"epochs": 8, "held_out_every": 2, "early_stop": 3}
    record = fit(make_inputs(**settings)).record
    ending = record.ending
    assert ending
    assert ending.of == 40
    assert ending.step == len(record.losses.train) < 40
    assert ending.stopped == "diverged"
    assert "overfitting: held-out loss was lowest after step" in str(ending.overfitting)
    assert record.adapter.step == ending.step - 6

    # Killed after its last step and called again, it stops at the same place.
    broken = make_inputs(**settings, output="broken")
    with pytest.raises(StoppedError):
        fit(broken, watch=stop_after(ending.step), checkpoint_every_s=0)
    assert fit(broken).record.ending == ending


def test_a_run_to_its_end_says_that_nothing_stopped_it(make_inputs: MakeInputs) -> None:
    ending = fit(make_inputs(early_stop=2, held_out_every=2)).record.ending
    assert ending == Ending(step=5, of=5, stopped=None, overfitting=None)
