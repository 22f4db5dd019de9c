"""The shape of the code, kept by tests: folders, names, imports, exception lines that carry their reason."""

import ast
import functools
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("curate", "trainer", "evalkit")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_FOLDER_FILES = 24  # about 20 is what a newcomer can look through; the rest is room for what is added next
MAX_FLAT_FILES = 3  # entry points of a package; the rest is in folders named after the work
NOT_COUNTED = {"__init__.py", "__main__.py"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_file_is_named_after_what_it_holds() -> None:
    assert not [_id(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES]


@pytest.mark.parametrize("package", PACKAGES)
def test_at_the_top_of_a_package_are_entry_points_alone(package: str) -> None:
    flat = [path.name for path in (ROOT / package).glob("*.py") if path.name not in NOT_COUNTED]
    assert len(flat) <= MAX_FLAT_FILES, flat


def test_a_folder_has_no_more_files_than_can_be_looked_through() -> None:
    top = [ROOT / package for package in PACKAGES]
    counts = Counter(path.parent for path in SOURCES if path.name not in NOT_COUNTED and path.parent not in top)
    assert not {_id(folder): count for folder, count in counts.items() if count > MAX_FOLDER_FILES}


def test_architecture_md_has_a_line_for_each_folder() -> None:
    named = re.findall(r"^- `(\S+)/`: ", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted({_id(path.parent) for path in SOURCES} - set(PACKAGES))


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=_id)
def test_a_folder_says_in_a_sentence_what_it_holds(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert re.fullmatch(r"[A-Z`][^\n]+[.?]", text)


def test_of_curate_the_others_use_only_the_core() -> None:
    """A contract of import-linter would have to list every other module; this one holds for those to come as well."""
    strays = [
        f"{importing} -> {imported}"
        for importing, targets in _imports().items()
        for imported in targets
        if importing.split(".")[0] != "curate"
        and imported.split(".")[0] == "curate"
        and imported.split(".")[:2] != ["curate", "core"]
    ]
    assert not strays


def test_no_module_imports_one_that_imports_it() -> None:
    """Imports for the type checker alone, and those inside of functions, count: they are read as others are."""
    circles = _circles(_imports())
    assert not circles, "\n".join(f"{len(circle)} modules: {', '.join(circle)}" for circle in circles)


def test_circles_are_found() -> None:
    imports = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"e"}, "f": {"a", "d"}}
    assert _circles(imports) == [["a", "b", "c"], ["e"]]


@functools.cache
def _imports() -> dict[str, set[str]]:
    """What each module of the packages imports of them, wherever the import stands."""
    names = {_module(path): path for path in SOURCES}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        targets: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                assert not node.level, f"{_id(path)}: imports are written out"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= {one if one in names else node.module for one in inner}
        found[name] = targets & names.keys()
    return found


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Modules that reach one another, the most first: those that a module reaches and that reach it."""
    reached: dict[str, set[str]] = {}
    for name in imports:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = imports[waiting.pop()] - seen
            seen |= new
            waiting += new
        reached[name] = seen
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in imports}
    return sorted((sorted(circle) for circle in circles if circle), key=lambda circle: (-len(circle), circle))


def test_every_silenced_check_says_why() -> None:
    bare = [
        f"{_id(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"#\s*(noqa|type: ignore)(\S*|\[[^\]]*\]|: [A-Z0-9, ]+)\s*$", line)
    ]
    assert not bare, "a silenced check needs its reason on the same line"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_command_line_starts_without_the_heavy_libraries(package: str) -> None:
    """What keeps `--help` under 0.2 s, tested without a clock: nothing slow is imported to show it."""
    heavy = (
        "torch",
        "transformers",
        "polars",
        "numba",
        "scipy",
        "altair",
        "rich",
        "pydantic",
        "jsonschema",
        "textual",
        "lancedb",
    )
    module = f"{package}.cli.main" if (ROOT / package / "cli" / "main.py").is_file() else f"{package}.cli"
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
