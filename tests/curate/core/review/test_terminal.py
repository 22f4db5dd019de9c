"""A reviewer at a real terminal: 300 decisions, and a kill in their middle that loses none."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curate.core.review.decisions import Event, read_events
from tests.curate.core.review.decks import record, write_rows

pytest.importorskip("textual")

ROOT = Path(__file__).resolve().parents[4]
COUNT = 300
KEYS = ("a", "x", "3", "f", "space", "a", "7")
EXPECTED = {
    "a": ("keep", ""), "x": ("drop", ""), "f": ("flag", ""), "space": ("skip", ""),
    "3": ("drop", "off topic"), "7": ("drop", "repeats another"),
}  # fmt: skip
CODE = "import sys; sys.argv[0] = 'curate'; from curate.cli.main import main; main()"


class Terminal:
    """A tmux session of its own, 80 by 24."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-S", str(folder / "socket"), "-f", "/dev/null"]
        self._rows = folder / "rows.jsonl"

    def tmux(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def start(self) -> int:
        """Start a review, wait for its screen, and return its process."""
        command = [
            "env",
            f"PYTHONPATH={ROOT}",
            sys.executable,
            "-c",
            CODE,
            "review",
            str(self._rows),
            "--reviewer",
            "ann",
        ]
        self.tmux("new-session", "-d", "-x", "80", "-y", "24", *command)
        wait_for(lambda: "? keys" in self.screen())
        return int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def screen(self) -> str:
        try:
            return self.tmux("capture-pane", "-p")
        except subprocess.CalledProcessError:
            return ""

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *("Space" if key == "space" else key for key in keys))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    write_rows(tmp_path / "rows.jsonl", [record(number) for number in range(COUNT)])
    made = Terminal(tmp_path)
    yield made
    subprocess.run([*made._tmux, "kill-server"], check=False, capture_output=True)


def wait_for(what: Callable[[], object], patience_s: float = 120) -> None:
    end = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.1)


def events(folder: Path) -> list[Event]:
    return read_events(folder / "decisions.jsonl")


def said(found: list[Event]) -> list[tuple[str, tuple[str, str]]]:
    return [(event.item, (event.action, event.value)) for event in found]


@pytest.mark.system("tmux")
def test_three_hundred_decisions_with_a_kill_in_their_middle(terminal: Terminal, tmp_path: Path) -> None:
    script = [KEYS[number % len(KEYS)] for number in range(COUNT)]
    expected = [(f"r{number}", EXPECTED[key]) for number, key in enumerate(script)]
    process = terminal.start()
    terminal.press(*script[:100])
    wait_for(lambda: len(events(tmp_path)) >= 100)
    terminal.press(*script[100:150])
    wait_for(lambda: len(events(tmp_path)) > 110)
    os.kill(process, signal.SIGKILL)  # keys that were pressed and not taken yet are lost, decisions are not
    wait_for(lambda: not terminal.screen())
    done = len(events(tmp_path))
    assert said(events(tmp_path)) == expected[:done]
    assert 110 < done <= 150

    with (tmp_path / "decisions.jsonl").open("ab") as journal:
        journal.write(b'{"seq":999,"at":"2026')  # a line that a kill cut short
    terminal.start()
    assert f"{done} done, {COUNT - done} left" in terminal.screen()
    terminal.press(*script[done:])
    wait_for(lambda: len(events(tmp_path)) == COUNT)
    assert said(events(tmp_path)) == expected
    assert [event.seq for event in events(tmp_path)] == list(range(1, COUNT + 1))
    wait_for(lambda: "300 done, 0 left" in terminal.screen())
    terminal.press("u", "u")
    wait_for(lambda: len(events(tmp_path)) == COUNT + 2)
    assert [event.item for event in events(tmp_path)[COUNT:]] == ["r299", "r298"]
    terminal.tmux("resize-window", "-x", "20", "-y", "5")
    terminal.press("a")
    wait_for(lambda: len(events(tmp_path)) == COUNT + 3)
    terminal.press("q")
    wait_for(lambda: not terminal.screen())
