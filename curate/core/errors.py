"""One small tree of errors: what went wrong, where, and what to do about it.

Trouble with one row, item or call is a value (a rejection, an unscored score) and never one of these.
These are for trouble with the job. `console.run` turns them into a message and an exit code.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class AcidtestError(Exception):
    """A job can't go on. `what` happened, `where` (path:line, key, id), and `fix`: what the user can do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix

    def __str__(self) -> str:
        """The three parts on a line each, those that are there."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  to do: {self.fix}")
        return "\n".join(lines)


class ConfigError(AcidtestError):
    """A configuration file or a flag can't be used as it is."""

    exit_code = 2


class DataError(AcidtestError):
    """Input data is missing, unreadable, or leaves nothing to work with."""

    exit_code = 3


class ProvenanceError(AcidtestError):
    """An artefact doesn't match the digests of what it says it came from."""

    exit_code = 4


class ServiceError(AcidtestError):
    """A model, a service, a disk or other hardware isn't there or doesn't answer."""

    exit_code = 5


# What to do about the faults of a file system that users meet; anything else is shown as the system words it.
_OS_FIXES = {
    errno.ENOENT: "check the path; relative paths in a config file start at that file's folder",
    errno.EACCES: "give yourself permission to it, or name another place",
    errno.EPERM: "give yourself permission to it, or name another place",
    errno.EROFS: "the file system is read-only: name another place",
    errno.ENOSPC: "free some disk space and run the same command again: finished work is kept",
    errno.EDQUOT: "your disk quota is used up: free some space and run the same command again",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "a part of this path is a file where a folder should be",
}
_HARDWARE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, in a line: its first, or its name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def from_os_error(error: OSError, where: str | Path | None = None) -> AcidtestError:
    """The `AcidtestError` for an `OSError`: a service error where hardware is at fault, else a data error."""
    place = where if where is not None else error.filename
    kind = ServiceError if error.errno in _HARDWARE else DataError
    what = error.strerror or str(error) or type(error).__name__
    fix = _OS_FIXES.get(error.errno) if error.errno is not None else None
    return kind(what, where=place, fix=fix)


@contextmanager
def os_errors(where: str | Path) -> Iterator[None]:
    """Translate any `OSError` in the block into an error that names `where`."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, where) from error
