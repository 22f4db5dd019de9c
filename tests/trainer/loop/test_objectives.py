"""Preference losses against the papers' formulas, worked out one row at a time from the library's own logits."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from curate.core.chat.base_model import BaseModel, load_chat_format
from curate.core.chat.chat_format import ChatFormat
from curate.core.errors import DataError
from curate.core.rows.row import Message, Row
from tests.models import tiny_base, torch_threads
from tests.trainer.conftest import MakeInputs, write_rows
from tests.trainer.loop.test_cross_entropy import CPU, gradients, relative
from tests.trainer.model.test_methods import moved
from tests.trainer.packing.test_pack import PREFIX
from tests.trainer.test_fit import StoppedError, stop_after
from trainer.config import TrainConfig
from trainer.data.dataset import read_tokenized_rows
from trainer.data.tokenized_row import TokenizedRow
from trainer.fit import fit
from trainer.loop.micro_batches import micro_batches
from trainer.loop.row_layout import row_layout
from trainer.packing.pack import pack

OBJECTIVES = ["dpo", "ipo", "kto", "orpo"]


def config_of(**changed: Any) -> TrainConfig:
    settings = {"base": "b", "dataset": "d", "output": "o", "micro_batch_tokens": 90, "method": "lora", "beta": 0.3}
    return TrainConfig.model_validate(settings | changed)


def make_pairs(count: int = 4) -> list[TokenizedRow]:
    """Random pairs behind one prefix, each with a prompt of its own and answers of different lengths."""
    generator = torch.Generator().manual_seed(11)

    def draw(length: int) -> list[int]:
        return torch.randint(250, (length,), generator=generator).tolist()

    pairs = []
    for number in range(count):
        prompt = PREFIX + draw(6 + 3 * number)
        good, bad = (
            TokenizedRow(str(number), prompt + answer, [False] * len(prompt) + [True] * len(answer))
            for answer in (draw(3 + number), draw(7 - number))
        )
        pairs.append(TokenizedRow(good.name, good.ids, good.supervised, None, bad))
    return pairs


def log_probability(model: Any, ids: list[int], supervised: list[bool]) -> torch.Tensor:
    """From all logits of the whole model, in float64."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -len(ids) : -1].double()
    said = torch.log_softmax(logits, -1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
    return said[torch.tensor(supervised[1:])].sum()


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + torch.exp(-x))


def by_the_papers(model: Any, pairs: list[TokenizedRow], objective: str, beta: float) -> torch.Tensor:
    """The mean loss over the pairs."""

    def logps(samples: list[TokenizedRow]) -> list[torch.Tensor]:
        return [log_probability(model, sample.ids, sample.supervised) for sample in samples]

    chosen, rejected = logps(pairs), logps([pair.rejected for pair in pairs if pair.rejected])
    strangers = []
    for one, other in zip(pairs, [*pairs[1:], pairs[0]], strict=True):
        prompt = other.ids[: other.supervised.index(True)]
        for row in one.sequences:
            answer = row.ids[row.supervised.index(True) :]
            strangers.append(TokenizedRow("", prompt + answer, [False] * len(prompt) + [True] * len(answer)))
    with torch.no_grad():
        with model.disable_adapter():
            base_chosen, base_rejected = logps(pairs), logps([pair.rejected for pair in pairs if pair.rejected])
            base_strangers = logps(strangers)
        moved = torch.stack(logps(strangers)) - torch.stack(base_strangers)
        drift = max(0.0, float(moved.mean()))
    losses: list[torch.Tensor] = []
    for pair, w, l, rw, rl in zip(pairs, chosen, rejected, base_chosen, base_rejected, strict=True):  # noqa: E741 - as in the papers
        if objective == "dpo":
            losses.append(-torch.log(sigmoid(beta * (w - rw) - beta * (l - rl))))
        elif objective == "ipo":
            losses.append(((w - rw) - (l - rl) - 1 / (2 * beta)) ** 2)
        elif objective == "kto":
            losses += [1 - sigmoid(beta * (w - rw - drift)), 1 - sigmoid(beta * (drift - (l - rl)))]
        else:
            assert pair.rejected
            means = w / sum(pair.supervised), l / sum(pair.rejected.supervised)
            odds = [torch.exp(mean) / (1 - torch.exp(mean)) for mean in means]
            losses.append(-means[0] - beta * torch.log(sigmoid(torch.log(odds[0] / odds[1]))))
    return torch.stack(losses).mean()


def test_kto_takes_answers_that_are_judged_alone(tiny: BaseModel) -> None:
    """Equation 8 for a pair, a desirable and two undesirable answers; the mean is over the five answers."""
    model, beta = moved(tiny, "rslora").model, 0.3
    first, *others = make_pairs(4)
    alone = [
        replace(pair, rejected=None, desirable=desirable)
        for pair, desirable in zip(others, (True, False, False), strict=True)
    ]
    samples = [first, *alone]
    config = config_of(objective="kto")
    rows = [(row, row is sample and sample.desirable) for sample in samples for row in sample.sequences]
    now = torch.stack([log_probability(model, row.ids, row.supervised) for row, _ in rows])
    with torch.no_grad(), model.disable_adapter():
        before = torch.stack([log_probability(model, row.ids, row.supervised) for row, _ in rows])
    with torch_threads(2), micro_batches(model, config, samples) as parts:
        drift = parts._drift(samples)
        loss, found = parts.loss_and_gradients(parts.with_references(samples))
    gains = [change - drift if good else drift - change for change, (_, good) in zip(now - before, rows, strict=True)]
    expected = torch.stack([1 - sigmoid(beta * gain) for gain in gains]).mean()
    expected.backward()
    assert len(gains) == 5
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    assert relative(torch.cat([part.flatten() for part in found]), gradients(model)) < 1e-4


def test_judged_rows_are_read_as_curate_and_trl_write_them(tmp_path: Path, tiny: BaseModel) -> None:
    path = tmp_path / "rows.jsonl"
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    rows: list[dict[str, Any]] = [
        {"id": "ours", "messages": turns, "meta": {"desirable": False}},
        {"prompt": "Say yes.", "completion": "Yes.", "label": True},
        {"prompt": "Say no.", "chosen": "No.", "rejected": "Maybe."},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = read_tokenized_rows(path, load_chat_format(tiny), config_of(objective="kto")).rows
    assert [(sample.desirable, len(sample.sequences)) for sample in samples] == [(False, 1), (True, 1), (True, 2)]
    assert samples[0].cut(5).desirable is False
    path.write_text(json.dumps({"messages": turns}) + "\n")
    with pytest.raises(DataError, match="no-judgement"):
        read_tokenized_rows(path, load_chat_format(tiny), config_of(objective="kto"))
    path.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(DataError, match="no-rejected-answer"):
        read_tokenized_rows(path, load_chat_format(tiny), config_of(objective="dpo"))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("shape", ["llama", "mistral", "gemma2"])
@pytest.mark.parametrize("name", ["rslora", "prompt"])
def test_loss_and_gradients_are_those_of_the_papers(
    tmp_path_factory: pytest.TempPathFactory, objective: str, shape: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.loop.micro_batches._LEAST_SHARED", 1)  # one thread computes the pairs' prefix for both
    folder = tiny_base(tmp_path_factory.mktemp(shape), shape)
    model = moved(BaseModel(str(folder), folder=folder), name).model
    pairs, config = make_pairs(), config_of(objective=objective, method="prompt" if name == "prompt" else "lora")
    expected = by_the_papers(model, pairs, objective, config.beta)
    expected.backward()
    theirs = gradients(model)
    with torch_threads(2), micro_batches(model, config, pairs) as parts:
        samples = parts.with_references(pairs)
        loss, found = parts.loss_and_gradients(samples)
        assert parts.mean_loss(samples) == pytest.approx(loss, rel=1e-6)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    assert relative(torch.cat([part.flatten() for part in found]), theirs) < 1e-4


def test_a_drift_from_the_base_counts_for_kto(tiny: BaseModel) -> None:
    """Where answers behind others' prompts became likelier, too; without it the loss would be another."""
    model = moved(tiny, "rslora").model
    pairs = make_pairs()
    swapped = [TokenizedRow(p.name, p.rejected.ids, p.rejected.supervised, None, p) for p in pairs if p.rejected]
    drifts = []
    for some in (pairs, swapped, pairs[:2], pairs[2:]):
        with micro_batches(model, config_of(objective="kto"), some) as parts:
            drifts.append(parts._drift(some))
    assert drifts[0] == pytest.approx(drifts[1], rel=1e-4)  # it asks which answers, not which is the better one
    assert any(drift > 0 for drift in drifts)


@pytest.mark.parametrize("shape", ["llama", "gemma2"])
def test_what_answers_share_is_computed_once(tmp_path: Path, shape: str) -> None:
    folder = tiny_base(tmp_path / "tiny", shape)
    model = moved(BaseModel(str(folder), folder=folder), "rslora").model
    pairs = make_pairs(3)
    with row_layout(model, pairs) as layout:
        assert layout is pack
    batch = pack(pairs, CPU)
    # Of each prompt, the last token stands before each answer: the answer's first token is predicted from there.
    # From an answer's last token nothing is predicted.
    prompts = sum(sample.supervised.index(True) - 1 - len(PREFIX) for sample in pairs)
    answers = sum(sum(row.supervised) for sample in pairs for row in sample.sequences)
    assert batch.ids_BT.shape[1] == len(PREFIX) + prompts + answers
    assert batch.ids_BT.shape[1] < 0.7 * sum(sample.size for sample in pairs)


def test_before_training_the_losses_are_those_of_no_preference(make_inputs: MakeInputs, tmp_path: Path) -> None:
    write_pairs(tmp_path)
    for objective, expected in (("dpo", math.log(2)), ("ipo", (1 / 0.6) ** 2), ("kto", 0.5)):
        inputs = make_inputs(objective=objective, beta=0.3, max_steps=1, output=objective)
        losses = fit(inputs).record.losses
        assert losses.train[0] == pytest.approx(expected, rel=1e-5)
        assert losses.held_out[0].loss == pytest.approx(expected, rel=1e-5)


def make_pair(number: int) -> Row:
    question = f"{number}? " + "so " * (number % 5)
    messages = [Message("system", "Answer."), Message("user", question), Message("assistant", f"yes {number}")]
    return Row(id=f"row-{number}", messages=messages, meta={"rejected": f"{number * 7 % 100} no " * (1 + number % 2)})


def write_pairs(folder: Path) -> None:
    write_rows(folder / "data" / "train.jsonl", [make_pair(i) for i in range(20)])
    write_rows(folder / "data" / "val.jsonl", [make_pair(i) for i in range(100, 104)])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_prefers_the_chosen_answer_and_goes_on_after_a_stop(
    make_inputs: MakeInputs, tmp_path: Path, objective: str
) -> None:
    write_pairs(tmp_path)
    settings = {"objective": objective, "epochs": 4, "held_out_every": 20}
    straight, broken = make_inputs(**settings), make_inputs(**settings, output="broken")
    record = fit(straight).record
    losses = record.losses
    assert sum(losses.train[-5:]) < 0.8 * sum(losses.train[:5])
    assert losses.held_out[-1].loss < 0.9 * losses.held_out[0].loss
    with pytest.raises(StoppedError):
        fit(broken, watch=stop_after(7), checkpoint_every_s=0)
    assert fit(broken).record.adapter == record.adapter
    assert record.dataset.train.rows == 20
    assert set(load_file(straight.output / "adapter" / "adapter_model.safetensors"))


def test_a_model_trained_as_a_whole_is_measured_from_what_it_was(make_inputs: MakeInputs, tmp_path: Path) -> None:
    write_pairs(tmp_path)
    settings = {"objective": "dpo", "method": "full", "learning_rate": 1e-3, "epochs": 2}
    straight, broken = make_inputs(**settings), make_inputs(**settings, output="broken")
    record = fit(straight).record
    assert record.losses.train[0] == pytest.approx(math.log(2), rel=1e-5)
    with pytest.raises(StoppedError):
        fit(broken, watch=stop_after(4), checkpoint_every_s=0)
    assert fit(broken).record.adapter == record.adapter
    with pytest.raises(ValueError, match="kto compares with the base at every step"):
        config_of(objective="kto", method="full")


@pytest.fixture(scope="module")
def chat(tiny: BaseModel) -> ChatFormat:
    return load_chat_format(tiny)


def counted(chat: ChatFormat, sample: TokenizedRow) -> str:
    text: str = chat.tokenizer.decode([t for t, counts in zip(sample.ids, sample.supervised, strict=True) if counts])
    return text


def test_pairs_are_read_in_every_shape_that_curation_keeps(tmp_path: Path, chat: ChatFormat) -> None:
    def said(role: str, content: str) -> dict[str, str]:
        return {"role": role, "content": content}

    before = [said("user", "a"), said("assistant", "b"), said("user", "c")]
    records = [
        {"prompt": before, "chosen": "good", "rejected": "bad"},
        {"prompt": before, "chosen": [said("assistant", "good")], "rejected": [said("assistant", "bad")]},
        {"chosen": [*before, said("assistant", "good")], "rejected": [*before, said("assistant", "bad")]},
        {"messages": [*before, said("assistant", "good")], "meta": {"rejected": "bad"}},
    ]
    records += [record | {"system": "Be."} for record in records[:3]]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    samples = read_tokenized_rows(path, chat, config_of(objective="dpo")).rows
    assert len(samples) == 7
    for sample in samples:
        assert sample.rejected
        # The answer before the last question is the same in both: it is no part of the preference.
        assert counted(chat, sample) == "good<|im_end|>"
        assert counted(chat, sample.rejected) == "bad<|im_end|>"
    texts = [[chat.tokenizer.decode(row.ids) for row in sample.sequences] for sample in samples]
    assert texts[0] == texts[1] == texts[2] == texts[3]
    assert texts[4] == texts[5] == texts[6] == [f"<|im_start|>system\nBe.<|im_end|>\n{text}" for text in texts[0]]


def test_rows_without_a_preference_are_refused(tmp_path: Path, chat: ChatFormat) -> None:
    row = make_pair(1)
    rows = [row, Row(id="none", messages=row.messages), Row(id="odd", messages=row.messages, meta={"rejected": [3]})]
    rows.append(Row(id="same", messages=row.messages, meta={"rejected": "yes 1"}))
    rows.append(Row(id="empty", messages=row.messages, meta={"rejected": [{"role": "assistant", "content": ""}]}))
    with pytest.raises(DataError) as caught:
        read_tokenized_rows(write_rows(tmp_path / "rows.jsonl", rows), chat, config_of(objective="dpo"))
    said = str(caught.value)
    assert "4 of 5 rows can't be trained on" in said
    assert "none: no-rejected-answer" in said
    assert "odd: no-rejected-answer" in said
    assert "same: same-answers" in said
    assert "empty: empty-answer: the rejected answer" in said


def test_the_longer_answer_decides_whether_a_pair_is_over_length(tmp_path: Path, chat: ChatFormat) -> None:
    row = make_pair(1)
    rows = [row, Row(id="long", messages=row.messages, meta={"rejected": "x" * 300})]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    assert read_tokenized_rows(path, chat, config_of(objective="dpo", max_length=200, over_length="drop")).dropped == 1
    found = read_tokenized_rows(path, chat, config_of(objective="dpo", max_length=200, over_length="truncate"))
    assert (found.truncated, found.unstopped) == (1, 1)
    assert [len(row.ids) for row in found.rows[1].sequences] == [len(found.rows[1].ids), 200]
