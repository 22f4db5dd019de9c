"""llama.cpp's own server, in a process of its own: what the loopback servers of other tests only imitate."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.core.base_model import find_base
from evalkit.doctor import examine
from evalkit.outputs import read_results
from evalkit.pipeline import Choice, evaluate
from tests.evalkit.test_endpoints import ITEMS, suite_at

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
    running = {"concurrency": 2, "timeout_s": 300}
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
