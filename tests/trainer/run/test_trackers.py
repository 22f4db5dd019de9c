import importlib.util
from pathlib import Path
from typing import Any

import pytest

from curate.core.errors import ConfigError, ServiceError
from tests.trainer.conftest import MakeInputs
from trainer.fit import fit
from trainer.run.record import HeldOut, RunRecord
from trainer.run.trackers import Tracker


def losses_of(record: RunRecord) -> tuple[list[float], list[float]]:
    return record.losses.train, [held.loss for held in record.losses.held_out]


def test_tensorboard_gets_every_loss(make_inputs: MakeInputs) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    inputs = make_inputs(log_to="tensorboard", max_steps=3, held_out_every=2)
    train, held_out = losses_of(fit(inputs).record)
    found = EventAccumulator(str(inputs.output / "tensorboard")).Reload()
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(train)
    assert [event.value for event in found.Scalars("held_out_loss")] == pytest.approx(held_out)
    assert [event.step for event in found.Scalars("held_out_loss")] == [0, 2, 3]


def test_mlflow_gets_every_loss_in_one_run_also_after_an_interruption(
    make_inputs: MakeInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    inputs = make_inputs(log_to="mlflow", max_steps=4)

    def interrupt(record: Any) -> None:
        if record.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(inputs, watch=interrupt)
    train, held_out = losses_of(fit(inputs).record)
    (run,) = mlflow.search_runs(output_format="list")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(i + 1, pytest.approx(x)) for i, x in enumerate(train)]
    assert run.data.metrics["held_out_loss"] == pytest.approx(held_out[-1])
    assert run.data.params["learning_rate"] == "0.01"


def test_an_mlflow_server_that_is_not_there_is_a_message(
    make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="MLflow takes no losses"):
        fit(make_inputs(log_to="mlflow", max_steps=1))


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_library_that_is_missing_is_said_before_anything_is_loaded(make_inputs: MakeInputs, name: str) -> None:
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed here")
    inputs = make_inputs(log_to=name)
    with pytest.raises(ConfigError, match=f"needs the package {name}"):
        fit(inputs)
    assert not (inputs.output / "steps.jsonl").exists()


def test_where_losses_are_sent_changes_nothing_about_the_run(make_inputs: MakeInputs) -> None:
    assert make_inputs(log_to="tensorboard").digest == make_inputs().digest


def test_a_tracker_that_fails_is_said_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[int] = []

    def send(metrics: dict[str, float], step: int) -> None:
        sent.append(step)
        raise ConnectionError("gone")

    tracker = Tracker("MLflow", send)
    tracker.held_out(HeldOut(1, 0.5))
    tracker.held_out(HeldOut(2, 0.4))
    assert sent == [1]
    assert capsys.readouterr().err.count("the training goes on") == 1
