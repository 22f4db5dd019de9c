"""Base models: what decides about tokens is kept between starts, and made again whenever it could have changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate.core.chat.base_model import BaseModel, find_base, load_chat_format
from curate.core.chat.chat_format import Encoded
from curate.core.errors import ConfigError
from curate.core.rows.row import Message
from tests.chat_formats import chat_format

CONVERSATION = [Message("user", "q"), Message("assistant", "Été 😀")]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """A folder with a tokenizer, and a cache of its own."""
    monkeypatch.setenv("ACIDTEST_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "base"
    chat_format("chatml").tokenizer.save_pretrained(str(folder))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return find_base("base", tmp_path)


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "chat").glob("*"))


def test_a_kept_tokenizer_is_the_loaded_one(base: BaseModel, tmp_path: Path) -> None:
    first = load_chat_format(base)
    assert len(kept(tmp_path)) == 1
    second = load_chat_format(base)
    assert len(kept(tmp_path)) == 1
    assert isinstance(first.encode(CONVERSATION), Encoded)
    assert second.encode(CONVERSATION) == first.encode(CONVERSATION) == chat_format("chatml").encode(CONVERSATION)
    assert (second.digest, second.stop_ids) == (first.digest, first.stop_ids)
    assert second.tokenizer.decode(second.prompt_ids(CONVERSATION[:1])) == second.render(
        CONVERSATION[:1], answer_follows=True
    )


def test_a_second_start_needs_no_transformers(base: BaseModel) -> None:
    load_chat_format(base)
    code = (
        "import sys; from pathlib import Path; from curate.core.chat.base_model import find_base, load_chat_format;"
        "from curate.core.rows.row import Message;"
        "load_chat_format(find_base(sys.argv[1], Path())).encode([Message('user', 'q'), Message('assistant', 'a')]);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(base.folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", ["chat_template.jinja", "generation_config.json", "config.json"])
def test_another_state_of_its_files_is_another_tokenizer(base: BaseModel, tmp_path: Path, file: str) -> None:
    assert base.folder is not None
    load_chat_format(base)
    path = base.folder / file
    changes = {"chat_template.jinja": "x{{ messages[0].content }}", "generation_config.json": '{"eos_token_id": [7]}'}
    path.write_text(changes.get(file, '{"model_type": "llama", "note": 1}'))
    changed = load_chat_format(base)
    assert len(kept(tmp_path)) == 2
    assert (7 in changed.stop_ids) == (file == "generation_config.json")
    assert (changed.template == changes["chat_template.jinja"]) == (file == "chat_template.jinja")


def test_weights_are_not_read_for_the_tokenizer(base: BaseModel, tmp_path: Path) -> None:
    assert base.folder is not None
    load_chat_format(base)
    (base.folder / "model.safetensors").write_bytes(b"weights")
    load_chat_format(base)
    assert len(kept(tmp_path)) == 1


def test_a_damaged_or_missing_cache_costs_only_time(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_chat_format(base).encode(CONVERSATION)
    (path,) = kept(tmp_path)
    path.write_text('{"tokenizer": ')
    assert load_chat_format(base).encode(CONVERSATION) == expected
    assert path.stat().st_size > 1000
    (tmp_path / "a-file").write_text("")
    monkeypatch.setenv("ACIDTEST_CACHE", str(tmp_path / "a-file"))
    assert load_chat_format(base).encode(CONVERSATION) == expected


def test_a_template_that_is_none_is_a_fault_of_the_base(base: BaseModel) -> None:
    assert base.folder is not None
    (base.folder / "chat_template.jinja").write_text("{% for %}")
    with pytest.raises(ConfigError, match="the tokenizer can't be loaded"):
        load_chat_format(base)


@pytest.mark.parametrize("kind", ["gguf", "folder"])
def test_the_digest_follows_the_state_of_the_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model" / "weights"
    path.parent.mkdir()
    path.write_bytes(b"one")
    model = BaseModel("m", **{kind: path if kind == "gguf" else path.parent})
    first = model.digest()
    assert model.digest() == first
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert model.digest() != first
