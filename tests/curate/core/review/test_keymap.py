"""One table of keys; other keys are taken where they do not clash."""

import re
from pathlib import Path

import pytest

from curate.core.errors import ConfigError
from curate.core.review.keymap import find_key, load_keys, make_keys
from curate.core.review.layout import footer
from curate.review.rejected_deck import KIND as REJECTED
from curate.review.rejected_deck import PAIRS
from curate.review.rows_deck import row_kind

KINDS = [row_kind(), row_kind(["refund", "cancel"]), REJECTED, PAIRS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.digits or kind.name)
def test_no_key_does_two_things(kind) -> None:  # type: ignore[no-untyped-def]
    keys = make_keys(kind)
    every = [key for one in keys for key in (one.key, one.also) if key]
    assert len(set(every)) == len(every)
    assert len({one.name for one in keys}) == len(keys)


def test_the_default_keys() -> None:
    named = {one.key: one.name for one in make_keys(row_kind())}
    expected = "a keep x drop e edit f flag space skip u undo U redo n note j next k previous ] next-pending"
    expected += " [ previous-pending g go-to / filter c cluster d diff m metadata v raw b bulk ? help q quit 1 1 9 9"
    words = expected.split()
    assert dict(zip(words[::2], words[1::2], strict=True)).items() <= named.items()


def test_a_keymap_changes_keys_for_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("keys:\n  keep: y\n  edit: i\n")
    keys = load_keys(row_kind(), path)
    assert [find_key(keys, key).name for key in ("y", "i")] == ["keep", "edit"]  # type: ignore[union-attr]
    assert find_key(keys, "a") is None
    assert find_key(load_keys(REJECTED, path), "y") is not None


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"keep": "x"}, "keep: 'x' is the key of drop too"),
        ({"keep": "down"}, "keep: 'down' is the key of next too"),
        ({"keep": "ctrl+a"}, "keep: 'ctrl+a' is not one key"),
        ({"kept": "y"}, "kept: nothing is called so"),
    ],
)
def test_conflicts_are_refused(changed: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)):
        make_keys(row_kind(), changed)


def test_keys_can_be_swapped() -> None:
    keys = make_keys(row_kind(), {"keep": "x", "drop": "a"})
    assert find_key(keys, "x").name == "keep"  # type: ignore[union-attr]


@pytest.mark.parametrize("width", [3, 20, 80, 160])
def test_the_footer_always_leads_to_the_help(width: int) -> None:
    texts = [text for text, _ in footer(make_keys(row_kind()), width, "1-9 why")]
    assert texts[-1] == " ? keys "
    assert sum(map(len, texts)) <= max(width, len(texts[-1]))
