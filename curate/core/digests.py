"""Digests: of what artefacts are made of SHA-256, written as `sha256:<hex>`; of many short texts BLAKE2b, as bytes."""

import hashlib
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import msgspec

from curate.core.errors import os_errors
from curate.core.files import refuse_device

_CHUNK_BYTES = 1 << 20  # large enough that hashing, not reading, is the cost


def canonical_json(value: object) -> bytes:
    """`value` as UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes."""
    return msgspec.json.encode(value, order="deterministic")


def digest_bytes(data: bytes) -> str:
    """The digest of these bytes."""
    return digest_parts([data])


def digest_parts(parts: Iterable[bytes]) -> str:
    """The digest of all parts as one text."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return "sha256:" + state.hexdigest()


def digest_text(text: str) -> str:
    """The digest of this text's UTF-8 bytes; unpaired surrogates are kept, not refused."""
    return digest_bytes(text.encode("utf-8", "surrogatepass"))


def digest_json(value: object) -> str:
    """The digest of `value`'s canonical JSON."""
    return digest_bytes(canonical_json(value))


def blake2b_of_each(data: bytes | memoryview, ends: Iterable[int], width: int, start: bytes = b"") -> bytes:
    """The BLAKE2b digests of many texts, one behind the other.

    Args:
        data: the texts' bytes, one behind the other.
        ends: where each text ends in `data`.
        width: bytes a digest.
        start: what each text is taken to begin with.
    """
    started, view = hashlib.blake2b(start, digest_size=width), memoryview(data)
    found = []
    for begin, end in pairwise([0, *ends]):
        state = started.copy()  # a third quicker than a new one
        state.update(view[begin:end])
        found.append(state.digest())
    return b"".join(found)


def digest_file(path: Path) -> str:
    """The digest of a file's bytes. Raises: AcidtestError naming the file where it can't be read."""
    refuse_device(path)
    with os_errors(path), path.open("rb") as file:
        return digest_parts(iter(lambda: file.read(_CHUNK_BYTES), b""))


def digest_folder(folder: Path, names: list[str] | None = None) -> str:
    """The digest over names and contents of a folder's files (all of them, or those in `names`), sorted by name."""
    chosen = names if names is not None else [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    return digest_json({name: digest_file(folder / name) for name in sorted(chosen)})
