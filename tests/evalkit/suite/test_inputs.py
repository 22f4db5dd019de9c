"""An evaluation refuses what is not what its records say, and shows items that were trained on."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.core.errors import AcidtestError, ConfigError, DataError, ProvenanceError
from curate.core.records import read_record, write_record
from evalkit.ask.requests import ask_all
from evalkit.run import RunOptions, evaluate
from evalkit.suite.chain import RowsOrigin, RunOrigin
from evalkit.suite.inputs import read_inputs
from tests.evalkit.tiny_world import row, write_dataset, write_rows, write_suite
from tests.models import tiny_base


def refusal(suite: Path, kind: type[AcidtestError], **choice: Any) -> str:
    with pytest.raises(kind) as caught:
        ask_all(read_inputs(suite, **choice))
    assert caught.value.where
    return str(caught.value)


def change_run(world: Path, **changes: Any) -> None:
    write_record(world / "run" / "run.json", {**read_record(world / "run" / "run.json"), **changes})


def test_the_world_as_it_is_is_accepted(world: Path) -> None:
    chain = read_inputs(world / "suite.yaml").chain()

    manifest = read_record(world / "dataset" / "manifest.json")
    run = read_record(world / "run" / "run.json")
    assert chain.dataset == RowsOrigin(manifest["digest"], manifest["outputs"]["train.jsonl"]["digest"])
    assert chain.items is not None
    assert chain.items.digest == manifest["outputs"]["test.jsonl"]["digest"]
    assert chain.runs == {"adapter": RunOrigin(run["digest"], run["adapter"]["digest"])}
    assert chain.base is not None
    assert chain.base.digest == run["base"]["digest"]
    assert str(world) not in json.dumps(msgspec.to_builtins(chain))


def test_items_changed_after_the_build(world: Path) -> None:
    with (world / "dataset" / "test.jsonl").open("ab") as file:
        file.write(b"\n")
    assert "not the one its manifest describes" in refusal(world / "suite.yaml", ProvenanceError)


def test_train_rows_changed_after_the_build(world: Path) -> None:
    write_rows(world / "dataset" / "train.jsonl", [row(i, "other") for i in range(5)])
    assert "not the one its manifest describes" in refusal(world / "suite.yaml", ProvenanceError)


def test_an_adapter_trained_on_another_dataset(world: Path) -> None:
    write_dataset(world / "dataset", [row(i, "other") for i in range(5)], [row(i, "test") for i in range(9)])
    assert "trained on other rows" in refusal(world / "suite.yaml", ProvenanceError)


def test_an_adapter_trained_on_another_base(world: Path) -> None:
    tiny_base(world / "base", seed=1)
    assert "another base" in refusal(world / "suite.yaml", ProvenanceError)


def test_an_adapter_trained_with_another_template(world: Path) -> None:
    change_run(world, template={"digest": "sha256:" + "0" * 64})
    assert "another chat template" in refusal(world / "suite.yaml", ProvenanceError)


def test_prompts_are_rendered_with_the_settings_that_the_run_was_trained_with(world: Path) -> None:
    suite, run = world / "suite.yaml", read_record(world / "run" / "run.json")

    def settings() -> Any:
        base = read_inputs(suite).base
        assert base is not None
        return base.template_kwargs

    assert settings() == {}
    change_run(world, config={**run["config"], "chat_template_kwargs": {"enable_thinking": False}})
    assert settings() == {"enable_thinking": False}
    assert "reads no enable_thinking" in refusal(suite, ConfigError)
    suite.write_text(suite.read_text() + "chat_template_kwargs: {}\n")
    assert settings() == {}


def test_an_adapter_changed_after_training(world: Path) -> None:
    with (world / "run" / "adapter" / "adapter_model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert "not those that the run wrote" in refusal(world / "suite.yaml", ProvenanceError)


def test_a_run_record_changed_by_hand(world: Path) -> None:
    path = world / "run" / "run.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1))
    assert "changed by hand" in refusal(world / "suite.yaml", ProvenanceError)


@pytest.mark.parametrize("system", ["Call the function.", "Other words before the same question."])
def test_an_item_that_was_trained_on_is_scored_and_shown(world: Path, system: str) -> None:
    seen = row(3, "train")
    seen = type(seen)(id="new", messages=[type(seen.messages[0])("system", system), *seen.messages[1:]])
    write_rows(world / "items.jsonl", [row(1, "test"), seen])
    suite = write_suite(world, items="items.jsonl", contenders=[{"name": "base"}])
    suite.write_text(suite.read_text() + "contamination: {paraphrase: null}\n")
    result = evaluate(suite, RunOptions()).result
    found = result.contamination
    assert (found.word_for_word, found.clean.items) == (1, 1)
    assert "Contaminated: 1 of 2 items are in the training rows, word for word" in result.ladder.because
    assert [sum(one.finish_reasons.values()) for one in result.contenders] == [2]
    suite.write_text(suite.read_text().replace("{paraphrase: null}", "null"))
    assert evaluate(suite, RunOptions()).result.contamination.word_for_word == 1


def test_files_that_are_not_there(world: Path) -> None:
    assert "test2.jsonl" in refusal(write_suite(world, items="dataset/test2.jsonl"), DataError)
    contenders = [{"name": "base"}, {"name": "adapter", "run": "no-run"}]
    assert "no finished run" in refusal(write_suite(world, contenders=contenders), DataError)


def test_a_malformed_item_is_named_by_its_line(world: Path) -> None:
    (world / "bad.jsonl").write_text('{"id": "1", "messages": []}\n{"id": 7}\n')
    assert "bad.jsonl:2" in refusal(write_suite(world, items="bad.jsonl"), DataError)


def test_no_items_and_equal_ids(world: Path) -> None:
    write_rows(world / "none.jsonl", [])
    assert "no rows" in refusal(write_suite(world, items="none.jsonl"), DataError)
    write_rows(world / "twice.jsonl", [row(1, "test"), row(1, "test")])
    assert "test_1" in refusal(write_suite(world, items="twice.jsonl"), DataError)


def test_an_adapter_without_the_rows_it_was_trained_on(world: Path) -> None:
    contenders = [{"name": "base"}, {"name": "adapter", "run": "run"}]
    message = refusal(write_suite(world, train=None, contenders=contenders), ConfigError)
    assert "`train` is missing" in message


def test_an_unknown_contender(world: Path) -> None:
    assert "known: base, base+prompt, base+rag, adapter" in refusal(world / "suite.yaml", ConfigError, only=["x"])


def test_a_limit_takes_the_same_items_in_file_order(world: Path) -> None:
    every = [item.id for item in read_inputs(world / "suite.yaml").items]
    some = [item.id for item in read_inputs(world / "suite.yaml", limit=4).items]

    assert len(some) == 4
    assert some == [item_id for item_id in every if item_id in some]
    assert some != every[:4]
    assert some == [item.id for item in read_inputs(world / "suite.yaml", limit=4).items]
    assert len(read_inputs(world / "suite.yaml", limit=100).items) == len(every)


def test_the_input_digest_follows_whatever_the_result_depends_on(world: Path) -> None:
    suite = world / "suite.yaml"
    before = read_inputs(suite).digest()

    assert read_inputs(suite).digest() == before
    assert read_inputs(suite, limit=3).digest() != before
    assert read_inputs(suite, only=["base"]).digest() != before
    assert read_inputs(write_suite(world, useful_effect=0.2)).digest() != before
    assert read_inputs(write_suite(world, margin=0.02)).digest() != before
