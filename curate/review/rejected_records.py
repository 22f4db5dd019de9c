"""The records of `rejected.jsonl` as rows again, each read as its source says: so that they compare with kept ones."""

from functools import cached_property, lru_cache
from pathlib import Path

from curate.core.errors import AcidtestError
from curate.core.manifest import MANIFEST, peek_manifest
from curate.core.paths import find_path
from curate.core.rows.row import Row
from curate.core.sources.layout import is_delimited
from curate.core.sources.record import Record
from curate.core.sources.record_to_row import RowReader, Unread
from curate.core.sources.records import Input
from curate.core.sources.row_readers import make_reader
from curate.core.sources.source import Source
from curate.review.built_by import built_by
from curate.table.rejections import Rejection
from curate.table.stage import Context


class RejectedRecords:
    """Reads rejected records of a dataset. What an adapter or a join made rows of is left as it is: no code is run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader_of = lru_cache(None)(self._find_reader)

    @cached_property
    def _context(self) -> Context:
        return built_by(self._folder)

    @cached_property
    def _inputs(self) -> dict[str, tuple[Source, str | None]]:
        """The source of each file, by the path that rejections have, and the format that it was read in."""
        manifest = peek_manifest(self._folder / MANIFEST)
        sources = {source.name: source for source in self._context.recipe.sources}
        found: dict[str, tuple[Source, str | None]] = {}
        for one in manifest.inputs if manifest is not None else ():
            source = sources.get(one.name)
            if one.kind == "source" and source is not None and source.adapter is None and not source.join:
                found.setdefault(one.path, (source, one.format if isinstance(one.format, str) else None))
        return found

    @property
    def compared(self) -> str:
        """What was compared to find near duplicates."""
        dedup = self._context.recipe.dedup
        return f"the {dedup.on if dedup is not None else 'prompt'}s"

    def row(self, rejection: Rejection) -> Row | None:
        """The row that was rejected, None where the record is none or its source isn't known."""
        if (reader := self._reader_of(rejection.path)) is None:
            return None
        raw = rejection.raw.encode("utf-8", "replace")
        try:
            found = reader.find(Record(rejection.line, 0, raw, self._fields(rejection)))
        except AcidtestError:  # its file, which has the names of its columns, is gone
            return None
        return None if isinstance(found, Unread) else found[0]

    def _find_reader(self, path: str) -> RowReader | None:
        if path not in self._inputs:
            return None
        source, form = self._inputs[path]
        return make_reader(source, Input(path, find_path(path, self._context.folder), form or "unknown"), None, {})

    def _fields(self, rejection: Rejection) -> dict[str, str] | None:
        """What a line of a table says; a row that was changed since it was read is JSON wherever it comes from."""
        if not is_delimited(rejection.path) or rejection.raw.startswith("{"):
            return None
        from curate.core.sources.delimited import fields_of

        source = self._inputs[rejection.path][0]
        return fields_of(find_path(rejection.path, self._context.folder), source.layout, rejection.raw)
