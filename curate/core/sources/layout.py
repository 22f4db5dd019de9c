"""How a file is laid out: what its source says of it, and what stands for the rest to be found out."""

import codecs
from dataclasses import dataclass

PACKED = (".gz", ".zst", ".bz2", ".xz")
_JSON, _DELIMITED = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv")
_BINARY = (".parquet", ".arrow", ".feather", ".xlsx")
SUFFIXES = (*(f"{name}{packed}" for name in (*_JSON, *_DELIMITED) for packed in ("", *PACKED)), *_BINARY)
"""What the names of files with rows end in, where a folder is named and not its files."""

# What `curate review` leaves beside rows, and what `datasets` says of them.
NO_RECORDS = frozenset({"decisions.jsonl", "dataset_info.json", "dataset_infos.json", "state.json"})


@dataclass(frozen=True, slots=True)
class Layout:
    """What a source says of its files; None is found out from the file itself.

    `header` is whether the first line of a table holds the names of its columns, or these names, where the file
    doesn't have them. `sheet` is one of a workbook's sheets, else the first.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | tuple[str, ...] = True
    sheet: str | None = None


AS_FOUND = Layout()


def is_delimited(name: str) -> bool:
    """Does a file of this name hold lines of fields?"""
    return unpacked_name(name).endswith(_DELIMITED)


def unpacked_name(name: str) -> str:
    """The name of what a packed file holds; names are taken as they are in other cases too."""
    name = name.lower()
    for suffix in PACKED:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def is_utf8(encoding: str) -> bool:
    """Is it UTF-8 by one of its names?"""
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig", "ascii"}
