import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.trainer.conftest import MakeInputs
from trainer.data.tokenized_row import TokenizedRow
from trainer.fit import fit
from trainer.loop.processes import ONE_PROCESS, ProcessGroup
from trainer.run.record import read_run

_COMMAND = [sys.executable, "-c", "from trainer.cli import main; main()", "fit"]


def run_together(files: list[Path], *options: str) -> list[subprocess.CompletedProcess[str]]:
    """`trainer fit` on each of the files, in processes that know of each other as `torchrun` tells them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(files))}
    running = [
        subprocess.Popen(
            [*_COMMAND, str(file), *options],
            cwd=ROOT,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, file in enumerate(files)
    ]
    said = [process.communicate(timeout=240) for process in running]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *texts)
        for process, texts in zip(running, said, strict=True)
    ]


def training_file(path: Path, tiny: Path, **changed: Any) -> Path:
    settings = {"base": str(tiny), "dataset": "data", "output": path.stem, "method": "lora", "threads": 1}
    settings |= {"batch_rows": 3, "learning_rate": 0.01, "epochs": 1, "held_out_every": 3}
    lines = [f"{key}: {value}" for key, value in (settings | changed).items()]
    path.write_text("\n".join(lines) + "\nlora: {r: 4, alpha: 8}\n")
    return path


def test_two_processes_train_what_one_trains(make_inputs: MakeInputs, tmp_path: Path, tiny: Any) -> None:
    """20 rows in steps of 3: the parts are uneven, and the last step has rows for one part and a half."""
    alone = fit(make_inputs(batch_rows=3, epochs=1, held_out_every=3, output="alone")).record
    file = training_file(tmp_path / "both.yaml", tiny.folder)
    first, second = run_together([file, file])
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "held-out after step" in first.stdout
    assert (second.stdout, second.stderr) == ("", "")
    both = read_run(tmp_path / "both").record
    assert both.environment.processes == 2
    assert both.losses.train == pytest.approx(alone.losses.train, rel=1e-5)
    assert [held.step for held in both.losses.held_out] == [0, 3, 6, 7]
    for ours, theirs in zip(both.losses.held_out, alone.losses.held_out, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    steps = (tmp_path / "both" / "steps.jsonl").read_text().splitlines()
    assert len(steps) == len(both.losses.train) == 7
    one, two = (load_file(tmp_path / run / "adapter" / "adapter_model.safetensors") for run in ("alone", "both"))
    moved = sum(float(value.norm()) for value in one.values())
    assert sum(float((one[name] - two[name]).norm()) for name in one) < 1e-4 * moved
    # Sums over processes are rounded differently, so this is another run than one process's.
    assert both.input_digest != alone.input_digest
    again = run_together([file, file])
    assert ["up to date" in done.stderr for done in again] == [True, False]


def test_processes_with_different_settings_refuse_to_train(make_inputs: MakeInputs, tmp_path: Path, tiny: Any) -> None:
    make_inputs()
    files = [training_file(tmp_path / "one.yaml", tiny.folder, seed=seed, output="run") for seed in (0,)]
    files.append(training_file(tmp_path / "two.yaml", tiny.folder, seed=1, output="run"))
    done = run_together(files)
    assert {one.returncode for one in done} == {4}
    assert "don't start from the same rows, settings" in done[0].stderr
    assert not (tmp_path / "run" / "run.json").exists()


def test_every_sample_is_one_processs() -> None:
    samples = [TokenizedRow(str(n), [1] * (n + 2), [False] + [True] * (n + 1)) for n in range(7)]
    shares = [ProcessGroup(rank, 3).own_share(samples) for rank in range(3)]
    assert sorted(sample.name for share in shares for sample in share) == [sample.name for sample in samples]
    assert max(sum(s.size for s in share) for share in shares) < 1.5 * min(
        sum(s.size for s in share) for share in shares
    )
    assert [len(ProcessGroup(rank, 3).own_share(samples[:2])) for rank in range(3)] == [1, 1, 0]
    assert ONE_PROCESS.own_share(samples) == samples


def test_alone_nothing_is_exchanged() -> None:
    gradient = torch.ones(3)
    loss, (found,) = ONE_PROCESS.summed(0.5, [gradient])
    assert (loss, found is gradient) == (0.5, True)
