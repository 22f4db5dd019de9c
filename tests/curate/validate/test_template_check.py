"""The template check: rows that a base model's template or tokenizer can't take are rejected with the rule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curate.build.stage_inputs import find_files
from curate.core.chat.chat_format import ChatFormat, Encoded
from curate.core.chat.token_text import Spelling
from curate.core.rows.row import Message, Row
from curate.recipe.rule_ids import RULES
from curate.validate.rules import template
from curate.validate.stage import Validation
from tests.chat_formats import FAMILIES, chat_format
from tests.curate.row_makers import make_context, make_row, select


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real tokenizer and its template, and nothing else of a model."""
    folder = tmp_path_factory.mktemp("base")
    chat_format("chatml").tokenizer.save_pretrained(str(folder))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def reasons(rows: list[Row], base: Path, **checks: Any) -> dict[str, str]:
    result = Validation().run(select(rows), make_context(base.parent, base=base.name, validate=checks), {})
    assert len(result.kept) + len(result.rejections) == len(rows)
    return {str(item.id): item.reason for item in result.rejections}


def test_rows_that_cannot_be_trained_on_are_rejected_with_the_templates_rule(base: Path) -> None:
    rows = [
        make_row("q", "a", id="good"),
        make_row("a turn <|im_end|> forged", "a", id="forged"),
        Row(id="weightless", messages=[Message("user", "q"), Message("assistant", "a", weight=0)]),
        make_row("q", "", id="empty"),
        make_row("q", "x" * 500, id="long"),
    ]
    expected = {"forged": "control-token-in-text", "weightless": "nothing-supervised", "empty": "empty-turn"}
    assert reasons(rows, base) == expected
    assert reasons(rows, base, max_tokens=200) == {**expected, "long": "too-many-tokens"}
    lenient = {"control-token-in-text": "warning", "nothing-supervised": "off"}
    assert reasons(rows, base, severity=lenient) == {"empty": "empty-turn"}
    assert set(expected.values()) <= set(RULES)


def test_rows_of_which_the_template_rewrites_earlier_turns_stay_where_their_answers_are_learned_alone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    chat_format("forgets-reasoning").tokenizer.save_pretrained(str(folder))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    turn = [Message("user", "q"), Message("assistant", "<think>t</think>a")]
    rows = [Row(id="long", messages=turn * 3), Row(id="short", messages=turn)]

    def gone(history: str, limit: int) -> dict[str, str]:
        context = make_context(tmp_path, base="base", history=history, validate={"max_tokens": limit})
        rejected = Validation().run(select(rows), context, {}).rejections
        return {str(item.id): item.reason for item in rejected}

    assert gone("error", 500) == {"long": "history-rewritten"}
    assert gone("last", 500) == gone("split", 500) == {}
    rendered = [
        template.token_counts(rows, make_context(tmp_path, base="base", history=way)) for way in ("last", "split")
    ]
    (last, short), (split, _) = rendered
    assert short < last < split
    assert gone("last", 60) == gone("split", 60) == {"long": "too-many-tokens"}


REFUSING = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
PASSING_OVER = "{% for m in messages if m.role != 'system' %}"
TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


@pytest.mark.parametrize("loop", [REFUSING, PASSING_OVER])
def test_a_repair_keeps_the_system_message_of_a_template_without_a_place_for_it(loop: str, tmp_path: Path) -> None:
    tokenizer = chat_format("chatml").tokenizer
    before, tokenizer.chat_template = tokenizer.chat_template, loop + TURN
    tokenizer.save_pretrained(str(tmp_path / "own"))
    tokenizer.chat_template = before
    (tmp_path / "own" / "config.json").write_text('{"model_type": "llama"}')
    scene = Row(id="s", messages=[Message("system", "Be brief."), Message("user", "q"), Message("assistant", "a")])
    context = make_context(tmp_path, base="own", validate={"fix": True})
    done = Validation().run(select([scene, make_row("q", "a")]), context, {})
    assert [row.messages for row in done.kept.rows] == [
        [Message("user", "Be brief.\n\nq"), Message("assistant", "a")],
        [Message("user", "q"), Message("assistant", "a")],
    ]
    assert done.counts == {"repairs": {"system-to-user": 1}}


def test_processes_find_what_one_does(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [make_row("q", "a <|im_end|> b" if n % 7 == 3 else "x" * (n % 90), id=str(n)) for n in range(1, 1500)]
    context = replace(make_context(base.parent, base=base.name, validate={"max_tokens": 60}), threads=2)
    alone = template.template_faults(rows, context)
    assert {fault and fault[0] for fault in alone} == {None, "control-token-in-text", "too-many-tokens", "empty-answer"}
    monkeypatch.setattr(template, "_POOL_ROWS", 1)
    assert template.template_faults(rows, context) == alone


def test_the_tokenizer_is_an_input_of_the_dataset(base: Path) -> None:
    (base.parent / "made.jsonl").write_text('{"messages": []}\n')
    files = {file.input.shown: file.kind for file in find_files(make_context(base.parent, base=base.name))}
    assert files[f"{base.name}/tokenizer.json"] == "base"
    assert f"{base.name}/config.json" not in files


def test_counting_tokens_needs_a_base() -> None:
    with pytest.raises(ValueError, match="name it in `base`"):
        make_context(validate={"max_tokens": 5})


@pytest.mark.parametrize("family", FAMILIES)
def test_many_at_once_are_encoded_as_one_by_one_whatever_is_known_of_the_tokenizer(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    form: ChatFormat = chat_format(family)
    special = form.tokenizer.all_special_tokens[0]
    rows = [make_row(f"quest ion {n}{' é😀' * (n % 2)}", f" ans wer {n}\n" * (n % 4)) for n in range(100)]
    rows[7] = make_row(f"a {special} in it")
    rows[8] = Row(id="r", messages=[Message("user", "q")])
    pairs = [(row.messages, row.tools) for row in rows]
    many = form.encode_many(pairs)
    assert many == [form.encode(*pair) for pair in pairs]
    assert any(isinstance(item, Encoded) for item in many) == (family != "never-stops")
    assert form.encode_many([]) == []
    monkeypatch.setattr(Spelling, "is_whole", lambda *_: False)
    assert many == form.encode_many(pairs)


def test_rejected_answers_go_through_the_template_too(base: Path) -> None:
    thought = {"role": "assistant", "content": "b", "reasoning_content": "It is not a."}
    rows = [
        make_row("q", "a", id="good", meta={"rejected": "b"}),
        make_row("q", "a", id="forged", meta={"rejected": "b <|im_end|>"}),
        make_row("q", "a", id="long", meta={"rejected": "x" * 500}),
        make_row("q", "a", id="flag", meta={"rejected": True}),
        make_row("q", "a", id="thinks", meta={"rejected": [thought]}),
    ]
    expected = {"forged": "control-token-in-text", "thinks": "reasoning-not-rendered"}
    assert reasons(rows, base) == expected
    assert reasons(rows, base, max_tokens=200) == {**expected, "long": "too-many-tokens"}
    faults = template.template_faults(rows, make_context(base.parent, base=base.name))
    assert faults[1] == ("control-token-in-text", "the rejected answer: message 2 contains '<|im_end|>'")
