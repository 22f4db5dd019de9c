"""Folders that curate wrote, when they are named as input: which of their files hold rows, and which are an index."""

from pathlib import Path

from curate.core.manifest import MANIFEST, SIDES, peek_manifest
from curate.core.paths import find_path

INDEX_RECORD = "index.json"


def index_folder(value: str, folder: Path) -> Path | None:
    """The folder of the index that `value` names, None where it names something else."""
    path = find_path(value, folder)
    return path if (path / INDEX_RECORD).is_file() and not (path / MANIFEST).exists() else None


def row_files(path: Path) -> list[Path] | None:
    """The files with the rows of a dataset or of a stage's output, None where curate did not write the folder.

    Rejected rows, evidence, canaries and records stand beside them; sides without rows are left out.
    """
    if (manifest := peek_manifest(path / MANIFEST)) is not None:
        outputs = manifest.outputs
        files = [f"{side}.jsonl" for side in SIDES if f"{side}.jsonl" in outputs]
        return [path / name for name in files if outputs[name].rows]
    if (path / "kept.jsonl").is_file() and (path / "rejected.jsonl").is_file():
        return [path / "kept.jsonl"]
    return None
