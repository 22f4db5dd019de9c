import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from curate.core.chat.base_model import BaseModel, load_chat_format
from curate.core.digests import digest_file
from curate.core.errors import ConfigError, DataError
from curate.core.files import decode_lines
from curate.core.records import read_record
from tests.conftest import ROOT
from tests.trainer.conftest import MakeInputs, make_row, write_rows
from trainer.fit import fit, preview
from trainer.inputs import Inputs, find_inputs
from trainer.run.record import StepRecord, read_run

ADAPTER = Path("adapter") / "adapter_model.safetensors"


def weights(inputs: Inputs) -> dict[str, torch.Tensor]:
    return load_file(inputs.output / ADAPTER)


class StoppedError(Exception):
    """Ends a training from its watcher, as a crash would."""


def stop_after(step: int) -> Any:
    def watch(record: StepRecord) -> None:
        if record.step == step:
            raise StoppedError

    return watch


def test_a_training_lowers_the_loss_and_says_what_went_in(make_inputs: MakeInputs) -> None:
    inputs = make_inputs(epochs=8, batch_rows=4, held_out_every=10)
    run = fit(inputs).run
    assert run == read_run(inputs.output)
    assert run.document == read_record(inputs.output / "run.json")
    record = run.record
    losses = record.losses.train
    assert len(losses) == 40
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert [held.step for held in record.losses.held_out] == [0, 10, 20, 30, 40]
    assert record.dataset.train.rows == 20
    assert record.dataset.train.digest == digest_file(inputs.files.train)
    assert record.environment.peak_memory_bytes > 10**8
    assert record.base.digest == inputs.base_digest
    assert not list(inputs.output.glob("checkpoint-*"))
    picture = (inputs.output / "loss.svg").read_text()
    assert picture.startswith("<svg")
    assert picture.count("<circle") == 5
    steps = list(decode_lines(inputs.output / "steps.jsonl", StepRecord))
    assert [step.loss for step in steps] == losses
    assert sum(step.tokens for step in steps) == 8 * record.dataset.train.tokens


def test_the_best_adapter_by_held_out_loss_is_kept(make_inputs: MakeInputs, tmp_path: Path) -> None:
    # The held-out rows contradict the others: the more is learned, the worse it gets there.
    write_rows(tmp_path / "data" / "val.jsonl", [make_row(i, answer="~~~~~~~~") for i in range(100, 104)])
    settings = {"epochs": 4, "held_out_every": 2}
    record = fit(make_inputs(**settings)).record
    trained = {held.step: held.loss for held in record.losses.held_out if held.step}
    best = min(trained, key=lambda step: trained[step])
    assert record.adapter.step == best < 20
    last = fit(make_inputs(**settings, keep="last", output="other")).record
    assert last.adapter.step == 20
    assert last.adapter.digest != record.adapter.digest


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("stopped_at", range(1, 11))
def test_a_training_that_goes_on_ends_in_the_same_bits(make_inputs: MakeInputs, method: str, stopped_at: int) -> None:
    lora = {"r": 4, "alpha": 8, "dropout": 0.1}
    settings = {"method": method, "epochs": 2, "held_out_every": 3, "lora": lora, "expand_weights": False}
    straight = make_inputs(output="straight", **settings)
    whole = fit(straight).record

    broken = make_inputs(output="broken", **settings)
    with pytest.raises(StoppedError):
        fit(broken, watch=stop_after(stopped_at), checkpoint_every_s=0)
    torch.manual_seed(stopped_at)  # another process would be somewhere else
    record = fit(broken, checkpoint_every_s=0).record

    assert (broken.output / ADAPTER).read_bytes() == (straight.output / ADAPTER).read_bytes()
    assert record.losses == whole.losses
    assert record.adapter == whole.adapter
    assert record.stream == whole.stream
    steps = list(decode_lines(broken.output / "steps.jsonl", StepRecord))
    assert [step.step for step in steps] == list(range(1, 11))


@pytest.mark.slow
def test_killed_without_warning_it_goes_on_to_the_same_bits(make_inputs: MakeInputs, tmp_path: Path) -> None:
    straight, killed = make_inputs(output="straight", epochs=2), make_inputs(output="killed", epochs=2)
    fit(straight)
    (tmp_path / "config.json").write_text(killed.config.model_dump_json())
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from trainer.config import TrainConfig; from trainer.fit import fit; from trainer.inputs import find_inputs\n"
        "config = TrainConfig.model_validate_json(Path('config.json').read_text())\n"
        "watch = lambda record: record.step == 6 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "fit(find_inputs(config, Path.cwd()), watch=watch, checkpoint_every_s=0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=_environment(), check=False, timeout=600)
    assert ended.returncode == -signal.SIGKILL
    assert not (killed.output / "run.json").exists()
    seen: list[int] = []
    fit(killed, watch=lambda record: seen.append(record.step))
    assert seen == [6, 7, 8, 9, 10]  # the checkpoint after step 5 is the last whole one
    assert (killed.output / ADAPTER).read_bytes() == (straight.output / ADAPTER).read_bytes()


def test_an_interrupt_saves_the_last_whole_step(make_inputs: MakeInputs) -> None:
    inputs = make_inputs(epochs=2)

    def interrupt(record: StepRecord) -> None:
        if record.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(inputs, watch=interrupt)
    seen: list[int] = []
    fit(inputs, watch=lambda record: seen.append(record.step))
    assert seen == [7, 8, 9, 10]


def test_an_interrupt_within_an_update_waits_for_its_end(make_inputs: MakeInputs) -> None:
    import os

    from torch.optim.optimizer import register_optimizer_step_pre_hook

    inputs, straight = make_inputs(epochs=2), make_inputs(epochs=2, output="straight")
    updates: list[int] = []

    def interrupt(*_: object) -> None:
        updates.append(1)
        if len(updates) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    hook = register_optimizer_step_pre_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(inputs)
    finally:
        hook.remove()
    assert len(list(inputs.output.glob("checkpoint-*"))) == 1
    fit(inputs)
    fit(straight)
    assert (inputs.output / ADAPTER).read_bytes() == (straight.output / ADAPTER).read_bytes()


def test_a_checkpoint_of_other_settings_is_kept_and_not_used(
    make_inputs: MakeInputs, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = make_inputs(), make_inputs(learning_rate=2e-3)
    with pytest.raises(StoppedError):
        fit(first, watch=stop_after(3), checkpoint_every_s=0)
    seen: list[int] = []
    fit(other, watch=lambda record: seen.append(record.step))
    assert seen[0] == 1
    assert "belongs to a training with other settings or rows: kept, not used" in capsys.readouterr().err
    assert len(list(first.output.glob("checkpoint-*"))) == 1
    fit(other, force=True)
    assert not list(first.output.glob("checkpoint-*"))


def test_a_damaged_checkpoint_is_said_and_training_starts_again(
    make_inputs: MakeInputs, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = make_inputs()
    with pytest.raises(StoppedError):
        fit(inputs, watch=stop_after(3), checkpoint_every_s=0)
    (checkpoint,) = inputs.output.glob("checkpoint-*")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    seen: list[int] = []
    fit(inputs, watch=lambda record: seen.append(record.step))
    assert seen[0] == 1
    assert "is damaged" in capsys.readouterr().err


def test_the_stream_of_tokens_depends_on_seed_rows_and_batches_alone(make_inputs: MakeInputs, tmp_path: Path) -> None:
    def facts(name: str, **changed: Any) -> tuple[str, str]:
        record = fit(make_inputs(**{"output": name, "epochs": 2, "max_steps": 7, **changed})).record
        return record.stream, record.adapter.initial

    stream, initial = facts("one")
    assert facts("two") == (stream, initial)
    assert facts("rate", learning_rate=1e-3) == (stream, initial)
    other_stream, other_initial = facts("seed", seed=1)
    assert other_stream != stream
    assert other_initial != initial
    assert facts("batch", batch_rows=5)[0] != stream
    assert facts("shorter", max_steps=6)[0] != stream
    write_rows(tmp_path / "data" / "train.jsonl", [make_row(i, answer="no" if i == 3 else None) for i in range(20)])
    assert facts("rows") == (facts("rows-again")[0], initial)
    assert facts("rows")[0] != stream


def test_same_seed_same_bytes_other_seed_other_adapter(make_inputs: MakeInputs) -> None:
    one, two, other = (make_inputs(output=name, seed=seed) for name, seed in (("1", 5), ("2", 5), ("3", 6)))
    for inputs in (one, two, other):
        # What came before in this process must not matter.
        torch.manual_seed(hash(inputs.output))
        fit(inputs)
    for name in ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja"):
        assert (one.output / "adapter" / name).read_bytes() == (two.output / "adapter" / name).read_bytes()
    assert weights(one).keys() == weights(other).keys()
    assert any(not torch.equal(weights(one)[key], weights(other)[key]) for key in weights(one))


def test_splitting_a_step_into_parts_changes_nothing(make_inputs: MakeInputs) -> None:
    whole, split = (
        make_inputs(output="whole", max_steps=3),
        make_inputs(output="split", max_steps=3, micro_batch_tokens=60),
    )
    together, apart = fit(whole).record.losses, fit(split).record.losses
    assert apart.train == pytest.approx(together.train, rel=1e-5)
    for key, value in weights(whole).items():
        assert torch.allclose(value, weights(split)[key], atol=1e-5), key


def test_expanded_weights_give_the_same_bits(make_inputs: MakeInputs) -> None:
    packed = make_inputs(output="packed", method="qlora", expand_weights=False)
    plain = make_inputs(output="plain", method="qlora", expand_weights=True)
    assert packed.digest == plain.digest
    fit(packed)
    fit(plain)
    assert (packed.output / ADAPTER).read_bytes() == (plain.output / ADAPTER).read_bytes()


def test_a_loss_that_is_no_number_stops_and_names_the_row(
    make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = make_inputs()
    from trainer.loop import objectives

    plain, tokenizer = objectives.loss_sum, load_chat_format(inputs.base).tokenizer

    def poisoned(model: object, batch: Any) -> torch.Tensor:
        loss = plain(model, batch)
        # The row that asks "13?" has a loss that is no number, wherever it is computed.
        hit = any("13?" in tokenizer.decode(ids) for ids in batch.ids_BT.tolist())
        return loss * float("nan") if hit else loss

    monkeypatch.setattr(objectives, "loss_sum", poisoned)
    with pytest.raises(DataError) as caught:
        fit(inputs, checkpoint_every_s=0)
    assert "not a finite number at step" in str(caught.value)
    assert "rows row-13\n" in str(caught.value)
    assert not (inputs.output / "run.json").exists()


def test_up_to_date_does_nothing_and_a_changed_input_trains_again(make_inputs: MakeInputs, tmp_path: Path) -> None:
    inputs = make_inputs(max_steps=2)
    first = fit(inputs)
    again = fit(make_inputs(max_steps=2))
    assert (first.repeated, again.repeated) == (True, False)
    assert again.record == first.record
    assert fit(make_inputs(max_steps=3)).repeated
    # An adapter whose bytes changed is no longer what the record says.
    path = inputs.output / ADAPTER
    path.write_bytes(path.read_bytes() + b"x")
    assert fit(make_inputs(max_steps=3)).repeated
    write_rows(tmp_path / "data" / "train.jsonl", [make_row(i) for i in range(21)])
    assert fit(make_inputs(max_steps=3)).repeated


def test_up_to_date_is_known_without_torch(make_inputs: MakeInputs, tmp_path: Path) -> None:
    inputs = make_inputs(max_steps=1)
    fit(inputs)
    (tmp_path / "train.yaml").write_text(json.dumps(inputs.config.model_dump()))
    code = (
        "import sys; from trainer.cli import cli\n"
        "cli.main(['fit', 'train.yaml'], standalone_mode=False)\n"
        "print(*[name for name in ('torch', 'transformers', 'peft') if name in sys.modules])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=_environment(), check=True, capture_output=True, text=True
    )
    assert "up to date" in run.stderr
    assert run.stdout.strip() == ""


def test_a_dry_run_counts_and_writes_nothing(make_inputs: MakeInputs) -> None:
    inputs = make_inputs(epochs=3)
    plan = preview(inputs)
    assert plan["steps"] == 15
    assert (plan["train"].rows, plan["held_out"].rows, plan["up_to_date"]) == (20, 4, False)
    assert not inputs.output.exists()


def test_an_output_that_cannot_be_written_is_a_message(make_inputs: MakeInputs, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError) as caught:
        fit(make_inputs(output="taken/run"))
    assert str(tmp_path / "taken") in str(caught.value)


def test_a_full_disk_is_a_message_and_the_run_goes_on_later(
    make_inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    from curate.core.errors import ServiceError

    inputs = make_inputs()
    with monkeypatch.context() as full:

        def refuse(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full.setattr("curate.core.files.os.fsync", refuse)
        with pytest.raises(ServiceError, match="No space left") as caught:
            fit(inputs, checkpoint_every_s=0)
    assert "free some disk space" in str(caught.value)
    assert not list(inputs.output.glob(".*.tmp"))
    assert fit(inputs).repeated


def test_no_room_for_a_checkpoint_is_said_and_the_training_goes_on(
    make_inputs: MakeInputs, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    inputs = make_inputs()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept: list[bytes] = []

    def fill_the_disk(record: StepRecord) -> None:
        if record.step == 3:  # checkpoints are written after the watcher is called: the last good one is of step 2
            (checkpoint,) = inputs.output.glob("checkpoint-*")
            kept.append(checkpoint.read_bytes())
            # An adapter fits into a file of this size; an adapter with its optimizer's state doesn't.
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept[0]) // 2, limits[1]))
        if record.step == 5:
            (checkpoint,) = inputs.output.glob("checkpoint-*")
            kept.append(checkpoint.read_bytes())

    try:
        record = fit(inputs, watch=fill_the_disk, checkpoint_every_s=0).record
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(record.losses.train) == 5
    assert kept[0] == kept[1]
    said = capsys.readouterr().err
    assert "no checkpoint after step 3: File too large" in said
    assert "the training goes on" in said
    assert not list(inputs.output.glob(".*.tmp"))
    plain = fit(make_inputs(output="plain")).record
    assert plain.adapter.digest == record.adapter.digest


def test_two_trainings_do_not_share_an_output(make_inputs: MakeInputs) -> None:
    inputs = make_inputs()

    def second(record: StepRecord) -> None:
        with pytest.raises(ConfigError, match="another training is writing"):
            fit(inputs)
        raise StoppedError

    with pytest.raises(StoppedError):
        fit(inputs, watch=second)


def test_attention_targets_train_attention_alone(make_inputs: MakeInputs) -> None:
    inputs = make_inputs(max_steps=1, lora={"r": 2, "targets": "attention"})
    fit(inputs)
    assert {key.split(".")[-4] for key in weights(inputs)} == {"self_attn"}
    assert len(weights(inputs)) == 2 * 4 * 2


def test_a_record_or_adapter_changed_by_hand_is_noticed(make_inputs: MakeInputs) -> None:
    from curate.core.errors import ProvenanceError

    inputs = make_inputs(max_steps=1)
    fit(inputs)
    run = read_run(inputs.output)
    assert run.record.base.id == inputs.base.id
    (run.adapter / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(ProvenanceError, match="not those that the run wrote"):
        read_run(inputs.output)
    with pytest.raises(DataError, match="no finished run"):
        read_run(inputs.output / "adapter")


def test_a_base_that_is_not_there_is_named(tmp_path: Path) -> None:
    from trainer.config import TrainConfig

    config = TrainConfig(base="./no-such-model", dataset="data", output="run")
    with pytest.raises(ConfigError) as caught:
        find_inputs(config, tmp_path)
    assert "no-such-model" in str(caught.value)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_fixture_is_a_whole_model(tiny: BaseModel) -> None:
    assert tiny.folder
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in tiny.folder.iterdir()}
