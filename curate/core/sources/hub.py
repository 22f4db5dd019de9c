"""Datasets of the Hugging Face Hub, named as `hf:OWNER/NAME`: their files, fetched into the library's own cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from curate.core.errors import DataError, ServiceError, first_line
from curate.core.sources.layout import NO_RECORDS, SUFFIXES

PREFIX = "hf:"
_FORM = "write hf:OWNER/NAME, or hf:OWNER/NAME/data/*.parquet"
_SERVER_FAULT = 500


def fetch_dataset(value: str) -> list[tuple[str, Path]]:
    """The files that `hf:OWNER/NAME[@REVISION][/PATTERN]` names, each as a record shows it and where it is now.

    Raises: DataError where there is no such dataset or file, ServiceError where the Hub can't be reached.
    """
    repository, revision, pattern = _parts(value)
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise DataError("datasets of the Hub need a package", where=value, fix="pip install huggingface_hub") from error
    with _errors_of_hub(value):
        info = HfApi().dataset_info(repository, revision=revision)
    files = _chosen([one.rfilename for one in info.siblings or ()], pattern, value)
    with _errors_of_hub(value):
        folder = snapshot_download(repository, repo_type="dataset", revision=info.sha, allow_patterns=files)
    at = f"{PREFIX}{repository}@{info.sha}" if info.sha else f"{PREFIX}{repository}"
    return [(f"{at}/{name}", Path(folder) / name) for name in files]


@contextmanager
def _errors_of_hub(value: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise DataError(f"not a name of the Hub: {first_line(error)}", where=value, fix=_FORM) from error
    except Exception as error:  # whatever the library's connection raises
        if isinstance(error, HfHubHTTPError) and error.response.status_code < _SERVER_FAULT:
            fix = "check name and revision; for a private or gated one set HF_TOKEN or run `hf auth login`"
            raise DataError(f"no such dataset on the Hub: {first_line(error)}", where=value, fix=fix) from error
        fix = "check the network, or download the files and name their folder"
        raise ServiceError(f"the Hugging Face Hub doesn't answer: {first_line(error)}", where=value, fix=fix) from error


def _parts(value: str) -> tuple[str, str | None, str | None]:
    """The repository, the revision and the pattern for its files, as far as they are named."""
    owner, _, rest = value.removeprefix(PREFIX).partition("/")
    named, _, pattern = rest.partition("/")
    name, _, revision = named.partition("@")
    if not owner or not name:
        raise DataError("not a dataset of the Hub", where=value, fix=_FORM)
    return f"{owner}/{name}", revision or None, pattern or None


def _chosen(names: Sequence[str], pattern: str | None, value: str) -> list[str]:
    """The names of files with rows, by the pattern or all; those of several folders are never put together unsaid."""
    rows = sorted(one for one in names if one.lower().endswith(SUFFIXES) and Path(one).name not in NO_RECORDS)
    found = rows
    if pattern is not None:
        found = [one for one in rows if fnmatchcase(one, pattern) or one.startswith(f"{pattern.rstrip('/')}/")]
    folders = sorted({one.rpartition("/")[0] for one in found})
    shown = ", ".join(folder or "(top)" for folder in folders[:8])
    if pattern is None and len(folders) > 1:
        fix = f"name the files, such as {value}/{folders[-1]}/*"
        raise DataError(f"the dataset has rows in several folders: {shown}", where=value, fix=fix)
    if not found:
        fix = f"name some of these: {', '.join(rows[:8])}" if rows else "name a dataset with Parquet, JSON or CSV files"
        raise DataError("no files of rows", where=value, fix=fix)
    return found
