"""Folders that curate or `datasets` wrote, named as input: which of their files hold rows, and which are an index."""

import json
from pathlib import Path
from typing import Any

from curate.core.errors import DataError
from curate.core.manifest import MANIFEST, SIDES, peek_manifest
from curate.core.paths import find_path

INDEX_RECORD = "index.json"
_SPLITS, _STATE = "dataset_dict.json", "state.json"


def index_folder(value: str, folder: Path) -> Path | None:
    """The folder of the index that `value` names, None where it names something else."""
    path = find_path(value, folder)
    return path if (path / INDEX_RECORD).is_file() and not (path / MANIFEST).exists() else None


def row_files(path: Path) -> list[Path] | None:
    """The files with the rows of a dataset or of a stage's output, None for a folder that is just files.

    Rejected rows, evidence, canaries and records stand beside them; sides without rows are left out. Raises: DataError
    for a folder of `datasets` that isn't whole.
    """
    if (manifest := peek_manifest(path / MANIFEST)) is not None:
        outputs = manifest.outputs
        files = [f"{side}.jsonl" for side in SIDES if f"{side}.jsonl" in outputs]
        return [path / name for name in files if outputs[name].rows]
    if (path / "kept.jsonl").is_file() and (path / "rejected.jsonl").is_file():
        return [path / "kept.jsonl"]
    return _saved_files(path)


def _saved_files(path: Path) -> list[Path] | None:
    """The files of a dataset, or of all splits of one, that `save_to_disk` of `datasets` wrote in this folder."""
    if (path / _SPLITS).is_file():
        splits = _described(path / _SPLITS).get("splits")
        return [file for split in splits or () for file in _saved_files(path / str(split)) or ()]
    if not (path / _STATE).is_file() or not (path / "dataset_info.json").is_file():
        return None
    state = _described(path / _STATE)
    if state.get("_indices_data_files") or (path / "indices.arrow").exists():
        fix = "save it again after `flatten_indices()`"
        raise DataError("the saved dataset is a selection of its files' rows", where=path, fix=fix)
    named = [path / str(file["filename"]) for file in state.get("_data_files") or () if "filename" in file]
    files = named or sorted(path.glob("data-*.arrow"))
    if missing := next((file for file in files if not file.is_file()), None):
        raise DataError("a file of the saved dataset is missing", where=missing, fix="copy the whole folder")
    return files


def _described(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"can't be read: {error}", where=path, fix="save the dataset again") from error
    return found if isinstance(found, dict) else {}
