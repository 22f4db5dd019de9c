"""Configuration files: every fault at once, each with its line."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from curate.core.config_file import Config, load_config, parse_config
from curate.core.errors import ConfigError, DataError

HERE = Path("some/recipe.yaml")


class Inner(Config):
    """A part of a file."""

    size: int = Field(gt=0)
    kind: str = "plain"


class Whole(Config):
    """A file."""

    name: str
    parts: tuple[Inner, ...] = ()


def test_a_good_file_is_a_frozen_model() -> None:
    whole = parse_config("name: x\nparts:\n  - size: 2\n", Whole, HERE)
    assert whole == Whole(name="x", parts=(Inner(size=2),))


def test_all_faults_come_together_with_their_lines() -> None:
    text = "title: x\nparts:\n  - size: 2\n  - size: -1\n    colour: red\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Whole, HERE)
    message = str(caught.value)
    assert f"4 mistakes in {HERE}" in message
    assert f"{HERE}:1: name: missing" in message
    assert f"{HERE}:1: title: unknown key" in message
    assert f"{HERE}:4: parts.1.size: Input should be greater than 0" in message
    assert f"{HERE}:5: parts.1.colour: unknown key" in message
    assert caught.value.exit_code == 2


class _Square(Config):
    kind: Literal["square"]


class _Circle(Config):
    kind: Literal["circle"]


class _Drawing(Config):
    shapes: list[Annotated[_Square | _Circle, Field(discriminator="kind")]]


@pytest.mark.parametrize(
    ("shape", "fault"),
    [
        ("{kind: sqare}", "unknown 'kind' 'sqare': known are square, circle"),
        ("{}", "the key 'kind', which says what it is, is missing"),
    ],
)
def test_of_several_kinds_the_known_ones_are_named(shape: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"shapes:\n  - {shape}\n", _Drawing, HERE)
    assert f"{HERE}:2: shapes.0: {fault}" in str(caught.value)


def test_a_key_given_twice_is_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"recipe.yaml:3: name: given twice"):
        parse_config("name: x\nparts: []\nname: y\n", Whole, HERE)


@pytest.mark.parametrize(("text", "place"), [("name: [x\n", ":2"), ("- a\n", ""), ("", ""), ("name: \tx: y:\n", ":1")])
def test_what_is_not_a_mapping_is_refused(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Whole, HERE)
    assert str(HERE) + place in str(caught.value)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as missing:
        load_config(tmp_path / "none.yaml", Whole)
    assert missing.value.where == str(tmp_path / "none.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(latin, Whole)


def test_yaml_never_makes_python_objects() -> None:
    with pytest.raises(ConfigError):
        parse_config("name: !!python/object/apply:os.getcwd []\n", Whole, HERE)
