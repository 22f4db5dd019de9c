"""llama.cpp's own server and transformers', each in its own process: what other tests' loopback servers imitate."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.import_utils import is_serve_available

from curate.core.chat.base_model import find_base, load_chat_format
from evalkit.doctor import examine
from evalkit.results.folder import read_results
from evalkit.run import RunOptions, evaluate
from tests.evalkit.backends.test_endpoints import ITEMS, suite_at
from trainer.model.load import weights_place

SERVE = """
import sys
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.warmup = 4096, 2, 1, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


# What the doctor finds at either server.
BOTH = dict.fromkeys(("answers", "usage", "system message", "max_tokens", "stop", "repeatable"), "yes")


def _status(found: dict[str, Any]) -> dict[str, str]:
    return {finding["name"]: finding["status"] for finding in found["findings"]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    pytest.importorskip("xllamacpp", reason="the package xllamacpp (llama.cpp's server) is not installed")
    model = find_base("embedded:smollm2-135m", Path()).gguf
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        yield process.stdout.readline().strip() + "/v1"
        process.kill()


@pytest.mark.slow
def test_a_suite_and_the_doctor_at_llama_cpp(tmp_path: Path, url: str) -> None:
    running = {"concurrency": 2, "timeout_s": 300, "latency_items": 0}
    suite = suite_at(tmp_path, url, running=running, generation={"max_tokens": 8})
    [served] = evaluate(suite, RunOptions()).result.contenders
    generations = read_results(tmp_path / "results").generations

    assert (served.n, served.errors) == (ITEMS, 0)
    assert all(g.text and g.finish_reason in ("stop", "length") and g.latency_ms > 0 for g in generations)
    assert all(0 < g.completion_tokens <= 8 < g.prompt_tokens and not g.estimated for g in generations)

    found = examine(url, model="smollm2", key_env=None, context=None, timeout_s=300)
    assert found["fit"]
    assert _status(found) == {**BOTH, "models": "unknown", "seed": "yes", "JSON schema": "yes", "context": "yes"}


@pytest.fixture(scope="module")
def transformers_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of `transformers serve`, and what it calls its model."""
    if not is_serve_available():
        pytest.skip("transformers serve needs the packages fastapi and uvicorn")
    folder = str(_model_folder(tmp_path_factory.mktemp("served")))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    options = [folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with subprocess.Popen(
        [sys.executable, "-c", serve, "serve", *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_CACHE": f"{folder}/none"},  # more would wait for each other
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            process.kill()


def _model_folder(folder: Path) -> Path:
    """The weights and the tokenizer of the embedded model in one folder."""
    base = find_base("embedded:smollm2-135m", Path())
    for file in Path(weights_place(base)).iterdir():
        (folder / file.name).symlink_to(file)
    load_chat_format(base).tokenizer.save_pretrained(str(folder))
    return folder


def _wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"nothing answers at {url}; the server's exit code is {process.poll()}")


@pytest.mark.slow
def test_a_suite_and_the_doctor_at_transformers_serve(tmp_path: Path, transformers_url: tuple[str, str]) -> None:
    url, model = transformers_url
    running = {"concurrency": 2, "timeout_s": 300, "latency_items": 0}
    suite = suite_at(tmp_path, url, running=running, generation={"max_tokens": 8}, endpoint={"model": model})
    [served] = evaluate(suite, RunOptions()).result.contenders
    generations = read_results(tmp_path / "results").generations

    assert (served.n, served.errors) == (ITEMS, 0)
    assert all(g.finish_reason in ("stop", "length") and g.latency_ms > 0 for g in generations)
    assert all(0 < g.completion_tokens <= 8 < g.prompt_tokens and not g.estimated for g in generations)
    found = examine(url, model=model, key_env=None, context=None, timeout_s=300)
    assert found["fit"]
    # Without a folder of models from the hub it lists none (status 500); it samples only if the model's files say so.
    assert _status(found) == {**BOTH, "models": "unknown", "seed": "unknown", "JSON schema": "no", "context": "unknown"}
    assert "which stays in the answer" in str(found["findings"])
