from pathlib import Path

import pytest

from curate.core.errors import DataError, ServiceError
from curate.core.text.embedding import DEFAULT_EMBEDDER, Embedder, find_embedder
from evalkit.documents.config import DocumentsConfig
from evalkit.documents.reading import find_files
from evalkit.documents.store import FOLDER, PassageStore, fused, open_store

PAGES = {
    "battery.md": "# Battery\n\nThe cell of the Q-77 lasts 19 hours.\n",
    "returns.md": "# Sending back\n\nYou get your money again within nine days.\n",
    "care.md": "# Cleaning\n\nWipe the housing with a damp cloth.\n",
}
QUESTIONS = ["How long until I receive a refund?", "q-77", "xyzzy"]


@pytest.fixture
def embedder() -> Embedder:
    return find_embedder(DEFAULT_EMBEDDER, Path())


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text)
    return tmp_path


def opened(docs: Path, embedder: Embedder | None, *, kept: bool = True, **settings: object) -> PassageStore:
    config = DocumentsConfig.model_validate({"paths": ["docs"], **settings})
    return open_store(find_files(["docs"], docs), config, embedder, docs / "out" if kept else None)


def names(store: PassageStore, found: list[int]) -> list[str]:
    return [store.passages[n].file for n in found]


def test_vectors_find_by_meaning_words_by_letters_and_hybrid_both(docs: Path, embedder: Embedder) -> None:
    store = opened(docs, embedder)
    by_meaning = store.search(QUESTIONS, 1, "vector")
    assert names(store, by_meaning[0]) == ["returns.md"]
    by_words = store.search(QUESTIONS, 1, "text")
    assert names(store, by_words[1]) == ["battery.md"]
    assert by_words[2] == []  # no word of the question is in the documents
    both = store.search(QUESTIONS, 3, "hybrid")
    assert names(store, both[0])[0] == "returns.md"
    assert names(store, both[1])[0] == "battery.md"
    assert [len(found) for found in both] == [3, 3, 3]


def test_a_question_is_words_and_never_syntax(docs: Path) -> None:
    store = opened(docs, None, ranking="text")
    [found] = store.search(['"damp AND (cloth:^ ~ *'], 2, "text")
    assert names(store, found) == ["care.md"]


def test_one_question_and_many_find_the_same(docs: Path, embedder: Embedder) -> None:
    store = opened(docs, embedder)
    many = store.search(QUESTIONS * 50, 2, "hybrid")
    assert [store.search([question], 2, "hybrid")[0] for question in QUESTIONS] == many[:3] == many[-3:]


def test_a_store_is_made_once_and_again_when_a_document_changes(docs: Path, embedder: Embedder) -> None:
    first = opened(docs, embedder)
    [place] = [path for path in (docs / "out" / FOLDER).iterdir() if path.is_dir()]
    made = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    again = opened(docs, embedder, top=1, ranking="vector")  # how it is asked doesn't change what is stored
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()} == made
    assert again.passages == first.passages
    (docs / "docs" / "care.md").write_text("# Cleaning\n\nUse sand.\n")
    changed = opened(docs, embedder)
    assert "Use sand." in [passage.text for passage in changed.passages]


def test_equal_passages_come_in_the_order_of_the_files(docs: Path, embedder: Embedder) -> None:
    for name in ("x1.md", "x2.md", "x3.md"):
        (docs / "docs" / name).write_text("Wipe the housing with a damp cloth.")
    store = opened(docs, embedder, kept=False)
    for ranking in ("vector", "text", "hybrid"):
        [found] = store.search(["Wipe the housing with a damp cloth."], 4, ranking)  # type: ignore[arg-type]  # one of the three
        same = [name for name in names(store, found) if name.startswith("x")]
        assert same == ["x1.md", "x2.md", "x3.md"]


def test_unreadable_documents_are_kept_with_the_store(docs: Path) -> None:
    (docs / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4")
    for _ in range(2):  # made, then read
        [item] = opened(docs, None, ranking="text").unreadable
        assert item.file == "broken.pdf"


def test_documents_without_any_text_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.bin").write_bytes(b"\0")
    with pytest.raises(DataError, match="no document holds any text"):
        opened(tmp_path, None, ranking="text")
    assert not list((tmp_path / "out").rglob("*.lance"))


def test_a_damaged_store_is_named_with_what_to_do(docs: Path) -> None:
    opened(docs, None, ranking="text")
    for path in (docs / "out").rglob("*.manifest"):
        path.write_bytes(b"")
    with pytest.raises(ServiceError, match="can't be read"):
        opened(docs, None, ranking="text")


def test_fusion_prefers_what_both_rankings_know() -> None:
    assert fused([[1, 2, 3], [4, 3, 1]]) == [1, 3, 4, 2]
    assert fused([[5, 6], [6, 5]]) == [5, 6]
