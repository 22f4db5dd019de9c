"""A whole chain in small: dataset, run, results, and verdicts that a test writes."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalkit.gate.verdict_file import GateOutcome, GateVerdict, VerdictRule, result_digest, write_verdict
from evalkit.release.chain import Chain, read_chain
from evalkit.run import RunOptions, evaluate
from tests.evalkit.tiny_world import write_suite
from trainer.config import TrainConfig
from trainer.fit import fit
from trainer.inputs import find_inputs


@dataclass(frozen=True)
class Work:
    """A folder with base, dataset, two runs and the results of each."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "releases"

    def results(self, run: str = "run") -> Path:
        return self.folder / f"results-{run}"

    def verdict(self, run: str = "run", outcome: GateOutcome = "pass", **changes: Any) -> Path:
        path = self.folder / f"verdict-{run}.json"
        fields = {
            "outcome": outcome,
            "result_digest": result_digest(self.results(run)),
            "because": "as good as the base on what it did before",
            "rules": [VerdictRule(rule="at-least")],
        }
        write_verdict(path, GateVerdict(**{**fields, **changes}))
        return path

    def chain(self, run: str = "run") -> Chain:
        return read_chain(self.folder / run, self.results(run), self.verdict(run))


@pytest.fixture(scope="session")
def made_work(made_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the tiny world, evaluated, made once."""
    folder = tmp_path_factory.mktemp("work") / "world"
    shutil.copytree(made_world, folder)
    config = TrainConfig(
        base="base", dataset="dataset", output="second", method="lora", max_steps=3, learning_rate=0.05, threads=1
    )
    fit(find_inputs(config, folder))
    for run in ("run", "second"):
        contenders = [{"name": "base"}, {"name": "adapter", "run": run}]
        suite = write_suite(folder, contenders=contenders, output=f"results-{run}", cluster=None)
        evaluate(suite, RunOptions())
        suite.rename(folder / f"suite-{run}.yaml")
    return folder


@pytest.fixture
def work(made_work: Path, tmp_path: Path) -> Work:
    """A copy that a test may change."""
    return Work(Path(shutil.copytree(made_work, tmp_path / "work")))
