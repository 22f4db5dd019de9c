import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from curate.core.chat.base_model import BaseModel
from curate.core.config_file import parse_config
from curate.core.errors import ConfigError
from tests.conftest import Run
from tests.trainer.conftest import MakeInputs
from tests.trainer.loop.test_cross_entropy import CPU
from trainer.config import TrainConfig
from trainer.data.batches import epoch_batches
from trainer.data.dataset import TokenizedRow
from trainer.loop.micro_batches import split_step
from trainer.packing.pack import pack
from trainer.plan.advice import changes, warnings
from trainer.plan.hardware import KNOWN, HardwareTable
from trainer.plan.memory import Load, largest_micro_batch, peak
from trainer.plan.plan import make_plan
from trainer.plan.render import plan_lines
from trainer.plan.steps_and_tokens import work
from trainer.plan.tensor_count import Shape

SHAPE = Shape(
    blocks=4,
    hidden=64,
    vocabulary=1000,
    linear=4_000_000,
    frozen=500_000,
    trainable=100_000,
    largest=200_000,
    saved=40_000,
    block=10_000,
    inputs=1000,
    forward=8e6,
    training=16e6,
    targets=("q_proj", "v_proj"),
)
LOAD = Load(tokens=1000, positions=200, number_bytes=2, logit_bytes=14)


def make_config(**changed: object) -> TrainConfig:
    return TrainConfig.model_validate({"base": "b", "dataset": "data", "output": "run", "threads": 1} | changed)


def samples(count: int, prefix: int) -> list[TokenizedRow]:
    """Rows of different lengths that begin alike; their last three tokens are in the loss."""
    rows = []
    for i in range(count):
        own = 5 + i % 7
        rows.append(
            TokenizedRow(f"row-{i}", [*range(prefix), *range(100 + i, 100 + i + own)], [False] * prefix + [False] * own)
        )
        rows[-1].supervised[-3:] = [True] * 3
    return rows


@pytest.mark.parametrize(("threads", "prefix", "lent"), [(1, 12, 0), (2, 6, 0), (2, 12, 12), (3, 12, 12)])
def test_the_work_is_what_the_trainer_packs(threads: int, prefix: int, lent: int) -> None:
    config = make_config(batch_rows=4, epochs=3, micro_batch_tokens=60, held_out_every=4)
    rows = samples(18, prefix)
    todo = work(rows, rows[:2], config, threads)
    lengths = [len(row.ids) for row in rows]
    batches = epoch_batches(lengths, 4, config.seed, 0)
    rounds = [r for step in batches for r in split_step([rows[i] for i in step], 60, threads, shares_prefix=True)]
    assert {together.shared_tokens for together in rounds} == {lent}
    sizes = [
        sum(pack(part, CPU, loan).ids_BT.numel() for part, loan in zip(r.parts, r.sides(), strict=True)) for r in rounds
    ]
    assert todo.steps == 15
    assert todo.parts == 3 * sum(len(together.parts) for together in rounds)
    assert todo.tokens == 3 * sum(sizes)
    assert todo.at_once == max(sizes)
    assert todo.supervised == 3 * 18 * 3
    # Before the first step, after 4, 8, 12, and at the end.
    assert todo.held_out == 5 * sum(lengths[:2])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("quantised", [False, True])
def test_the_largest_micro_batch_just_fits(quantised: bool, checkpointing: bool) -> None:
    load = replace(LOAD, quantised=quantised, checkpointing=checkpointing)
    for room in (3e7, 1e8, 1e9):
        tokens = largest_micro_batch(SHAPE, load, room)
        assert peak(SHAPE, replace(load, tokens=tokens)).total <= room * 1.001
        assert peak(SHAPE, replace(load, tokens=tokens + 2)).total > room * 0.999
    assert largest_micro_batch(SHAPE, load, 1e5) == 0


def test_each_change_saves_memory_and_none_is_repeated() -> None:
    config = make_config(method="lora", lora={"r": 64})
    found = list(changes(config, SHAPE, LOAD, longest=300))
    peaks = [peak(SHAPE, LOAD).total, *(change.peak_bytes for change in found)]
    assert peaks == sorted(peaks, reverse=True)
    names = [change.what.partition(":")[0] for change in found]
    assert names == ["micro_batch_tokens", "checkpointing", "method", "lora.r", "max_length"]


@pytest.mark.parametrize(
    ("changed", "rows", "rules"),
    [
        ({}, 500, []),
        ({}, 150, ["few-rows"]),
        ({"epochs": 4}, 500, ["many-epochs"]),
        ({"learning_rate": 5e-3}, 500, ["learning-rate"]),
        ({"learning_rate": 1e-6}, 500, ["learning-rate"]),
        ({"lora": {"targets": "attention"}}, 500, ["attention-only"]),
        ({"lora": {"r": 64}}, 500, ["vllm-rank"]),
        ({"lora": {"r": 1024}}, 500, ["vllm-rank"]),
        ({"lora": {"dora": True}}, 500, ["vllm-dora"]),
        ({"method": "ia3", "learning_rate": 1e-2}, 500, ["vllm-method"]),
        ({"method": "full", "learning_rate": 1e-5}, 500, []),
        ({"method": "full", "learning_rate": 5e-4}, 500, ["learning-rate"]),
    ],
)
def test_what_is_unwise_is_said(changed: dict[str, object], rows: int, rules: list[str]) -> None:
    assert [warned.rule for warned in warnings(make_config(**changed), rows, SHAPE)] == rules


def test_targets_that_vllm_does_not_serve_are_named() -> None:
    (warned,) = warnings(make_config(), 500, replace(SHAPE, targets=("q_proj", "router", "x_proj")))
    assert warned.rule == "vllm-targets"
    assert "router, x_proj" in warned.detail


def test_prices_come_from_a_dated_table_only(tmp_path: Path, make_inputs: MakeInputs) -> None:
    assert all(one.price_per_hour is None for one in KNOWN.hardware)
    priced = "hardware: [{name: a, memory_gb: 24, tflops: 100, price_per_hour: 2}]"
    with pytest.raises(ConfigError, match="priced_on"):
        parse_config(priced, HardwareTable, tmp_path / "prices.yaml")
    table = parse_config(f"priced_on: 2026-11-20\ncurrency: EUR\n{priced}", HardwareTable, tmp_path / "prices.yaml")
    plan = make_plan(make_inputs(), table)
    (option,) = plan.options
    assert option.price == pytest.approx(option.seconds / 3600 * 2)
    assert any("EUR of 2026-11-20" in line for line in plan_lines(plan))


def test_a_plan_needs_no_weights(make_inputs: MakeInputs, tmp_path: Path, tiny: BaseModel) -> None:
    bare = Path(shutil.copytree(str(tiny.folder), tmp_path / "bare"))
    (bare / "model.safetensors").unlink()
    plan = make_plan(make_inputs(base=str(bare), epochs=2), KNOWN, [str(tiny.folder)])
    assert (plan.rows, plan.work.steps, plan.counted) == (20, 10, True)
    assert [option.fits for option in plan.options] == [True] * len(KNOWN.hardware)
    assert [size.name for size in plan.sizes[:1] + plan.sizes[-1:]] == [str(bare), str(tiny.folder)]
    assert "few-rows" in [warned.rule for warned in plan.warnings]


def test_what_does_not_fit_says_what_to_change(make_inputs: MakeInputs) -> None:
    needed = make_plan(make_inputs(checkpointing=False), KNOWN).options[0].peak_bytes
    small = {"name": "small", "memory_gb": needed / 2**30, "tflops": 1}
    tiny = {"name": "tiny", "memory_gb": needed / 2**30 / 10, "tflops": 1, "cards": 2}
    plan = make_plan(make_inputs(checkpointing=False), HardwareTable.model_validate({"hardware": [small, tiny]}))
    text = "\n".join(plan_lines(plan))
    first, second = plan.options
    assert not first.fits
    assert not second.fits
    assert any(change.peak_bytes <= first.room_bytes for change in first.changes), first
    assert "with micro_batch_tokens" in text or "with checkpointing: true" in text
    assert second.micro_batch == 0
    assert second.sharded_bytes is not None
    assert second.sharded_bytes < second.peak_bytes


@pytest.mark.slow
def test_the_command_prints_a_table_and_json(run_cli: Run, make_inputs: MakeInputs, tmp_path: Path) -> None:
    settings = make_inputs(max_steps=3).config.model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))
    run = run_cli("trainer", "plan", tmp_path / "train.yaml")
    assert run.returncode == 0, run.stderr
    for part in ("steps      3,", "this machine, 1 threads", "8 x H100", "70B (Llama 3.1)", "unwise: few-rows"):
        assert part in run.stdout
    as_json = json.loads(run_cli("trainer", "plan", tmp_path / "train.yaml", "--json").stdout)
    assert as_json["work"]["steps"] == 3
    assert as_json["here"]["memory"]["weights"] > 0
    assert not (tmp_path / "run").exists()


def test_checkpointing_that_the_trainer_would_turn_on_is_in_the_plan(make_inputs: MakeInputs) -> None:
    kept = make_plan(make_inputs(checkpointing=False), KNOWN).options[0]
    again = make_plan(make_inputs(checkpointing=True), KNOWN).options[0]
    assert again.peak_bytes == kept.checkpointed_bytes < kept.peak_bytes
    assert again.seconds > kept.seconds
    short_of_memory = HardwareTable.model_validate(
        {"hardware": [{"name": "small", "memory_gb": kept.peak_bytes / 2**30, "tflops": 1}]}
    )
    (chosen,) = make_plan(make_inputs(), short_of_memory).options
    assert chosen.checkpointing
    assert chosen.fits


@pytest.mark.parametrize("method", ["ia3", "prefix", "prompt", "full"])
def test_every_method_can_be_planned(method: str, make_inputs: MakeInputs) -> None:
    plan = make_plan(make_inputs(method=method), KNOWN)
    assert plan.counted
    assert plan.trainable > 0
    assert plan.here.memory.activations > 0
