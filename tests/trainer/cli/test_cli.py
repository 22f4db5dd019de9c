import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Run
from tests.trainer.conftest import MakeInputs


@pytest.fixture
def training_file(make_inputs: MakeInputs, tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    settings = make_inputs(max_steps=3).config.model_dump(mode="json", exclude_defaults=True)
    path.write_text(yaml.safe_dump(settings))
    return path


def test_fit_then_show_then_nothing_to_do(run_cli: Run, training_file: Path, tmp_path: Path) -> None:
    # A relative output is relative to the file, wherever the command is run.
    fitted = run_cli("trainer", "fit", training_file, cwd=ROOT)
    assert fitted.returncode == 0, fitted.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(record["losses"]["train"]) == 3
    assert "20 rows" in fitted.stdout
    # Nothing but our own words: no library's notices, warnings or bars.
    assert all(line.startswith(("loading ", "memory: ", "training: ")) for line in fitted.stderr.splitlines()), (
        fitted.stderr
    )

    shown = run_cli("trainer", "show", tmp_path / "run")
    assert shown.stdout == fitted.stdout
    assert json.loads(run_cli("trainer", "show", tmp_path / "run", "--json").stdout) == record

    again = run_cli("trainer", "fit", training_file, "--json")
    assert again.returncode == 0
    assert "up to date" not in again.stdout
    assert json.loads(again.stdout) == record


def test_flags_override_the_file(run_cli: Run, training_file: Path, tmp_path: Path) -> None:
    run = run_cli("trainer", "fit", training_file, "--max-steps", 1, "--output", "elsewhere", "--json", cwd=tmp_path)
    record = json.loads(run.stdout)
    assert len(record["losses"]["train"]) == 1
    assert (tmp_path / "elsewhere" / "run.json").is_file()
    assert "output" not in record["config"]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_writes_nothing(run_cli: Run, training_file: Path, tmp_path: Path) -> None:
    plan = run_cli("trainer", "fit", training_file, "--dry-run")
    assert plan.returncode == 0
    assert "for 3 steps" in plan.stdout
    as_json = json.loads(run_cli("trainer", "fit", training_file, "--dry-run", "--json").stdout)
    assert as_json["train"]["rows"] == 20
    assert not (tmp_path / "run").exists()


def test_every_mistake_in_the_file_is_named_with_its_line(run_cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("base: b\ndataset: d\noutput: o\nlora: {rank: 3}\nepochs: 0\nlearnign_rate: 1\nthreads: 0\n")
    run = run_cli("trainer", "fit", path)
    assert run.returncode == 2
    for place in (f"{path}:4: lora.rank: unknown key", f"{path}:5: epochs", f"{path}:6: learnign_rate: unknown key"):
        assert place in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"base": "embedded:gpt-9"}, 2, "known: embedded:smollm2-135m"),
        ({"dataset": "nowhere"}, 3, "nowhere"),
        ({"max_length": 5}, 3, "20 of 20 rows are longer than max_length 5"),
        ({"base": "./no-such-folder"}, 2, "no-such-folder"),
    ],
)
def test_refusals_are_messages_with_exit_codes(
    run_cli: Run, training_file: Path, change: dict[str, object], code: int, said: str
) -> None:
    training_file.write_text(yaml.safe_dump(yaml.safe_load(training_file.read_text()) | change))
    run = run_cli("trainer", "fit", training_file)
    assert (run.returncode, said in run.stderr, "Traceback" in run.stderr) == (code, True, False), run.stderr


def test_a_cache_that_cannot_be_written_is_a_message(run_cli: Run, training_file: Path, tmp_path: Path) -> None:
    import os

    (tmp_path / "file").write_text("")
    training_file.write_text(
        yaml.safe_dump(yaml.safe_load(training_file.read_text()) | {"base": "embedded:smollm2-135m"})
    )
    run = run_cli(
        "trainer", "fit", training_file, env={**os.environ, "ACIDTEST_CACHE": str(tmp_path / "file" / "cache")}
    )
    assert run.returncode == 5, run.stderr
    assert "set ACIDTEST_CACHE" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint_that_the_same_command_goes_on_from(
    run_cli: Run, training_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    training_file.write_text(
        yaml.safe_dump(yaml.safe_load(training_file.read_text()) | {"max_steps": None, "epochs": 20})
    )
    code = "import sys; from trainer.cli import main; sys.argv[0] = 'trainer'; main()"
    command = [sys.executable, "-c", code, "fit", str(training_file), "--output", "stopped"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        steps = tmp_path / "stopped" / "steps.jsonl"
        while process.poll() is None and not (steps.is_file() and len(steps.read_bytes().splitlines()) > 3):
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run the same command again to go on" in said
    (checkpoint,) = (tmp_path / "stopped").glob("checkpoint-*.safetensors")
    done = read_checkpoint_step(checkpoint)
    assert 3 < done < 100
    # The interrupted training and one that was left alone end in the same adapter.
    for output in ("stopped", "straight"):
        assert run_cli("trainer", "fit", training_file, "--output", output, cwd=tmp_path).returncode == 0
    weights = [tmp_path / output / "adapter" / "adapter_model.safetensors" for output in ("stopped", "straight")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def read_checkpoint_step(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        return int(json.loads(file.metadata()["position"])["step"])


def test_the_sample_is_a_valid_training_file() -> None:
    from curate.core.config_file import load_config
    from trainer.config import TrainConfig

    config = load_config(ROOT / "samples" / "toolcalls" / "train.yaml", TrainConfig)
    assert (config.base, config.method, config.lora.r) == ("embedded:smollm2-135m", "qlora", 16)
