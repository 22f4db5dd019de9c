"""Light imports only: the processes started here import this module again."""

import multiprocessing
from pathlib import Path

from curate.core.chat.base_model import made_once


def _convert(target: Path, marks: Path) -> None:
    def make(folder: Path) -> None:
        (marks / multiprocessing.current_process().name).touch()
        (folder / "weights").write_bytes(b"x" * 1000)

    made_once(target, make)


def test_processes_that_convert_a_model_at_once_do_it_once(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_convert, args=(tmp_path / "model", marks)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)  # a bound for a machine that is busy, not a measure
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(list(marks.iterdir())) == 1
    assert (tmp_path / "model" / "weights").stat().st_size == 1000
