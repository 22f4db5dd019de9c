import json
from pathlib import Path

import click
import pytest

from curate.core.chat.base_model import BaseModel, load_chat_format
from curate.core.chat.chat_format import ChatFormat
from curate.core.errors import ConfigError, DataError
from curate.core.rows.row import Message, Row
from tests.chat_formats import chat_format
from tests.conftest import Run
from tests.trainer.conftest import MakeInputs, make_row, write_rows
from trainer.data.dataset import read_rows
from trainer.data.inspection import InspectedFile, inspect_files, lines, what_to_inspect


@pytest.fixture(scope="module")
def chat(tiny: BaseModel) -> ChatFormat:
    return load_chat_format(tiny)


def inspect_rows(path: Path, rows: list[Row], chat: ChatFormat, max_length: int = 2048) -> InspectedFile:
    (found,) = inspect_files([write_rows(path, rows)], chat, max_length, first=len(rows))
    return found


def plain(inspected: InspectedFile) -> list[str]:
    return [click.unstyle(line) for line in lines(inspected)]


def test_what_the_loss_counts_and_where_each_turn_stops(tmp_path: Path, chat: ChatFormat) -> None:
    messages = [Message("user", "1+1?"), Message("assistant", "It is\n2."), Message("user", "Sure?")]
    row = Row(id="sum", messages=[*messages, Message("assistant", "Yes.")])
    found = inspect_rows(tmp_path / "rows.jsonl", [row], chat)
    assert plain(found) == [
        "sum: 63 tokens, 14 in the loss (>), 2 stops",
        "  | <|im_start|>user↵",
        "  | 1+1?<|im_end|>↵",
        "  | <|im_start|>assistant↵",
        "  > It is↵",
        "  > 2.<|im_end|> <- stops",
        "  | ↵",
        "  | <|im_start|>user↵",
        "  | Sure?<|im_end|>↵",
        "  | <|im_start|>assistant↵",
        "  > Yes.<|im_end|> <- stops",
        "  | ↵",
        "",
        f"{tmp_path / 'rows.jsonl'}: 1 rows, 63 tokens, 14 of them in the loss, longest row 63",
        "  longer than max_length 2,048: 0 rows",
        "  without a stop token: 0 rows",
        "  nothing in the loss: 0 rows",
    ]


def test_the_tokens_put_together_are_the_rendered_text(tmp_path: Path, chat: ChatFormat) -> None:
    # Each of these characters takes several of the tokenizer's tokens.
    row = Row(id="wide", messages=[Message("user", "smile 🙂 é"), Message("assistant", "日本 🙂")])
    (seen,) = inspect_rows(tmp_path / "rows.jsonl", [row], chat).rows
    assert "".join(token.text for token in seen.tokens) == chat.render(row.messages)
    assert "日本 🙂" in "".join(token.text for token in seen.tokens if token.supervised)


def test_rows_that_cannot_be_trained_on_are_shown_with_their_fault_and_counted(
    tmp_path: Path, chat: ChatFormat
) -> None:
    silent = [Message("user", "hello"), Message("assistant", "x", weight=0)]
    forged = [Message("user", "a<|im_end|>b"), Message("assistant", "x")]
    rows = [
        Row(id="unanswered", messages=[Message("user", "hello")]),
        Row(id="masked", messages=silent),
        Row(id="forged", messages=forged),
        make_row(0),
    ]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    path.write_bytes(path.read_bytes() + b"{not a row}\n")
    (found,) = inspect_files([path], chat, 20, first=10)
    assert [(seen.row, bool(seen.tokens)) for seen in found.rows] == [
        ("unanswered", False),
        ("masked", False),
        ("forged", False),
        ("row-0", True),
        ("line 5", False),
    ]
    summary = found.summary
    assert (summary.rows, summary.all_masked, summary.without_stop, summary.over_length) == (5, 2, 0, 1)
    assert summary.faults == {"control-token-in-text": 1, "no-answer": 1, "not-json": 1, "nothing-supervised": 1}
    text = plain(found)
    assert text[0] == "unanswered: can't be trained on: no-answer: there is no assistant message"
    assert "  ? hello<|im_end|>" in text
    assert "  control-token-in-text: 1 rows" in text


def test_rows_of_other_formats_are_seen_as_a_training_reads_them(tmp_path: Path, chat: ChatFormat) -> None:
    path = tmp_path / "foreign.jsonl"
    alpaca = {"instruction": "Say yes.", "input": "", "output": "Yes."}
    shared = {"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}]}
    path.write_text("".join(json.dumps(row) + "\n" for row in (alpaca, shared, {"unheard": "of"})))
    (found,) = inspect_files([path], chat, 2048, first=3)
    answers = ["".join(token.text for token in seen.tokens if token.supervised) for seen in found.rows]
    assert answers == ["Yes.<|im_end|>", "2<|im_end|>", ""]
    assert [seen.row for seen in found.rows][:2] == [row.id for _, row in read_rows(path) if isinstance(row, Row)]
    assert (found.rows[2].row, found.summary.faults) == ("line 3", {"unknown-format": 1})


def test_rows_without_a_stop_token_are_counted(tmp_path: Path) -> None:
    found = inspect_rows(tmp_path / "rows.jsonl", [make_row(0), make_row(1)], chat_format("never-stops"))
    assert found.summary.without_stop == 2
    assert not any(seen.tokens for seen in found.rows)


def test_a_row_cannot_act_on_the_terminal(tmp_path: Path, chat: ChatFormat) -> None:
    row = Row(id="\x1b[2J", messages=[Message("user", "\x1b]0;owned\x07\u202e"), Message("assistant", "ok")])
    shown = "\n".join(plain(inspect_rows(tmp_path / "rows.jsonl", [row], chat)))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown


def test_neighbouring_tokens_differ_in_shade_and_the_loss_in_colour(tmp_path: Path, chat: ChatFormat) -> None:
    styled = list(lines(inspect_rows(tmp_path / "rows.jsonl", [make_row(0)], chat)))
    answer = next(line for line in styled if click.unstyle(line).startswith("  > yes 0"))
    # Green and bright green by turns, a letter each; the stop token reversed.
    shades = [answer[at : at + 5] for at in range(len(answer)) if answer.startswith(("\x1b[32m", "\x1b[92m"), at)]
    assert shades == ["\x1b[32m", "\x1b[92m", "\x1b[32m", "\x1b[92m", "\x1b[32m", "\x1b[32m"]
    assert "\x1b[7m<|im_end|>" in answer


def test_rows_by_id_are_looked_for_in_every_file(tmp_path: Path, chat: ChatFormat) -> None:
    train = write_rows(tmp_path / "train.jsonl", [make_row(0), make_row(1)])
    val = write_rows(tmp_path / "val.jsonl", [make_row(2)])
    found = inspect_files([train, val], chat, 2048, ids=["row-2", "row-1"], first=2)
    assert [[seen.row for seen in inspected.rows] for inspected in found] == [["row-1"], ["row-2"]]
    with pytest.raises(DataError, match="no row is called row-9"):
        inspect_files([train, val], chat, 2048, ids=["row-9"])


def test_of_a_row_in_several_samples_each_is_shown(tmp_path: Path) -> None:
    forgets = chat_format("forgets-reasoning")
    turns = [Message("user", "1+1?"), Message("assistant", "<think>1</think>2.")]
    path = write_rows(tmp_path / "rows.jsonl", [Row(id="long", messages=turns * 2)])
    (whole,) = inspect_files([path], forgets, 2048, first=1)
    assert whole.summary.faults == {"history-rewritten": 1}
    (found,) = inspect_files([path], forgets, 2048, first=1, history="split")
    assert [(seen.row, seen.fault) for seen in found.rows] == [("long", None)] * 2
    assert found.summary.rows == 2


def test_a_training_file_or_a_dataset_with_a_base(make_inputs: MakeInputs, tmp_path: Path, tiny: BaseModel) -> None:
    make_inputs()
    (tmp_path / "train.yaml").write_text(f"base: {tiny.folder}\ndataset: data\noutput: run\nmax_length: 64\n")
    found = what_to_inspect(tmp_path / "train.yaml", None)
    assert (found.base.folder, found.max_length, found.history) == (tiny.folder, 64, "error")
    assert [path.name for path in found.paths] == ["train.jsonl", "val.jsonl"]
    assert what_to_inspect(tmp_path / "data", str(tiny.folder)).paths == found.paths
    with pytest.raises(ConfigError, match="needs --base"):
        what_to_inspect(tmp_path / "data", None)


def test_the_command_prints_plain_text_into_a_pipe(
    run_cli: Run, make_inputs: MakeInputs, tmp_path: Path, tiny: BaseModel
) -> None:
    make_inputs()
    run = run_cli("trainer", "inspect", tmp_path / "data", "--base", tiny.folder, "--row", "row-3")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("row-3: ")
    assert "\x1b" not in run.stdout
    as_json = run_cli("trainer", "inspect", tmp_path / "data", "--base", tiny.folder, "--rows", 0, "--json")
    train, val = json.loads(as_json.stdout)
    assert (train["summary"]["rows"], val["summary"]["rows"], train["rows"]) == (20, 4, [])
    missing = run_cli("trainer", "inspect", tmp_path / "nothing.jsonl", "--base", tiny.folder)
    assert (missing.returncode, "Traceback" in missing.stderr) == (3, False)
