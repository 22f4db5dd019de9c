"""Datasets of the Hub, with the library's two functions exchanged: which files are fetched, and what is said."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curate.core.errors import DataError, ServiceError
from curate.core.sources.records import find_inputs

huggingface_hub = pytest.importorskip("huggingface_hub")
Serve = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Puts files into a dataset of the Hub; what it returns fills with the requests made."""

    def put(*names: str) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def info(_: object, repository: str, *, revision: str | None = None) -> SimpleNamespace:
            asked.append({"repository": repository, "revision": revision})
            return SimpleNamespace(sha="abc1", siblings=[SimpleNamespace(rfilename=name) for name in names])

        def download(repository: str, **settings: Any) -> str:
            asked.append({"repository": repository, **settings})
            return str(tmp_path)

        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", info)
        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        return asked

    return put


def test_the_files_with_rows_are_fetched_at_one_revision(tmp_path: Path, serve: Serve) -> None:
    asked = serve("README.md", "data/train-0.parquet", "data/train-1.parquet", ".gitattributes", "dataset_infos.json")
    found = find_inputs("hf:someone/talks@v2", Path())
    assert [one.shown for one in found] == [f"hf:someone/talks@abc1/data/train-{number}.parquet" for number in (0, 1)]
    assert found[0].path == tmp_path / "data" / "train-0.parquet"
    assert asked[0] == {"repository": "someone/talks", "revision": "v2"}
    assert (asked[1]["revision"], asked[1]["repo_type"]) == ("abc1", "dataset")
    assert asked[1]["allow_patterns"] == ["data/train-0.parquet", "data/train-1.parquet"]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("hf:someone/talks/en", ["en/train.jsonl", "en/test.jsonl"]),
        ("hf:someone/talks/*/train*", ["de/train.jsonl", "en/train.jsonl"]),
        ("hf:someone/talks@v1/de/test.jsonl", ["de/test.jsonl"]),
    ],
)
def test_a_pattern_chooses_files(serve: Serve, value: str, names: list[str]) -> None:
    serve("de/test.jsonl", "de/train.jsonl", "en/test.jsonl", "en/train.jsonl")
    assert {one.shown.partition("@abc1/")[2] for one in find_inputs(value, Path())} == set(names)


@pytest.mark.parametrize(
    ("value", "names", "what"),
    [
        ("hf:someone/talks", ["en/a.jsonl", "de/a.jsonl"], "several folders: de, en"),
        ("hf:someone/talks", ["README.md"], "no files of rows"),
        ("hf:someone/talks/fr/*", ["en/a.jsonl"], "name some of these: en/a.jsonl"),
        ("hf:talks", [], "write hf:OWNER/NAME"),
    ],
)
def test_what_cannot_be_chosen_is_said(serve: Serve, value: str, names: list[str], what: str) -> None:
    serve(*names)
    with pytest.raises(DataError, match=what):
        find_inputs(value, Path())


def test_without_a_network_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fail)
    with pytest.raises(ServiceError, match="no route to host"):
        find_inputs("hf:someone/talks", Path())
