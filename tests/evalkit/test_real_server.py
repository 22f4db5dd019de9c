"""llama.cpp's own server and transformers', each in its own process: what other tests' loopback servers imitate."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

from curate.core.base_model import find_base
from evalkit.doctor import examine
from evalkit.outputs import read_results
from evalkit.pipeline import Choice, evaluate
from tests.evalkit.test_endpoints import ITEMS, suite_at
from tests.models import tiny_base

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
    [served] = evaluate(suite, Choice()).result["contenders"]
    generations = read_results(tmp_path / "results").generations

    assert (served["n"], served["errors"]) == (ITEMS, 0)
    assert all(g.text and g.finish_reason in ("stop", "length") and g.latency_ms > 0 for g in generations)
    assert all(0 < g.completion_tokens <= 8 < g.prompt_tokens and not g.estimated for g in generations)

    found = examine(url, model="smollm2", key_env=None, context=None, timeout_s=300)
    by_name = {finding["name"]: finding["status"] for finding in found["findings"]}
    assert found["fit"]
    assert {by_name[name] for name in ("answers", "usage", "system message", "max_tokens", "stop", "repeatable")} == {
        "yes"
    }
    assert by_name["JSON schema"] == "yes"


@pytest.fixture(scope="module")
def transformers_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of `transformers serve`, and what it calls its model, a tiny random one."""
    if not is_serve_available():
        pytest.skip("transformers serve needs the packages fastapi and uvicorn")
    folder = str(tiny_base(tmp_path_factory.mktemp("served") / "tiny"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    options = [folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with subprocess.Popen(
        [sys.executable, "-c", serve, "serve", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1", folder
        finally:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"nothing answers at {url}; the server's exit code is {process.poll()}")


@pytest.mark.slow
def test_a_suite_at_transformers_serve(tmp_path: Path, transformers_url: tuple[str, str]) -> None:
    url, model = transformers_url
    running = {"concurrency": 2, "timeout_s": 300, "latency_items": 0}
    suite = suite_at(tmp_path, url, running=running, generation={"max_tokens": 8}, endpoint={"model": model})
    [served] = evaluate(suite, Choice()).result["contenders"]
    generations = read_results(tmp_path / "results").generations

    assert (served["n"], served["errors"]) == (ITEMS, 0)
    assert all(g.finish_reason in ("stop", "length") and g.latency_ms > 0 for g in generations)
    assert all(0 < g.completion_tokens <= 8 < g.prompt_tokens and not g.estimated for g in generations)
