import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from curate.core.chat.base_model import BaseModel, load_chat_format
from curate.core.errors import ConfigError, DataError, ProvenanceError, ServiceError
from curate.core.records import read_record
from tests.conftest import ROOT, Run
from tests.models import tiny_base
from tests.trainer.conftest import MakeInputs, make_row, write_rows
from tests.trainer.model.test_methods import METHODS
from trainer.fit import fit
from trainer.inputs import Inputs
from trainer.model.adapter import attach_adapter
from trainer.model.load import load_model
from trainer.run.merge import AS_TRAINED, Into, Merge, find_merge, merge, preview

IDS = torch.tensor([[5, 17, 60, 61, 99]])


@pytest.fixture
def trained(make_inputs: MakeInputs) -> Inputs:
    """A QLoRA run that has learned something."""
    inputs = make_inputs(method="qlora", epochs=4, keep="last")
    fit(inputs)
    return inputs


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    result: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
    return result


def read(folder: Path) -> torch.Tensor:
    """The logits of a plain model folder, read by transformers alone."""
    return logits(AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32))


def test_into_the_dequantised_weights_merging_is_exact_and_into_the_original_it_is_not(
    trained: Inputs, tiny: BaseModel, tmp_path: Path
) -> None:
    loaded = load_model(tiny, quantisation="nf4")
    adapted = logits(attach_adapter(loaded, trained.output / "adapter", "a").model)
    records = {}
    for into in ("dequantised", "original"):
        records[into] = merge(find_merge(trained.output, tmp_path / into, into))
    assert torch.allclose(read(tmp_path / "dequantised"), adapted, atol=1e-3)
    assert not torch.allclose(read(tmp_path / "original"), adapted, atol=1e-1)

    losses = records["dequantised"]["held_out"]["losses"]
    trained_loss = read_record(trained.output / "run.json")["losses"]["held_out"][-1]["loss"]
    assert losses[AS_TRAINED] == pytest.approx(trained_loss, rel=1e-6)
    assert losses["dequantised"] == pytest.approx(trained_loss, rel=1e-5)
    assert abs(losses["original"] - trained_loss) > 1e-3
    # Both ways are measured whichever is written, so the figures can be compared before choosing.
    assert records["original"]["held_out"]["losses"] == losses


def test_what_is_written_is_a_plain_folder_with_tokenizer_template_and_a_sealed_record(
    trained: Inputs, tmp_path: Path
) -> None:
    out = tmp_path / "merged"
    record = merge(find_merge(trained.output, out, None))
    assert record == read_record(out / "merge.json")
    run = read_record(trained.output / "run.json")
    assert (record["run"], record["adapter"], record["base"]) == (run["digest"], run["adapter"]["digest"], run["base"])
    assert (record["into"], record["dtype"]) == ("dequantised", "float32")
    assert set(record["output"]["files"]) == {path.name for path in out.iterdir()} - {"merge.json"}
    config = json.loads((out / "config.json").read_text())
    assert "quantization_config" not in config
    assert str(tmp_path) not in json.dumps(config)
    tokenizer = AutoTokenizer.from_pretrained(str(out))
    assert tokenizer.chat_template == (trained.output / "adapter" / "chat_template.jinja").read_text()
    # A merged model is a base like any other.
    assert load_chat_format(BaseModel("merged", folder=out)).digest == run["template"]["digest"]


def test_merging_again_does_nothing_and_elsewhere_gives_the_same_bytes(trained: Inputs, tmp_path: Path) -> None:
    first = merge(find_merge(trained.output, tmp_path / "a", None))
    weights = tmp_path / "a" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert merge(find_merge(trained.output, tmp_path / "a", None)) == first
    assert weights.stat().st_mtime_ns == written
    assert merge(find_merge(trained.output, tmp_path / "b", None))["digest"] == first["digest"]
    # A merged folder with a damaged file is written again, and so is one that another way of merging made.
    weights.write_bytes(weights.read_bytes()[:-8])
    assert merge(find_merge(trained.output, tmp_path / "a", None))["digest"] == first["digest"]
    other = merge(find_merge(trained.output, tmp_path / "a", "original"))
    assert other["output"]["digest"] != first["output"]["digest"]


def test_a_lora_run_has_one_way_to_merge_and_it_is_exact(make_inputs: MakeInputs, tmp_path: Path) -> None:
    inputs = make_inputs(epochs=4)
    fit(inputs)
    with pytest.raises(ConfigError, match="nothing to dequantise"):
        find_merge(inputs.output, tmp_path / "out", "dequantised")
    losses = merge(find_merge(inputs.output, tmp_path / "out", None))["held_out"]["losses"]
    assert list(losses) == [AS_TRAINED, "original"]
    assert losses["original"] == pytest.approx(losses[AS_TRAINED], rel=1e-5)


@pytest.mark.parametrize("name", ["rslora", "lora-plus", "dora", "dora-nf4", "ia3"])
def test_adapters_of_every_kind_that_changes_weights_merge_exactly(
    make_inputs: MakeInputs, tmp_path: Path, name: str
) -> None:
    inputs = make_inputs(epochs=4, keep="last", **METHODS[name])
    fit(inputs)
    into = "dequantised" if METHODS[name].get("method") == "qlora" else "original"
    losses = merge(find_merge(inputs.output, tmp_path / "out", into))["held_out"]["losses"]
    assert losses[into] == pytest.approx(losses[AS_TRAINED], rel=1e-5)
    before = read_record(inputs.output / "run.json")["losses"]["held_out"][0]["loss"]
    assert abs(losses[into] - before) > 1e-3 * before  # the adapter does something, and it is in the weights
    adapted = attach_adapter(
        load_model(inputs.base, quantisation=inputs.config.quantisation), inputs.output / "adapter", "a"
    )
    assert torch.allclose(read(tmp_path / "out"), logits(adapted.model), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "message"), [("prefix", "can't be merged"), ("prompt", "can't be merged"), ("full", "no adapter")]
)
def test_what_changes_no_weights_or_all_of_them_is_not_merged(
    make_inputs: MakeInputs, tmp_path: Path, name: str, message: str
) -> None:
    inputs = make_inputs(max_steps=1, **METHODS[name])
    fit(inputs)
    with pytest.raises((ConfigError, DataError), match=message):
        merge(find_merge(inputs.output, tmp_path / "out", None))
    assert not (tmp_path / "out").exists()


def test_without_held_out_rows_it_says_that_nothing_was_measured(
    make_inputs: MakeInputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "val.jsonl").unlink()
    inputs = make_inputs(max_steps=1, method="qlora")
    fit(inputs)
    record = merge(find_merge(inputs.output, tmp_path / "out", "original"))
    assert record["held_out"] is None
    assert "can't be measured" in capsys.readouterr().err
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_other_bases_rows_and_places_are_refused(trained: Inputs, tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", seed=9)
    with pytest.raises(ProvenanceError, match="another base"):
        find_merge(trained.output, tmp_path / "out", None, base=str(other))
    with pytest.raises(ProvenanceError, match="not the held-out rows"):
        find_merge(trained.output, tmp_path / "out", None, held_out=tmp_path / "data" / "train.jsonl")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no merged model"):
        find_merge(trained.output, tmp_path / "taken", None)
    write_rows(tmp_path / "data" / "val.jsonl", [make_row(7)])
    with pytest.raises(ProvenanceError, match="not the held-out rows"):
        find_merge(trained.output, tmp_path / "out", None)
    (tmp_path / "data" / "val.jsonl").unlink()
    with pytest.raises(DataError, match="are not here"):
        find_merge(trained.output, tmp_path / "out", None)


def test_a_base_whose_template_changed_is_another_base(make_inputs: MakeInputs, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    inputs = make_inputs(base=str(base), max_steps=1)
    fit(inputs)
    template = base / "chat_template.jinja"
    template.write_text(template.read_text() + "{# other #}")
    with pytest.raises(ProvenanceError, match="another base"):
        find_merge(inputs.output, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_too_little_disk_space_is_said_with_both_sizes_before_anything_is_loaded(
    trained: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    size = (trained.base.folder or Path()).joinpath("model.safetensors").stat().st_size
    usage = shutil.disk_usage(tmp_path)
    job = find_merge(trained.output, tmp_path / "deep" / "out", None)
    assert preview(job)["size_bytes"] == pytest.approx(size, rel=0.05)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size // 2))
    assert not preview(job)["enough_space"]
    with pytest.raises(ServiceError, match=r"takes 0\.00 GB and there are 0\.00 GB"):
        merge(job)
    assert not (tmp_path / "deep").exists()


def test_a_write_that_fails_midway_leaves_the_earlier_folder(trained: Inputs, tmp_path: Path) -> None:
    import resource

    first = merge(find_merge(trained.output, tmp_path / "out", "original"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # files may not grow past this
    try:
        with pytest.raises((ServiceError, DataError)):
            merge(find_merge(trained.output, tmp_path / "out", "dequantised"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_record(tmp_path / "out" / "merge.json") == first
    assert {path.name for path in tmp_path.iterdir()} == {"data", "run", "out"}


@pytest.mark.slow
@pytest.mark.parametrize("into", ["original", "dequantised"])
def test_the_command_says_what_it_would_do_then_does_it(
    run_cli: Run, make_inputs: MakeInputs, tmp_path: Path, into: Into
) -> None:
    inputs = make_inputs(method="qlora", max_steps=2)
    fit(inputs)
    command = ("trainer", "merge", inputs.output, "out", "--into", into)
    plan = run_cli(*command, "--dry-run", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert f"into the {into} weights" in plan.stdout
    assert not (tmp_path / "out").exists()
    done = run_cli(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (written,) = [line for line in done.stdout.splitlines() if line.endswith("<- written")]
    assert f"merged into the {into} weights" in written
    again = run_cli(*command, "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == read_record(tmp_path / "out" / "merge.json")
    assert "loading" not in again.stderr


def test_a_project_that_moved_as_a_whole_still_merges(trained: Inputs, tmp_path: Path) -> None:
    import shutil

    moved = Path(
        shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-moved", ignore=shutil.ignore_patterns("out"))
    )
    shutil.rmtree(tmp_path / "data")
    job = find_merge(moved / "run", moved / "out", None)
    assert isinstance(job, Merge)
    assert job.held_out == moved / "data" / "val.jsonl"
    assert ROOT not in job.output.parents
