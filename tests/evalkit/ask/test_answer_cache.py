import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curate.core.errors import ServiceError
from evalkit.ask.answer_cache import FILE_NAME, open_cache, peek_cache
from evalkit.backends.types import Answer, failed


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    answers = {
        f"key {index}": Answer(text=f"\x00 é {index}", completion_tokens=index, latency_ms=1.5) for index in range(1200)
    }
    with open_cache(tmp_path) as cache:
        for key, answer in answers.items():
            cache.put(key, answer)
    with open_cache(tmp_path) as cache:
        assert cache.get([*answers, "unknown"]) == answers


def test_failed_answers_are_asked_again(tmp_path: Path) -> None:
    with open_cache(tmp_path) as cache:
        cache.put("key", failed("the server was gone"))
        assert cache.get(["key"]) == {}


def test_a_kill_leaves_every_answer_that_was_put(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from evalkit.ask.answer_cache import open_cache; "
        "from evalkit.backends.types import Answer\n"
        "with open_cache(Path(sys.argv[1])) as cache:\n"
        "    for i in range(7): cache.put(str(i), Answer(text=str(i)))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    assert ended.returncode == -signal.SIGKILL
    assert {key: answer.text for key, answer in peek_cache(tmp_path, map(str, range(9))).items()} == {
        str(i): str(i) for i in range(7)
    }


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert peek_cache(tmp_path, ["key"]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 100)

    with pytest.raises(ServiceError) as caught, open_cache(tmp_path):
        pass
    assert caught.value.where == str(tmp_path / FILE_NAME)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ServiceError), open_cache(tmp_path):
            pass
    finally:
        tmp_path.chmod(0o700)
