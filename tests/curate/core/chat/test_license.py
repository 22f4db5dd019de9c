"""Which licence a base model's card names."""

from pathlib import Path

import pytest

from curate.core.chat.base_model import CARD, BaseModel, card_license


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlicense: mit\ntags: [a]\n---\n# A model\n", "mit"),
        ("---\r\nlicense: [mit, cc-by-4.0]\r\n---\r\n", "mit, cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: house-terms\n---\n", "house-terms"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense:\n---\n", None),
        ("---\ntags: [a]\n---\nlicense: mit\n", None),
        ("# A model\nlicense: mit\n", None),
        ("---\nlicense: &a [*a]\n---\n", None),
        ("---\n- mit\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_in_a_card(tmp_path: Path, card: str, said: str | None) -> None:
    (tmp_path / CARD).write_text(card, newline="")
    assert card_license(tmp_path / CARD) == said
    assert BaseModel("mine", folder=tmp_path).license() == said


def test_a_model_without_a_card_names_none(tmp_path: Path) -> None:
    assert BaseModel("mine", folder=tmp_path).license() is None


def test_the_embedded_model_names_its_own(tmp_path: Path) -> None:
    assert BaseModel("embedded:smollm2-135m", gguf=tmp_path / "x.gguf").license() == "apache-2.0"
