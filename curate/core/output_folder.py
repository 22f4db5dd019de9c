"""The folder that a command writes: never one that holds what it reads, or files that the user put there."""

from collections.abc import Iterable
from pathlib import Path

from curate.core.errors import ConfigError

_FIX = "name a folder of its own with `output:` or --output"


def check_contents(output: Path, read: Iterable[Path]) -> None:
    """Raises: ConfigError where a file that is read stands in the output folder beside those that are written."""
    folder = output.resolve()
    for path in read:
        if path.resolve().parent == folder:
            raise ConfigError("this file is read, and the output folder is its own", where=path, fix=_FIX)


def check_apart(output: Path, read: Iterable[Path]) -> None:
    """Raises: ConfigError where a file or folder that is read is the output folder, or lies in it, by any path."""
    folder = output.resolve()
    for path in read:
        if path.resolve().is_relative_to(folder):
            raise ConfigError("what is read would be written over: it is the output, or in it", where=path, fix=_FIX)


def check_unclaimed(output: Path, names: Iterable[str], ours: Iterable[str]) -> None:
    """Raises: ConfigError where a file with one of the `names` is in the folder, and is none of `ours`."""
    for name in sorted({*names} - {*ours}):
        if (output / name).exists() or (output / name).is_symlink():
            what = f"{name} is in the output folder already, and was not written there by this command"
            raise ConfigError(what, where=output / name, fix=f"{_FIX}, or move the file away")
