import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from curate.core.chat.base_model import BaseModel
from curate.core.errors import DataError, ProvenanceError
from curate.core.rows.row import Message
from tests.models import tiny_base
from tests.trainer.conftest import MakeInputs, make_row, write_rows
from trainer.fit import fit
from trainer.inputs import Inputs
from trainer.model.adapter import attach_adapter, using
from trainer.model.load import LoadedModel, load_model

IDS = torch.tensor([[5, 17, 60, 61, 99]])


@pytest.fixture
def trained(make_inputs: MakeInputs) -> Inputs:
    inputs = make_inputs(epochs=2)
    fit(inputs)
    return inputs


@torch.no_grad()
def logits(loaded: LoadedModel, name: str | None) -> torch.Tensor:
    with using(loaded, name) as model:
        result: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
        return result


def test_peft_itself_loads_the_adapter_and_computes_the_same(trained: Inputs, tiny: BaseModel) -> None:
    folder = trained.output / "adapter"
    ours = logits(attach_adapter(load_model(tiny), folder, "a"), "a")
    model = AutoModelForCausalLM.from_pretrained(str(tiny.folder), dtype=torch.float32)
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(model, str(folder)).eval()(input_ids=IDS).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, logits(load_model(tiny), None), atol=1e-2)


def test_the_folder_says_its_base_its_template_and_nothing_random(trained: Inputs, tiny: BaseModel) -> None:
    folder = trained.output / "adapter"
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
    }
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == tiny.id
    assert config["peft_type"] == "LORA"
    assert config["target_modules"] == sorted(config["target_modules"])
    names = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert set(config["target_modules"]) == set(names)
    assert (folder / "chat_template.jinja").read_text() == load_model(tiny).chat.template


def test_one_base_serves_several_adapters_and_itself(make_inputs: MakeInputs, tiny: BaseModel) -> None:
    folders = []
    for seed, rank in ((1, 4), (2, 8)):
        inputs = make_inputs(seed=seed, lora={"r": rank, "alpha": 8}, output=f"run-{seed}")
        fit(inputs)
        folders.append(inputs.output / "adapter")
    alone = [logits(attach_adapter(load_model(tiny), folder, "x"), "x") for folder in folders]
    bare = logits(load_model(tiny), None)

    shared = load_model(tiny)
    for name, folder in zip("ab", folders, strict=True):
        shared = attach_adapter(shared, folder, name)
    for _ in range(2):
        assert torch.equal(logits(shared, "a"), alone[0])
        assert torch.equal(logits(shared, None), bare)
        assert torch.equal(logits(shared, "b"), alone[1])
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


def test_an_adapter_of_another_base_is_refused(trained: Inputs, tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "other", seed=9)
    other = load_model(BaseModel(trained.base.id, folder=folder))
    with pytest.raises(ProvenanceError, match="trained on another base"):
        attach_adapter(other, trained.output / "adapter", "a")
    # Away from its run, an adapter has only its base's name to go by.
    moved = Path(shutil.copytree(trained.output / "adapter", tmp_path / "moved" / "adapter"))
    with pytest.raises(ProvenanceError, match="trained on another base"):
        attach_adapter(load_model(BaseModel("another", folder=folder)), moved, "a")


def test_a_missing_or_damaged_adapter_is_a_message(trained: Inputs, tiny: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no adapter here"):
        attach_adapter(load_model(tiny), tmp_path, "a")
    weights = trained.output / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:64])
    with pytest.raises(DataError, match="can't be loaded"):
        attach_adapter(load_model(tiny), trained.output / "adapter", "a")


def test_a_name_without_an_adapter_is_an_error(tiny: BaseModel) -> None:
    with pytest.raises(ValueError, match="no adapter is attached"), using(load_model(tiny), "a"):
        pass


def test_a_model_that_learns_sixteen_rows_says_them_and_stops(make_inputs: MakeInputs, tmp_path: Path) -> None:
    rows = [make_row(i, answer=f"{'yes' if i % 2 else 'no'} {i * 7 % 10}") for i in range(16)]
    write_rows(tmp_path / "data" / "train.jsonl", rows)
    lora = {"r": 16, "alpha": 32}
    inputs = make_inputs(epochs=60, lora=lora, learning_rate=1e-2, batch_rows=8, keep="last", held_out_every=120)
    record = fit(inputs).record
    assert record.losses.train[-1] < 0.1

    loaded = attach_adapter(load_model(inputs.base), inputs.output / "adapter", "a")
    tokenizer = loaded.chat.tokenizer
    with using(loaded, "a") as model, torch.no_grad():
        for row in rows:
            prompt = loaded.chat.prompt_ids([Message("user", row.messages[0].text)])
            out = model.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0, len(prompt) :].tolist()
            assert out[-1] in loaded.chat.stop_ids, row.id
            assert tokenizer.decode(out[:-1]) == row.answer
