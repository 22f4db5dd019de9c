import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curate.core.chat.base_model import BaseModel
from curate.core.errors import ConfigError, ServiceError
from tests.trainer.loop.test_cross_entropy import CPU, gradients, make_samples, with_moved_adapter
from trainer.data.batches import pad
from trainer.loop.cross_entropy import loss_sum
from trainer.model.load import _KEPT_PRODUCTS, load_model


@pytest.mark.parametrize("evaluated_before", [False, True])
def test_nf4_computes_what_its_expanded_weights_compute_forward_and_backward(
    tiny: BaseModel, evaluated_before: bool
) -> None:
    packed = with_moved_adapter(load_model(tiny, quantisation="nf4"))
    plain = with_moved_adapter(load_model(tiny, quantisation="nf4", dequantise=True))
    batch = pad(make_samples(), CPU)
    results = []
    for loaded in (packed, plain):
        if evaluated_before:
            # bitsandbytes repacks its weights here on some processors, and passes no gradient from then on.
            loaded.model.eval()
            with torch.no_grad():
                loss_sum(loaded.model, batch)
        loaded.model.train()
        loss = loss_sum(loaded.model, batch)
        loss.backward()
        results.append((float(loss.detach()), gradients(loaded.model)))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


def test_nf4_is_another_function_than_the_weights_it_came_from(tiny: BaseModel) -> None:
    batch = pad(make_samples(), CPU)
    with torch.no_grad():
        exact, quantised = (float(loss_sum(load_model(tiny, quantisation=q).model, batch)) for q in (None, "nf4"))
    assert exact != quantised
    assert quantised == pytest.approx(exact, rel=0.2)


def test_embeddings_and_output_head_are_not_quantised(tiny: BaseModel) -> None:
    model = load_model(tiny, quantisation="nf4").model
    assert model.get_output_embeddings().weight.dtype == torch.float32
    assert model.get_input_embeddings().weight.dtype == torch.float32
    assert model.model.layers[0].mlp.up_proj.weight.dtype == torch.uint8


def test_a_damaged_model_is_a_message(tiny: BaseModel, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(str(tiny.folder), tmp_path / "model"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="can't be loaded") as caught:
        load_model(BaseModel("model", folder=folder))
    assert str(folder) in str(caught.value)


def test_a_model_folder_without_weights_is_a_message(tiny: BaseModel, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(str(tiny.folder), tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="can't be loaded"):
        load_model(BaseModel("model", folder=folder))


def test_an_unknown_kind_of_model_is_a_message(tiny: BaseModel, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(str(tiny.folder), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "abacus"}))
    with pytest.raises(ConfigError):
        load_model(BaseModel("model", folder=folder))


def test_without_a_network_a_hub_model_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ServiceError, match="hub can't be reached") as caught:
        load_model(BaseModel("nobody/has-this-model", hub_id="nobody/has-this-model"))
    assert "nobody/has-this-model" in str(caught.value)
    assert "embedded:smollm2-135m" in str(caught.value)


_MANY_LENGTHS = """
import ctypes, sys
import torch
from trainer.layers.onednn_weights import PackedWeights, _available

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordered small mapped mapped_bytes a b used free top".split()]

def used():
    info = library.mallinfo2()
    return info.used + info.mapped_bytes

library = ctypes.CDLL(None)
library.mallinfo2.restype = Info
layer = torch.nn.Linear(64, 64).requires_grad_(False)
if not _available():
    sys.exit("no oneDNN")
with torch.inference_mode(), PackedWeights().used_by(torch.nn.Sequential(layer)):
    layer(torch.ones(200, 64))
    before = used()
    for rows in range(1, 200):
        layer(torch.ones(rows, 64))
    print(used() - before)
"""


def test_products_for_lengths_that_went_by_are_not_all_kept() -> None:
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("this C library doesn't count what it gave")

    def grown(**chosen: str) -> int:
        plain = {name: value for name, value in os.environ.items() if name not in _KEPT_PRODUCTS}
        command = [sys.executable, "-c", _MANY_LENGTHS]
        done = subprocess.run(command, env=plain | chosen, capture_output=True, text=True, check=False)
        if "no oneDNN" in done.stderr:
            pytest.skip("this torch has no oneDNN products")
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    as_libraries_would = dict.fromkeys(_KEPT_PRODUCTS, "1024")  # what a user chose stays
    assert grown() < grown(**as_libraries_would) / 2
