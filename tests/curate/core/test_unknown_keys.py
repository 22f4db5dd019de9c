"""Unknown keys: the nearest key is named, and where other tools' settings are here."""

from pathlib import Path

import pytest

from curate.core.config_file import parse_config
from curate.core.errors import ConfigError
from curate.recipe.recipe import Recipe
from trainer.config import TrainConfig

HEAD = "name: n\nbehaviour: b\noutput: o\n"
SOURCE = "sources: [{name: s, path: p"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}{SOURCE}}}]\ndedupe: null", "dedupe: unknown key: did you mean dedup? known are balance, base"),
        (f"{HEAD}{SOURCE}}}]\nchecks: {{}}", "checks: unknown key: known are balance"),
        (f"{HEAD}{SOURCE}}}]\ndedup: {{tresholt: 1}}", "dedup.tresholt: unknown key: did you mean threshold?"),
        (f"{HEAD}{SOURCE}}}]\nsplit: {{shares: {{training: 1}}}}", "did you mean train? known are test, train, val"),
        (f"{HEAD}{SOURCE}, formt: chat}}]", "sources.0.formt: unknown key: did you mean format? known are adapter, at"),
        (f"{HEAD}{SOURCE}, map: {{user: u, assistant: a}}}}]", "sources.0.map.user: unknown key: here it is prompt"),
        (f"{HEAD}{SOURCE}}}]\nscreens: {{pii: {{}}}}", "screens.pii: unknown key: here it is personal_data"),
    ],
)
def test_a_recipes_unknown_key_names_those_there_are(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, Recipe, Path("recipe.yaml"))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("base_model", "here it is base"),
        ("lora_r", "here it is lora.r"),
        ("lora_rank", "here it is lora.r"),
        ("num_train_epochs", "here it is epochs"),
        ("output-dir", "here it is output"),
        ("learnign_rate", "did you mean learning_rate?"),
        ("neftune_noise_alpha", "known are base, batch_rows"),
    ],
)
def test_other_trainers_names_are_known(key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"base: b\ndataset: d\noutput: o\n{key}: 1\n", TrainConfig, Path("train.yaml"))
    assert f"{key}: unknown key: {said}" in str(caught.value)


def test_a_name_from_elsewhere_is_not_told_where_no_such_key_is() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{HEAD}{SOURCE}}}]\nlora_r: 8\n", Recipe, Path("recipe.yaml"))
    assert "here it is" not in str(caught.value)
