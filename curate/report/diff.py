"""How two datasets differ: rows added, removed, changed and moved between sides, and what each stage took out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from curate.core.digests import digest_bytes
from curate.core.errors import DataError
from curate.core.manifest import MANIFEST, SIDES, peek_manifest
from curate.core.rows.row import Row, encode_row

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids of rows. Changed: the same id, other content. Moved: the same row on another side, `id: from -> to`.

    Renamed: the same content under another id. `stages` has, for each stage that differs, the rows it left out in both.
    """

    rows: tuple[int, int]
    added: list[str]
    removed: list[str]
    changed: list[str]
    moved: list[str]
    renamed: list[str]
    stages: dict[str, tuple[int, int]]

    @property
    def is_different(self) -> bool:
        """Does any row differ?"""
        return bool(self.added or self.removed or self.changed or self.moved or self.renamed)

    def summary(self) -> dict[str, Any]:
        """Everything, for `--json`."""
        return {
            "different": self.is_different,
            "rows": list(self.rows),
            **{name: getattr(self, name) for name in ("added", "removed", "changed", "moved", "renamed")},
            "stages": {name: list(pair) for name, pair in self.stages.items()},
        }

    def sentences(self) -> Iterator[str]:
        """What differs, for people."""
        yield f"rows: {self.rows[0]} and {self.rows[1]}"
        for name in ("added", "removed", "changed", "moved", "renamed"):
            ids = getattr(self, name)
            more = f", and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            yield f"{name}: {len(ids)}" + (f" ({', '.join(ids[:_SHOWN])}{more})" if ids else "")
        for name, (before, after) in self.stages.items():
            yield f"stage {name}: {before} rows left out, now {after}"


@dataclass(frozen=True, slots=True)
class _Rows:
    sides: dict[str, list[str]]
    digests: dict[str, Counter[str]]
    stages: dict[str, int]

    @property
    def count(self) -> int:
        return sum(map(len, self.sides.values()))


def compare(a: Path, b: Path) -> Difference:
    """How `b` differs from `a`: dataset folders, or files of rows. Raises: DataError where one can't be read."""
    old, new = _read(a), _read(b)
    added = sorted(new.sides.keys() - old.sides.keys())
    removed = sorted(old.sides.keys() - new.sides.keys())
    both = sorted(old.sides.keys() & new.sides.keys())
    changed = [name for name in both if old.digests[name] != new.digests[name]]
    moved = [
        f"{name}: {'+'.join(old.sides[name])} -> {'+'.join(new.sides[name])}"
        for name in both
        if old.digests[name] == new.digests[name] and old.sides[name] != new.sides[name]
    ]
    by_content = {digest: name for name in removed for digest in old.digests[name]}
    pairs = {name: by_content[digest] for name in added for digest in new.digests[name] if digest in by_content}
    names = dict.fromkeys([*old.stages, *new.stages])
    stages = {name: (old.stages.get(name, 0), new.stages.get(name, 0)) for name in names}
    return Difference(
        rows=(old.count, new.count),
        added=[name for name in added if name not in pairs],
        removed=[name for name in removed if name not in set(pairs.values())],
        changed=changed,
        moved=moved,
        renamed=[f"{before} -> {after}" for after, before in pairs.items()],
        stages={name: pair for name, pair in stages.items() if pair[0] != pair[1]},
    )


def _read(path: Path) -> _Rows:
    from curate.build.one_stage import read_rows

    manifest = None
    files = {"rows": path}
    if path.is_dir():
        manifest = peek_manifest(path / MANIFEST)
        files = {side: path / f"{side}.jsonl" for side in SIDES if (path / f"{side}.jsonl").is_file()}
        if not files:
            raise DataError("no dataset: no train.jsonl, val.jsonl or test.jsonl", where=path, fix="name its folder")
    sides: dict[str, list[str]] = {}
    digests: dict[str, Counter[str]] = {}
    for side, file in files.items():
        if side != "rows" and not file.stat().st_size:
            continue  # a side that got no rows
        for entry in read_rows([str(file)], form="chat" if side != "rows" else None).rows:
            row = entry.row
            sides.setdefault(row.id, []).append(side)
            digests.setdefault(row.id, Counter())[_content(row)] += 1
    stages = {stage.name: stage.rejected for stage in manifest.stages} if manifest is not None else {}
    return _Rows(sides, digests, stages)


def _content(row: Row) -> str:
    """The digest of all of a row but its id."""
    return digest_bytes(encode_row(msgspec.structs.replace(row, id="")))
