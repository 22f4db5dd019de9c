import json
from pathlib import Path

import pytest

from curate.core.chat.base_model import BaseModel, load_chat_format
from curate.core.chat.chat_format import ChatFormat, TemplateFault
from curate.core.digests import digest_file
from curate.core.errors import ConfigError, DataError, ProvenanceError
from curate.core.records import write_record
from curate.core.rows.row import Message, Row
from tests.chat_formats import chat_format
from tests.trainer.conftest import make_row, write_rows
from trainer.config import TrainConfig
from trainer.data.dataset import find_files, read_held_out, read_rows, read_tokenized_rows, refuse_overlap


@pytest.fixture(scope="module")
def chat(tiny: BaseModel) -> ChatFormat:
    return load_chat_format(tiny)


def make_config(**changed: object) -> TrainConfig:
    return TrainConfig.model_validate({"base": "b", "dataset": "data", "output": "run"} | changed)


def test_the_loss_counts_the_answer_and_its_stop_token(tmp_path: Path, chat: ChatFormat) -> None:
    row = Row(id="a", messages=[Message("system", "Add."), Message("user", "1+1"), Message("assistant", "It is 2.")])
    (sample,) = read_tokenized_rows(write_rows(tmp_path / "rows.jsonl", [row]), chat, make_config()).rows
    text = chat.tokenizer.decode(sample.ids)
    assert text == (
        "<|im_start|>system\nAdd.<|im_end|>\n<|im_start|>user\n1+1<|im_end|>\n"
        "<|im_start|>assistant\nIt is 2.<|im_end|>\n"
    )
    counted = [token for token, counts in zip(sample.ids, sample.supervised, strict=True) if counts]
    assert chat.tokenizer.decode(counted) == "It is 2.<|im_end|>"
    assert sample.supervised_count == len("It is 2.") + 1


def test_rows_with_faults_are_refused_with_counts_and_the_first_ten(tmp_path: Path, chat: ChatFormat) -> None:
    rows = [make_row(0), Row(id="none", messages=[Message("user", "hello")])]
    rows += [Row(id=f"empty-{i}", messages=[Message("user", "a"), Message("assistant", "")]) for i in range(12)]
    with pytest.raises(DataError) as caught:
        read_tokenized_rows(write_rows(tmp_path / "rows.jsonl", rows), chat, make_config())
    lines = str(caught.value).splitlines()
    assert lines[:3] == ["13 of 14 rows can't be trained on", "  12 x empty-answer", "  1 x no-answer"]
    assert lines[3].startswith("  none: no-answer: ")
    assert lines[12].startswith("  empty-8: empty-answer: ")
    assert lines[13] == "  and 3 more"
    assert str(tmp_path / "rows.jsonl") in str(caught.value)


def test_a_template_without_a_stop_token_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [make_row(0)])
    with pytest.raises(DataError, match="1 x no-stop-token"):
        read_tokenized_rows(path, chat_format("never-stops"), make_config())


def test_where_the_template_rewrites_earlier_turns_the_last_answer_or_each_is_a_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forgets = chat_format("forgets-reasoning")
    asked = Message("user", "1+1?")
    first, second = (Message("assistant", f"<think>{n}</think>{n + 1}.", weight=w) for n, w in ((1, 0.5), (2, None)))
    rewritten = Row(id="long", messages=[asked, first, asked, second])
    path = write_rows(tmp_path / "rows.jsonl", [rewritten, Row(id="short", messages=[asked, second])])
    with pytest.raises(DataError, match=r"1 x history-rewritten\n.*`history: last` or `split`"):
        read_tokenized_rows(path, forgets, make_config())

    def learned(history: str) -> dict[str, str]:
        rows = read_tokenized_rows(path, forgets, make_config(history=history)).rows
        pairs = ((row, [one for one, on in zip(row.ids, row.supervised, strict=True) if on]) for row in rows)
        return {row.name: forgets.tokenizer.decode(ids) for row, ids in pairs}

    last = {"long#3": "<think>2</think>3.<|im_end|>", "short": "<think>2</think>3.<|im_end|>"}
    assert learned("last") == last
    said = "the template rewrites earlier turns of 1 of 2 rows: "
    assert said + "only their last answer is learned" in capsys.readouterr().err
    assert learned("split") == {"long#1": "<think>1</think>2.<|im_end|>", **last}
    assert said + "each answer is a sample of its own" in capsys.readouterr().err
    [halved, *_] = read_tokenized_rows(path, forgets, make_config(history="split")).rows
    assert halved.weights is not None
    assert set(halved.weights) == {0.0, 0.5}


def test_over_length_rows_are_an_error_or_dropped_and_counted(tmp_path: Path, chat: ChatFormat) -> None:
    rows = [make_row(0), make_row(1), Row(id="long", messages=[Message("user", "x" * 300), Message("assistant", "y")])]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match=r"1 of 3 rows are longer than max_length 200; the longest is long with 3\d\d"):
        read_tokenized_rows(path, chat, make_config(max_length=200))
    found = read_tokenized_rows(path, chat, make_config(max_length=200, over_length="drop"))
    assert [sample.name for sample in found.rows] == ["row-0", "row-1"]
    assert found.dropped == 1


def test_over_length_rows_are_cut_and_every_lost_stop_token_is_counted(
    tmp_path: Path, chat: ChatFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    def row(name: str, *texts: str) -> Row:
        roles = ("user", "assistant") * 4
        return Row(id=name, messages=[Message(role, text) for role, text in zip(roles, texts, strict=False)])

    rows = [row("fits", "a", "b"), row("within", "a", "x" * 300), row("before", "x" * 300, "y")]
    rows += [row("between", "a", "b", "x" * 300, "c")]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = read_tokenized_rows(path, chat, make_config(max_length=200, over_length="truncate"))
    kept = {sample.name: sample for sample in found.rows}
    assert list(kept) == ["fits", "within", "between"]
    assert (found.dropped, found.truncated, found.unstopped) == (1, 2, 1)
    assert [len(kept[name].ids) for name in ("within", "between")] == [200, 200]
    ends = {
        name: [t for t, counts in zip(sample.ids, sample.supervised, strict=True) if counts][-1]
        for name, sample in kept.items()
    }
    assert ends["fits"] in chat.stop_ids
    assert ends["between"] in chat.stop_ids
    assert ends["within"] not in chat.stop_ids
    said = capsys.readouterr().err
    assert "2 are cut, 1 of them within an answer, which loses its stop token" in said
    assert "1 are left out: no answer begins before the cut" in said
    only_cut = write_rows(tmp_path / "cut.jsonl", rows[1:3])
    with pytest.raises(DataError, match="the model would never learn to stop"):
        read_tokenized_rows(only_cut, chat, make_config(max_length=200, over_length="truncate"))


@pytest.mark.parametrize("limit", range(20, 60))
def test_wherever_a_row_is_cut_the_counts_say_whether_its_answer_ends(
    tmp_path: Path, chat: ChatFormat, limit: int
) -> None:
    rows = [Row(id="short", messages=[Message("user", "a"), Message("assistant", "b")])]
    path = write_rows(tmp_path / "short.jsonl", rows)
    fits = len(read_tokenized_rows(path, chat, make_config()).rows[0].ids)
    rows.append(Row(id="long", messages=[*rows[0].messages, Message("user", "c"), Message("assistant", "d" * 40)]))
    path = write_rows(tmp_path / "rows.jsonl", rows)
    found = read_tokenized_rows(path, chat, make_config(max_length=max(limit, fits), over_length="truncate"))
    cut = found.rows[-1]
    counted = [token for token, counts in zip(cut.ids, cut.supervised, strict=True) if counts]
    assert (counted[-1] in chat.stop_ids) == (found.unstopped == 0)


def test_turns_of_every_shape_are_trained_as_curation_reads_them(
    tmp_path: Path, chat: ChatFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    ask, again = {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
    plain = [ask, {"role": "assistant", "content": "c", "weight": 0}, again, {"role": "assistant", "content": "d"}]
    rows = [
        {"messages": plain},
        {"messages": [ask, {"role": "assistant", "content": "c", "train": False, "uuid": "u"}, again, plain[3]]},
        {"conversations": [ask, {"from": "gpt", "value": "c", "loss": 0}, again, {"from": "gpt", "value": "d"}]},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    first, *others = read_tokenized_rows(tmp_path / "rows.json", chat, make_config()).rows
    assert [(row.ids, row.supervised) for row in others] == [(first.ids, first.supervised)] * 2
    assert "keys that are not trained on: messages[].uuid (1 row)" in capsys.readouterr().err


def test_an_answer_that_people_found_bad_is_not_learned(tmp_path: Path, chat: ChatFormat) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b", "label": false}\n')
    with pytest.raises(DataError, match="undesirable-answer"):
        read_tokenized_rows(tmp_path / "rows.jsonl", chat, make_config())
    (row,) = read_tokenized_rows(tmp_path / "rows.jsonl", chat, make_config(objective="kto")).rows
    assert row.desirable is False


def test_each_message_counts_in_the_loss_by_its_weight(tmp_path: Path, chat: ChatFormat) -> None:
    messages = [Message("user", "a"), Message("assistant", "none", weight=0), Message("user", "b")]
    messages += [Message("assistant", "half", weight=0.5), Message("user", "c"), Message("assistant", "whole")]
    messages += [Message("user", "d"), Message("assistant", "twice", weight=2)]
    path = write_rows(tmp_path / "rows.jsonl", [Row(id="a", messages=messages)])
    (sample,) = read_tokenized_rows(path, chat, make_config()).rows
    assert sample.weights is not None
    said = {
        weight: chat.tokenizer.decode([t for t, w in zip(sample.ids, sample.weights, strict=True) if w == weight])
        for weight in (0.5, 1, 2)
    }
    assert said == {0.5: "half<|im_end|>", 1: "whole<|im_end|>", 2: "twice<|im_end|>"}
    assert [weight > 0 for weight in sample.weights] == sample.supervised
    assert sample.loss_weight == 0.5 * 5 + 6 + 2 * 6


def test_a_weight_below_zero_is_a_fault(tmp_path: Path, chat: ChatFormat) -> None:
    rows = [Row(id="a", messages=[Message("user", "a"), Message("assistant", "b", weight=-1)])]
    with pytest.raises(DataError, match="1 x bad-weight"):
        read_tokenized_rows(write_rows(tmp_path / "rows.jsonl", rows), chat, make_config())


def test_rows_come_from_every_format_that_curation_knows(tmp_path: Path, chat: ChatFormat) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
    records = [
        {"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]},
        {"conversations": [{"from": "human", "value": "1+1"}, {"from": "gpt", "value": "2"}]},
        {"instruction": "1+1", "output": "2"},
        {"prompt": "1+1", "completion": "2"},
        {"prompt": "1+1", "chosen": "2", "rejected": "3"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    samples = read_tokenized_rows(path, chat, make_config()).rows
    assert len(samples) == 5
    assert {tuple(sample.ids) for sample in samples} == {tuple(samples[0].ids)}
    path.write_text(json.dumps(records[0] | {"tools": json.dumps([tool])}) + "\n")
    ((_, row),) = read_rows(path)
    assert isinstance(row, Row)
    assert row.tools == [tool]


def test_lines_in_no_format_are_refused_with_their_place(tmp_path: Path, chat: ChatFormat) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": 1}\n{"messages": [3]}\n')
    with pytest.raises(DataError) as caught:
        read_tokenized_rows(path, chat, make_config())
    assert f"{path}:1: unknown-format" in str(caught.value)
    assert f"{path}:2: not-a-row" in str(caught.value)


def test_no_rows_left_is_a_message(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [make_row(0)])
    with pytest.raises(DataError, match="no rows to train on"):
        read_tokenized_rows(path, chat, make_config(max_length=2, over_length="drop"))


def test_a_dataset_without_val_rows_trains_without_a_held_out_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path / "data" / "train.jsonl", [make_row(0)])
    empty = write_rows(tmp_path / "data" / "val.jsonl", [])
    assert find_files(make_config(), tmp_path).held_out is None
    assert f"{empty} is empty, so no held-out loss is measured" in capsys.readouterr().err
    # One that the training file names is meant to have rows.
    assert find_files(make_config(held_out=str(empty)), tmp_path).held_out == empty


def test_a_file_without_rows_is_named(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_rows(tmp_path / "train.jsonl", [])
    with pytest.raises(DataError, match="the file holds no rows") as caught:
        read_tokenized_rows(path, chat, make_config())
    assert str(path) in str(caught.value)


def test_a_malformed_line_is_named(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [make_row(0)])
    path.write_bytes(path.read_bytes() + b"{not json}\n")
    with pytest.raises(DataError) as caught:
        read_tokenized_rows(path, chat, make_config())
    assert f"{path}:2" in str(caught.value)


def test_a_limit_on_held_out_rows_picks_the_same_ones_each_time(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [make_row(i) for i in range(30)])
    picked = [sample.name for sample in read_held_out(path, chat, make_config(held_out_rows=5)).rows]
    again = [sample.name for sample in read_held_out(path, chat, make_config(held_out_rows=5)).rows]
    other = [sample.name for sample in read_held_out(path, chat, make_config(held_out_rows=5, seed=1)).rows]
    assert len(picked) == 5
    assert picked == again != other
    assert picked != [f"row-{i}" for i in range(5)]


def test_a_held_out_row_that_is_also_trained_on_is_refused(tmp_path: Path, chat: ChatFormat) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [make_row(0), make_row(1)])
    samples = read_tokenized_rows(path, chat, make_config()).rows
    with pytest.raises(ConfigError, match="1 held-out rows are also in the training rows: row-1"):
        refuse_overlap(samples, samples[1:])
    refuse_overlap(samples[:1], samples[1:])


def test_a_dataset_changed_after_it_was_built_is_refused(tmp_path: Path) -> None:
    train = write_rows(tmp_path / "data" / "train.jsonl", [make_row(0)])
    body = {"kind": "manifest", "schema": 1, "outputs": {"train.jsonl": {"digest": digest_file(train), "rows": 1}}}
    manifest = write_record(tmp_path / "data" / "manifest.json", body)
    assert find_files(make_config(), tmp_path).manifest == manifest["digest"]
    write_rows(train, [make_row(1)])
    with pytest.raises(ProvenanceError, match="changed after the dataset was built"):
        find_files(make_config(), tmp_path)


def test_a_manifest_changed_by_hand_is_refused(tmp_path: Path) -> None:
    train = write_rows(tmp_path / "data" / "train.jsonl", [make_row(0)])
    body = {"kind": "manifest", "outputs": {"train.jsonl": {"digest": digest_file(train), "rows": 1}}}
    record = write_record(tmp_path / "data" / "manifest.json", body)
    (tmp_path / "data" / "manifest.json").write_text(json.dumps(record | {"name": "forged"}))
    with pytest.raises(ProvenanceError):
        find_files(make_config(), tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_files(make_config(dataset="nowhere.jsonl"), tmp_path)
    assert str(tmp_path / "nowhere.jsonl") in str(caught.value)
    write_rows(tmp_path / "data" / "train.jsonl", [make_row(0)])
    assert find_files(make_config(), tmp_path).held_out is None
    with pytest.raises(DataError):
        find_files(make_config(held_out="no-such.jsonl"), tmp_path)


def test_what_a_file_holds_beside_text_is_refused_unless_its_recipe_let_it_pass(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A heron."}]
    (tmp_path / "raw.jsonl").write_text(json.dumps({"messages": turns, "images": ["heron.png"]}))
    (tmp_path / "ours.jsonl").write_text(json.dumps({"messages": turns, "meta": {"images": ["heron.png"]}}))
    ((_, raw),), ((_, ours),) = read_rows(tmp_path / "raw.jsonl"), read_rows(tmp_path / "ours.jsonl")
    assert isinstance(raw, TemplateFault)
    assert raw.rule == "media"
    assert isinstance(ours, Row)
