"""What can't be trained on is an error that names it, in the rejected answer too; a bad answer is a warning."""

from typing import Any

import pytest

from curate.core.rows.row import Message, Row
from curate.validate.rules.contents import check_contents, check_judgement

ASK, SAY = Message("user", "What is on it?"), Message("assistant", "A heron.")
TEXT, IMAGE = {"type": "text", "text": "What is on it?"}, {"type": "image_url", "image_url": {"url": "heron.png"}}


def make_row(ask: Message = ASK, say: Message = SAY, **meta: Any) -> Row:
    return Row(id="r", messages=[ask, say], meta=meta)


def fault(row: Row) -> str | None:
    found = check_contents(row)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    "row",
    [
        make_row(Message("user", [TEXT, IMAGE])),
        make_row(Message("user", [TEXT, {"inlineData": {"data": "AAAA"}}])),
        make_row(images=["heron.png"]),
        make_row(image={"bytes": "AAAA"}),
        make_row(audio="https://example.org/heron"),
        make_row(video="heron.MP4"),
        make_row(Message("user", "<image>What is on it?"), image="heron"),
        make_row(message_extras={"1": {"audio": {"id": "x"}}}),
        make_row(rejected=[{"role": "assistant", "content": [IMAGE]}]),
    ],
)
def test_media_are_an_error(row: Row) -> None:
    assert fault(row) == "media"


@pytest.mark.parametrize(
    "row",
    [
        make_row(),
        make_row(Message("user", [TEXT, TEXT])),
        make_row(images=[], image="", video=None, audio=3),
        make_row(image="a bird by the water"),
        make_row(Message("user", "What does <image> do in HTML?")),
        make_row(rejected="A stork."),
        make_row(message_extras={"0": {"uuid": "u", "train": True}, "1": {"score": 0.3, "loss": 0.2}}),
    ],
)
def test_text_and_what_only_describes_it_are_none(row: Row) -> None:
    assert fault(row) is None


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (make_row(message_extras={"1": {"text": "A stork."}}), "message 2 has text"),
        (make_row(Message("user", [{"type": "text", "body": "A stork."}])), "message 1 holds a part with body, type"),
        (make_row(message_extras={"1": {"thinking": "Long legs."}}), "message 2 has thinking"),
        (make_row(message_extras={"1": {"loss_mask": [0, 1]}}), "message 2 has loss_mask"),
        (make_row(say=Message("assistant", ""), message_extras={"1": {"said": "A heron."}}), "message 2 is empty"),
        (make_row(Message("user", [TEXT, {"type": "web_search_result", "title": "x"}])), "message 1 holds a part of"),
        (make_row(rejected=[{"role": "assistant", "text": "A stork."}]), "the rejected answer has text"),
    ],
)
def test_content_under_another_key_is_an_error_that_names_it(row: Row, named: str) -> None:
    found = check_contents(row)
    assert found is not None
    assert found[0] == "unread-content"
    assert found[1].startswith(named)


def test_an_answer_that_people_found_bad_is_told() -> None:
    found = [check_judgement(make_row(**meta)) for meta in ({"desirable": False}, {"desirable": True}, {})]
    assert [fault and fault[0] for fault in found] == ["undesirable-answer", None, None]
    assert check_judgement(make_row(desirable=False, rejected="A stork.")) is None
