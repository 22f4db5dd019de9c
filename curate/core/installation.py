"""Where acidtest stands: the data that comes with it, and whether another distribution has packages of its names."""

import importlib.util
from pathlib import Path

NAME = "acidtest"
PACKAGES = ("curate", "trainer", "evalkit")
_PACKAGE = Path(__file__).parents[1]
_CACHES = frozenset({"__pycache__"})


def shipped_folder(name: str) -> Path:
    """The folder of the rubrics or the samples: in this package where it was installed, beside it in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def find_intruder(place: Path = _PACKAGE.parent) -> str | None:
    """A sentence where another distribution has a package of one of our names here, None where none has.

    Two distributions with one package overwrite one another's files, or stand before one another on Python's path.
    Looks at a few names and sizes alone, since every command asks.

    Args:
        place: the folder that our packages are in.
    """
    listed = _listed(place)
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        if found is not None and found != place / name and not found.samefile(place / name):
            whose = _distribution(name, found.parent)
            return f"`import {name}` finds {whose} in {found}, not the {name} of {NAME} in {place / name}: {_FIX}"
        if listed and _is_mixed(place / name, listed):
            whose = _distribution(name, place)
            return (
                f"{place / name} holds files of {whose} beside those of {NAME}, and one of the two can't work: {_FIX}"
            )
    return None


_FIX = f"give {NAME} an environment of its own"


def _listed(place: Path) -> dict[str, str]:
    """The files that our wheel brought, with their sizes; empty in a checkout."""
    for record in place.glob(f"{NAME}-*.dist-info/RECORD"):
        parts = (line.rsplit(",", 2) for line in record.read_text(encoding="utf-8").splitlines())
        return {name: size for name, _, size in parts}
    return {}


def _is_mixed(folder: Path, listed: dict[str, str]) -> bool:
    """Is something in the package's folder that we didn't bring, or its first file another?"""
    own = {name.split("/")[1] for name in listed if name.startswith(f"{folder.name}/")}
    if own and any(entry.name not in own for entry in folder.iterdir() if entry.name not in _CACHES):
        return True
    size = listed.get(f"{folder.name}/__init__.py")
    return size is not None and size != str((folder / "__init__.py").stat().st_size)


def _distribution(package: str, place: Path) -> str:
    """What the distribution is called that brought this package there, beside ours."""
    from importlib import metadata  # 16 ms, and seldom needed

    for found in metadata.distributions(path=[str(place)]):
        if found.name != NAME and f"{package}/__init__.py," in (found.read_text("RECORD") or ""):
            return f"the distribution {found.name} {found.version}"
    return "another distribution"
