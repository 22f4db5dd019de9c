"""YAML from anybody: a value, or one error with its line and what to do, at once."""

import itertools
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.core.config_file import Config, load_config, parse_config
from curate.core.errors import ConfigError
from curate.core.yaml_text import parse_yaml

HERE = Path("recipe.yaml")


def repeated(leaf: str, link: str, levels: int = 12) -> str:
    """Each level holds the one before nine times."""
    names = [f"v{number}" for number in range(levels)]
    lines = [f"{names[0]}: &{names[0]} {leaf}"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} {link.format(', '.join([f'*{before}'] * 9))}")
    return "\n".join(lines)


HOSTILE = {
    "aliases of aliases": (repeated("[1, 2]", "[{}]"), "more than 10000 values"),
    "merges of merges": (repeated("{a: 1, b: 2}", "{{<<: [{}]}}"), "more than 10000 values"),
    "many values": ("a: [" + "1, " * 30_000 + "1]", "more than 10000 values"),
    "a list in itself": ("a: 1\nb: &b [*b]", "the value *b holds itself"),
    "a mapping merged into itself": ("a: 1\nb: &b {<<: *b}", "the value *b holds itself"),
    "2,000 levels": ("a: " + "[" * 2000 + "]" * 2000, "more than 64 levels"),
    "levels by alias": (repeated("[" * 40 + "]" * 40, "[[[[[[[[{:.3}]]]]]]]]"), "more than 64 levels"),
    "2,000 open brackets": ("a: " + "[" * 2000, "more than 64 levels"),
    "a day that isn't": ("a: 2026-02-30", "'2026-02-30' is no date; text stands in quotes"),
    "an hour that isn't": ("a: 2026-02-20T25:00:00Z", "is no date"),
    "5,000 digits": ("a: " + "7" * 5000, "is no whole number"),
    "65 bits": ("a: 9223372036854775808", "a number beyond 64 bits"),
    "infinity": ("a: -.inf", "no finite number"),
    "no number": ("a: .nan", "no finite number"),
    "a tag that lies": ("a: !!int seven", "'seven' is no whole number"),
    "another": ("a: !!bool perhaps", "'perhaps' is no boolean"),
    "a third": ("a: !!float much", "'much' is no number"),
    "a Python object": ("a: !!python/name:os.system", "the tag !!python/name:os.system means nothing here"),
    "an unknown tag": ("a: !secret x", "the tag !secret means nothing here"),
    "bytes": ("a: !!binary aGVsbG8=", "binary is no kind of value"),
    "no character": ('a: "\\UFFFFFFFF"', "there is no such character"),
    "half a character": ('a: "\\uD83D"', "half of a character"),
    "an escaped NUL": ('a: "b\\0c"', "a NUL character"),
    "a NUL": ("a: b\0c", "the character U+0000 can't stand in YAML"),
    "a key of many parts": ("? [a, b]\n: 1", "found unhashable key"),
    "a tab": ("a:\n\tb: 1", "cannot start any token"),
    "two documents": ("a: 1\n---\na: 2", "another document"),
    "a very long text": ("a: " + "long " * 300_000, "more than 1,000,000 characters"),
}


@pytest.mark.parametrize(("text", "fault"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_used_is_one_error_at_once(text: str, fault: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, HERE)
    assert time.process_time() - started < 2  # a tenth of it, where nothing else runs
    assert fault in caught.value.what
    assert str(caught.value.where).startswith(str(HERE))
    assert caught.value.fix


def test_the_line_is_that_of_the_fault() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml("name: x\nlist:\n  - 1\n  - 2026-13-01\n", HERE)
    assert caught.value.where == f"{HERE}:4"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: &x {n: 1}\nb: {<<: *x, m: 2}", {"a": {"n": 1}, "b": {"n": 1, "m": 2}}),
        ("label: no\non: =", {"label": "no", "on": "="}),
        ("", None),
    ],
)
def test_what_is_meant_well_is_read(text: str, value: object) -> None:
    assert parse_yaml(text, HERE).value == value


PIECES = st.sampled_from(
    ["a", "b: ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "&a ", "*a", "<<: ", "? ", ": ", "!!int ", "!x ",
     "|", ">", '"', "'", "\\x", "\\U", "2026-11-31", "1:99", "0x", "9" * 30, ".inf", "%", "@", "#", "---", "...", "~",
     "=", "\t"]
)  # fmt: skip


class Anything(Config):
    """A file."""

    a: int = 0
    b: str = ""


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
@example("? {a: 1}\n: 2")
@example("a: !!timestamp {}")
@example("!!int ")
@example("a: !!float\n")
def test_no_text_is_more_than_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml(text, HERE)


@pytest.mark.parametrize("data", ["a: 1\n".encode("utf-16"), b"\xff\xfe\x00", "a: caf\xe9".encode("latin-1")])
def test_other_encodings_are_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(ConfigError, match="not UTF-8 text") as caught:
        load_config(tmp_path / "x.yaml", Anything)
    assert caught.value.fix == "save the file as UTF-8"


def test_a_device_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="more than 1,000,000 characters"):
        load_config(Path("/dev/zero"), Anything)


def test_of_many_faults_twenty_are_shown() -> None:
    text = "".join(f"key{number}: 1\n" for number in range(50))
    with pytest.raises(ConfigError, match="50 mistakes") as caught:
        parse_config(text, Anything, HERE)
    assert "and 30 more" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 23
