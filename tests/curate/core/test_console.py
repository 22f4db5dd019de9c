"""What commands say shows what would act on a terminal, instead of doing it."""

import json

import pytest

from curate.core.console import print_json, progress, say, show, warn

NASTY = "\x1b]0;title\x07 \x1b[2J\x1b[1A \u202eesrever \x9b31m \r gone"


def acts(text: str) -> bool:
    return any(sign in text for sign in "\x1b\x07\r\x9b\u202e")


@pytest.mark.parametrize("speak", [say, show, warn])
def test_names_do_not_act_on_the_terminal(speak: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(speak)
    speak(f"the source {NASTY}")
    out, err = capsys.readouterr()
    assert "␛[2J" in out + err
    assert "‹U+202E›" in out + err
    assert not acts(out + err)


def test_json_says_the_same_and_does_not_act(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": NASTY})
    out = capsys.readouterr().out
    assert not acts(out)
    assert json.loads(out) == {"name": NASTY}


def test_progress_does_not_act(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.core.console._LOG_EVERY_S", 0.0)
    with progress(f"[red]{NASTY}", 1) as advance:
        advance(1, NASTY)
    assert not acts(capsys.readouterr().err)
