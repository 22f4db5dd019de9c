"""A starter: the packaged function-calling example as files of the user's own."""

from pathlib import Path

from curate.core.errors import ConfigError, os_errors
from curate.core.files import write_text
from curate.core.installation import shipped_folder

_SAMPLE = "toolcalls"
_SUFFIXES = frozenset({".yaml", ".py", ".md"})
# Where the sample's outputs go in a checkout; a starter keeps them beside its files.
_SAMPLE_OUTPUTS = "../../demo/"


def write_starter(folder: Path, *, dry_run: bool = False) -> list[Path]:
    """Copy the example's files into `folder` and return their paths there; a dry run only names them.

    Raises: ConfigError where one is there already.
    """
    origin = shipped_folder("samples") / _SAMPLE
    with os_errors(origin):
        files = sorted(file for file in origin.iterdir() if file.suffix in _SUFFIXES)
        texts = {folder / file.name: file.read_text(encoding="utf-8") for file in files}
    there = [path.name for path in texts if path.exists()]
    if there:
        raise ConfigError(f"{', '.join(there)} would be overwritten", where=folder, fix="name another folder")
    for path, text in texts.items() if not dry_run else ():
        write_text(path, text.replace(_SAMPLE_OUTPUTS, ""))
    return list(texts)
