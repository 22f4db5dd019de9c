"""Losses sent to MLflow or TensorBoard as well, through their own libraries. A tracker that fails stops no training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curate.core.console import warn
from curate.core.errors import ConfigError, ServiceError
from trainer.config import TrainConfig
from trainer.run.record import HeldOut, StepRecord

_PACKAGES = {"mlflow": "mlflow", "tensorboard": "tensorboard"}
_TAG = "acidtest.input_digest"  # a training that goes on finds its MLflow run by this

Send = Callable[[dict[str, float], int], None]


class Tracker:
    """Sends metrics on; after the first failure it says so and stays quiet."""

    def __init__(self, name: str, send: Send | None) -> None:
        self._name = name
        self._send = send

    def step(self, record: StepRecord) -> None:
        """Send one optimizer step."""
        speed = record.environment["tokens_per_s"]
        metrics = {"loss": record.loss, "learning_rate": record.learning_rate, "grad_norm": record.grad_norm}
        self._try(metrics | {"tokens_per_s": speed}, record.step)

    def held_out(self, measured: HeldOut) -> None:
        """Send a held-out loss."""
        self._try({"held_out_loss": measured.loss}, measured.step)

    def _try(self, metrics: dict[str, float], step: int) -> None:
        if self._send is None:
            return
        try:
            self._send(metrics, step)
        except Exception as error:  # noqa: BLE001 - a server or its client may fail in any way
            warn(f"{self._name} takes no more losses ({type(error).__name__}: {error}); the training goes on")
            self._send = None


def check_tracker(name: str | None) -> None:
    """Do nothing where the tracker's library is installed, or none is asked for. Raises: ConfigError."""
    if name and find_spec(_PACKAGES[name]) is None:
        raise ConfigError(
            f"log_to: {name} needs the package {_PACKAGES[name]}, which is not installed",
            where="log_to",
            fix="pip install 'acidtest[track]', or leave log_to out",
        )


@contextmanager
def open_tracker(config: TrainConfig, output: Path, digest: str) -> Iterator[Tracker]:
    """The tracker that the configuration asks for; without one, a tracker that sends nothing."""
    if config.log_to == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(output / "tensorboard")) as writer:

            def send(metrics: dict[str, float], step: int) -> None:
                for name, value in metrics.items():
                    writer.add_scalar(name, value, step)

            yield Tracker("TensorBoard", send)
    elif config.log_to == "mlflow":
        with _mlflow_run(config, digest) as send_on:
            yield Tracker("MLflow", send_on)
    else:
        yield Tracker("", None)


@contextmanager
def _mlflow_run(config: TrainConfig, digest: str) -> Iterator[Send]:
    """Where MLflow's own settings (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME) say; one run for each training."""
    import mlflow

    try:
        known: Any = mlflow.search_runs(filter_string=f"tags.`{_TAG}` = '{digest}'", output_format="list")
        run = mlflow.start_run(run_id=known[0].info.run_id if known else None, tags={_TAG: digest})
        if not known:
            mlflow.log_params(config.what_matters())
    except Exception as error:  # a server or its client may fail in any way
        raise ServiceError(
            f"MLflow takes no losses: {type(error).__name__}: {error}",
            where="log_to",
            fix="check MLFLOW_TRACKING_URI, or leave log_to out",
        ) from error
    with run:
        yield lambda metrics, step: mlflow.log_metrics(metrics, step=step)
