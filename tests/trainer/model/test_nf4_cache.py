"""Quantised models in the cache folder: the same bits as quantised anew, whatever became of them there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from curate.core.chat.base_model import BaseModel
from trainer.model import nf4_cache as kept_nf4
from trainer.model.load import load_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACIDTEST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def loaded_bits(base: BaseModel) -> dict[str, bytes]:
    """Everything in the quantised model, and its config, byte for byte."""
    model = load_model(base, quantisation="nf4").model
    config = {key: value for key, value in model.config.to_dict().items() if key != "_name_or_path"}
    state = {name: value.contiguous().view(torch.uint8).numpy().tobytes() for name, value in model.state_dict().items()}
    return state | {"config": repr(config).encode(), "generation": repr(model.generation_config.to_dict()).encode()}


def kept_folder(cache: Path) -> Path:
    (found,) = (path for path in cache.glob("bases/*/nf4-*") if path.is_dir())
    return found


def count_quantised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names a place for each model that is quantised from now on."""
    places: list[str] = []
    load = kept_nf4.AutoModelForCausalLM.from_pretrained

    def watched(place: Any, **options: Any) -> Any:
        if "quantization_config" in options:
            places.append(str(place))
        return load(place, **options)

    monkeypatch.setattr(kept_nf4.AutoModelForCausalLM, "from_pretrained", watched)
    return places


def test_a_kept_model_has_the_bits_of_one_that_is_quantised_anew(
    tiny: BaseModel, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantised = count_quantised(monkeypatch)
    first = loaded_bits(tiny)
    assert quantised == [str(tiny.folder)]
    assert kept_nf4.is_kept(tiny, torch.float32)
    assert loaded_bits(tiny) == first
    assert len(quantised) == 1
    # A new first time gives the same: nothing depends on the folder.
    monkeypatch.setenv("ACIDTEST_CACHE", str(cache.with_name("another")))
    assert loaded_bits(tiny) == first
    assert len(quantised) == 2


def cut(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:1000])


def flip_a_bit(weights: Path) -> None:
    data = bytearray(weights.read_bytes())
    data[-7] ^= 4
    weights.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip_a_bit, Path.unlink])
def test_a_damaged_model_is_made_again(
    tiny: BaseModel, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    first = loaded_bits(tiny)
    weights = kept_folder(cache) / "model" / "model.safetensors"
    whole = weights.read_bytes()
    damage(weights)
    quantised = count_quantised(monkeypatch)
    assert loaded_bits(tiny) == first
    assert len(quantised) == 1
    assert weights.read_bytes() == whole
    assert loaded_bits(tiny) == first
    assert len(quantised) == 1


@pytest.mark.parametrize("other", ["threads", "dtype", "version"])
def test_other_settings_and_versions_are_kept_apart(
    tiny: BaseModel, cache: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    load_model(tiny, quantisation="nf4", dtype="float32")
    assert kept_nf4.is_kept(tiny, torch.float32)
    if other == "dtype":
        assert not kept_nf4.is_kept(tiny, torch.bfloat16)
        return
    if other == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    else:
        monkeypatch.setattr(kept_nf4, "versions", lambda *_: {"bitsandbytes": "0.0"})
    assert not kept_nf4.is_kept(tiny, torch.float32)


def test_without_room_in_the_cache_a_model_is_quantised_and_that_is_said(
    tiny: BaseModel, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir()
    (cache / "bases").write_text("a file where a folder should be")
    model = load_model(tiny, quantisation="nf4").model
    assert model.model.layers[0].mlp.up_proj.weight.dtype == torch.uint8
    assert "can't be kept" in capsys.readouterr().err
