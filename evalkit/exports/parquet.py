"""A table as a Parquet file, by polars in a process of its own: loading polars takes more memory than a whole run.

`python -m evalkit.exports.parquet KINDS` makes the file on standard output of the JSON lines on standard input.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Literal

import msgspec

from curate.core.errors import ServiceError

Kind = Literal["int32", "int64", "double", "text"]


def write_rows(file: IO[bytes], columns: Mapping[str, Kind], rows: Iterable[Sequence[Any]]) -> None:
    """Write a file whose rows hold a value or None for each column, in the columns' order.

    Raises: ServiceError where the process that makes it fails, with what it said.
    """
    kinds = msgspec.json.encode(columns).decode()
    command = [sys.executable, "-P", "-m", __name__, kinds]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=file, stderr=pipe) as process:  # noqa: S603 - this module itself
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            process.stdin.writelines(_line(dict(zip(columns, row, strict=True))) for row in rows)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended early: what it said tells why
        said = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode:
        what = said.splitlines()[-1] if said else f"exit code {process.returncode}"
        raise ServiceError(f"the table can't be written as Parquet: {what}", fix="export it as CSV")


def _line(row: Mapping[str, Any]) -> bytes:
    # A lone surrogate can stand in an answer and in no UTF-8 file.
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _main() -> None:
    import polars as pl

    types = {"int32": pl.Int32, "int64": pl.Int64, "double": pl.Float64, "text": pl.String}
    kinds = msgspec.json.decode(sys.argv[1], type=dict[str, Kind])
    schema = {name: types[kind] for name, kind in kinds.items()}
    lines = sys.stdin.buffer.read()
    table = pl.read_ndjson(lines, schema=schema) if lines else pl.DataFrame(schema=schema)
    table.write_parquet(sys.stdout.buffer, compression="zstd", statistics=False)


if __name__ == "__main__":
    _main()
