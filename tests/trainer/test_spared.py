"""In processes of their own: what a process has imported stays."""

import json
import subprocess
import sys
from pathlib import Path

from curate.core.chat.base_model import BaseModel
from tests.trainer.conftest import make_row, write_rows


def imported_by(code: str, *arguments: str) -> set[str]:
    """The modules that a process has imported when it has run `code`."""
    whole = f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", whole, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_training_imports_no_compiler_no_distributed_tensors_and_no_scipy(tiny: BaseModel, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [make_row(number) for number in range(8)])
    config = {"base": str(tiny.folder), "dataset": "rows.jsonl", "output": "run", "threads": 1}
    (tmp_path / "train.yaml").write_text(json.dumps(config))  # JSON is YAML
    code = "from trainer.cli import main\ntry: main()\nexcept SystemExit as end: assert not end.code"
    found = imported_by(code, "fit", str(tmp_path / "train.yaml"))
    assert (tmp_path / "run" / "run.json").is_file()
    assert not found & {"torch._dynamo.eval_frame", "torch.distributed.tensor", "scipy.optimize"}


def test_what_compiles_gets_the_real_compiler() -> None:
    code = """
from trainer.spared import spare_unused
spare_unused()
import sys
import transformers.modeling_utils, torch
assert "torch._dynamo.eval_frame" not in sys.modules
@torch.compiler.disable
def plain(x): return x + 1
assert plain(torch.ones(1)) == 2
@torch.compile(backend="eager")
def twice(x): return x * 2
assert twice(torch.ones(1)) == 2
"""
    assert "torch._dynamo.eval_frame" in imported_by(code)


def test_a_part_of_the_compiler_is_that_of_the_real_one() -> None:
    code = """
from trainer.spared import spare_unused
spare_unused()
import transformers.modeling_utils, torch
import torch._dynamo.config as part
assert torch._dynamo.config is part
assert torch._dynamo.is_compiling() is False
"""
    assert "torch._dynamo.eval_frame" in imported_by(code)
