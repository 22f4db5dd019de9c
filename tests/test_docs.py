"""What the documents say has to be so: commands, files, versions, decision records."""

import re
import tomllib
from pathlib import Path

import click
import pytest

import curate.cli.main
import evalkit.cli.main
import trainer.cli

ROOT = Path(__file__).resolve().parents[1]
RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
LAB = sorted(path for path in (ROOT / "docs" / "lab").glob("*.md") if path.name != "README.md")
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        "*.md",
        "docs/*/*.md",
        "curate/**/*.md",
        "trainer/**/*.md",
        "evalkit/**/*.md",
        "rubrics/*.md",
        "samples/*/README.md",
    )
    for path in ROOT.glob(pattern)
)
MAX_RECORD_LINES = 35  # a decision that needs more is two, or belongs in the lab
PROGRAMS = {"curate": curate.cli.main.cli, "trainer": trainer.cli.cli, "evalkit": evalkit.cli.main.cli}


def _commands(document: str) -> list[list[str]]:
    """The command lines of our programs in a document's shell blocks, as words."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)
    lines = [line.split("#")[0].strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [words for line in lines if (words := line.split()) and words[0] in PROGRAMS]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_commands_exist_with_their_flags(document: str) -> None:
    for program, *words in _commands(document):
        command: click.Command = PROGRAMS[program]
        for word in words:
            if isinstance(command, click.Group) and not word.startswith("-"):
                takes_words = any(isinstance(parameter, click.Argument) for parameter in command.params)
                assert takes_words or word in command.commands, f"{document}: {program} has no command {word}"
                command = command.commands.get(word, command)
            elif word.startswith("--") and word not in ("--help", "--version"):
                flags = {flag for parameter in command.params for flag in parameter.opts}
                assert word.split("=")[0] in flags, f"{document}: {program} {command.name} has no flag {word}"


def test_the_readme_shows_every_step_of_the_demo() -> None:
    makefile = (ROOT / "Makefile").read_text()
    readme = (ROOT / "README.md").read_text()
    steps = re.findall(r"\$\(BIN\)/((?:curate|trainer|evalkit) .*)", makefile)
    assert len(steps) >= 3
    for step in steps:
        assert step in readme


@pytest.mark.parametrize("document", DOCUMENTS)
def test_local_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), f"{document} links to {target}"


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_has_its_parts_and_is_short(record: Path) -> None:
    text = record.read_text()
    title, _, status, *_ = text.splitlines()
    assert re.match(rf"# {int(record.name[:4])}\. \S", title)
    assert re.match(r"Status: (accepted|replaced by \S+) \d{4}-\d{2}-\d{2}", status)
    assert re.findall(r"^## (.+)", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= MAX_RECORD_LINES


def test_decision_records_are_numbered_without_a_gap() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("pages", [RECORDS, LAB], ids=["adr", "lab"])
def test_an_index_lists_every_page_of_its_folder(pages: list[Path]) -> None:
    index = (pages[0].parent / "README.md").read_text()
    assert not [page.name for page in pages if f"]({page.name})" not in index]


def _walk(path: str, command: click.Command) -> list[tuple[str, click.Command]]:
    """A command and those below it, with the words that call each."""
    below = command.commands.items() if isinstance(command, click.Group) else ()
    return [(path, command), *(found for name, inner in below for found in _walk(f"{path} {name}", inner))]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_has_help_with_an_example(program: str) -> None:
    for path, command in _walk(program, PROGRAMS[program]):
        assert command.help, f"{path} has no help"
        assert path in command.help, f"{path} --help shows no example"
