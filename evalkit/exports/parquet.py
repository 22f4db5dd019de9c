"""A Parquet file written row by row: what a table of answers needs of the format, and no library of 25 MB.

Every column may hold nulls. Values are PLAIN, pages are compressed by gzip, a row group has one page a column.

Source: github.com/apache/parquet-format: README.md, Encodings.md, and parquet.thrift in Thrift's compact protocol.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any, Literal

import numpy as np

Kind = Literal["int32", "int64", "double", "text"]

_ROWS = 4096  # of a row group: what is in memory at a time
_MAGIC = b"PAR1"
_TYPES: dict[Kind, int] = {"int32": 1, "int64": 2, "double": 5, "text": 6}
_DTYPES = {"int32": "<i4", "int64": "<i8", "double": "<f8"}
_OPTIONAL, _UTF8, _PLAIN, _RLE, _GZIP, _DATA_PAGE = 1, 0, 0, 3, 2, 0
# Thrift's compact protocol: the types of fields, and of what lists hold.
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


def write_rows(file: IO[bytes], columns: Mapping[str, Kind], rows: Iterable[Sequence[Any]]) -> None:
    """Write a file whose rows hold a value or None for each column, in the columns' order."""
    position = file.write(_MAGIC)
    groups, count = [], 0
    for some in _in_groups(rows):
        chunks, start = [], position
        for place, (name, kind) in enumerate(columns.items()):
            page, plain_bytes = _page([row[place] for row in some], kind)
            chunks.append(_chunk(name, kind, len(some), position, len(page), plain_bytes))
            position += file.write(page)
        groups.append(_thrift((1, _LIST, (_STRUCT, chunks)), (2, _I64, position - start), (3, _I64, len(some))))
        count += len(some)
    root = _thrift((4, _BINARY, b"schema"), (5, _I32, len(columns)))
    schema = [root, *(_schema(name, kind) for name, kind in columns.items())]
    footer = _thrift(
        (1, _I32, 1),
        (2, _LIST, (_STRUCT, schema)),
        (3, _I64, count),
        (4, _LIST, (_STRUCT, groups)),
        (6, _BINARY, b"acidtest"),
    )
    file.write(footer + struct.pack("<I", len(footer)) + _MAGIC)


def _in_groups(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    left = iter(rows)
    while some := list(islice(left, _ROWS)):
        yield some


def _page(values: Sequence[Any], kind: Kind) -> tuple[bytes, int]:
    """One data page with its header, and how many bytes it has uncompressed."""
    there = np.array([value is not None for value in values])
    # One run of bits that says for each row whether it has a value: its header counts bytes, the lowest bit marks bits.
    levels = _varint((there.size + 7) // 8 << 1 | 1) + np.packbits(there, bitorder="little").tobytes()
    present = [value for value in values if value is not None]
    if kind == "text":
        # A lone surrogate can stand in an answer and in no UTF-8 file.
        texts = [value.encode("utf-8", "replace") for value in present]
        plain = b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))
    else:
        plain = np.array(present, _DTYPES[kind]).tobytes()
    data = struct.pack("<I", len(levels)) + levels + plain
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: with gzip's own header
    packed = packer.compress(data) + packer.flush()
    about = _thrift((1, _I32, len(values)), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE))
    header = _thrift((1, _I32, _DATA_PAGE), (2, _I32, len(data)), (3, _I32, len(packed)), (5, _STRUCT, about))
    return header + packed, len(header) + len(data)


def _schema(name: str, kind: Kind) -> bytes:
    fields: list[tuple[int, int, Any]] = [(1, _I32, _TYPES[kind]), (3, _I32, _OPTIONAL), (4, _BINARY, name.encode())]
    if kind == "text":
        fields += [(6, _I32, _UTF8), (10, _STRUCT, _thrift((1, _STRUCT, _thrift())))]
    return _thrift(*fields)


def _chunk(name: str, kind: Kind, rows: int, start: int, size: int, plain_size: int) -> bytes:
    encodings = [_zigzag(_PLAIN), _zigzag(_RLE)]
    about = _thrift(
        (1, _I32, _TYPES[kind]),
        (2, _LIST, (_I32, encodings)),
        (3, _LIST, (_BINARY, [_binary(name.encode())])),
        (4, _I32, _GZIP),
        (5, _I64, rows),
        (6, _I64, plain_size),
        (7, _I64, size),
        (9, _I64, start),
    )
    return _thrift((2, _I64, start), (3, _STRUCT, about))


def _thrift(*fields: tuple[int, int, Any]) -> bytes:
    """A struct in the compact protocol; of each field its id, its type and its value, structs already encoded."""
    made, before = bytearray(), 0
    for field, kind, value in fields:
        made.append((field - before) << 4 | kind)
        before = field
        if kind == _LIST:
            element, entries = value
            made += bytes([len(entries) << 4 | element]) if len(entries) < 15 else bytes([0xF0 | element])
            made += b"" if len(entries) < 15 else _varint(len(entries))
            made += b"".join(entries)
        elif kind == _BINARY:
            made += _binary(value)
        else:
            made += value if kind == _STRUCT else _zigzag(value)
    return bytes(made) + b"\0"


def _binary(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else -number << 1 | 1)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)
