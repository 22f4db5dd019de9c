"""The shape of the code, kept by tests: sizes, names, exception lines that carry their reason."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("curate", "trainer", "evalkit")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_FILE_LINES = 400  # what a reader can hold; split past it
MAX_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    too_long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not too_long


def test_a_file_is_named_after_what_it_holds() -> None:
    assert not [_id(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES]


def test_of_curate_the_others_use_only_the_core() -> None:
    """A contract of import-linter would have to list every other module; this one holds for those to come as well.

    People review answers through the engine that they review rows through: `evalkit.review` uses `curate.review`.
    """
    strays = [
        f"{_id(path)}: {name}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] != "curate"
        for name in re.findall(r"^\s*(?:from|import) (curate[\w.]*)", path.read_text(), flags=re.MULTILINE)
        if name.split(".")[:2] != ["curate", "core"]
        and not (name.startswith("curate.review") and path.is_relative_to(ROOT / "evalkit" / "review"))
    ]
    assert not strays


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
    code = f"import sys, {package}.cli; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
