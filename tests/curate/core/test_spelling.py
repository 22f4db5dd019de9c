"""Texts that need no decoding are those whose tokens say all of them, and tokenizers that might lose some have none."""

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, WordLevel

from curate.core.base_model import find_base, load_chat_format
from curate.core.spelling import spelled_texts

DIGITS = pre_tokenizers.Digits(individual_digits=True)
LETTERS = Regex("[a-z]+")


def byte_level(without: str = "", **parts: Any) -> Tokenizer:
    """A tokenizer of single bytes that can't spell those in `without`."""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(without))
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def spelled(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    return spelled_texts(tokenizer.to_str())


CUTS = pre_tokenizers.Sequence(
    [DIGITS, pre_tokenizers.Split(LETTERS, "merged_with_next"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)
SURE = {
    "plain": byte_level(),
    "in cuts": byte_level(pre_tokenizer=CUTS),
    "in a normal form": byte_level(normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.NFKC()])),
    "without some": byte_level(without="Qz\u010a\u0121"),  # in a byte-level vocabulary, a line end and DEL
}


@pytest.mark.parametrize("name", SURE)
@given(text=st.text(st.characters(max_codepoint=0x17F), max_size=30))
def test_the_tokens_of_a_spelled_text_say_all_of_it(name: str, text: str) -> None:
    pattern, tokenizer = spelled(SURE[name]), SURE[name]
    assert pattern is not None
    said = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)
    assert said == text or not pattern.fullmatch(text)


def test_every_ascii_text_is_spelled_where_every_character_is_a_token() -> None:
    whole, some = spelled(SURE["plain"]), spelled(SURE["without some"])
    assert whole is not None
    assert some is not None
    ascii_text = "".join(map(chr, range(128)))
    assert whole.fullmatch(ascii_text)
    assert some.fullmatch(re.sub("[Qz\n\x7f]", "", ascii_text))
    assert not any(some.fullmatch(lost) for lost in ("Q", "a z", "\n", "\x7f", "é"))


@pytest.mark.parametrize(
    "tokenizer",
    [
        byte_level(pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Split(LETTERS, "removed"), CUTS])),
        byte_level(pre_tokenizer=pre_tokenizers.Whitespace()),
        byte_level(normalizer=normalizers.Lowercase()),
        byte_level(normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.StripAccents()])),
        byte_level(decoder=decoders.Fuse()),
        byte_level(model=BPE({"a": 0, "##b": 1}, [], continuing_subword_prefix="##")),
        byte_level(model=WordLevel({"a": 0, "?": 1}, unk_token="?")),
    ],
)
def test_a_tokenizer_that_might_lose_something_has_no_spelled_texts(tokenizer: Tokenizer) -> None:
    assert spelled(tokenizer) is None


def test_the_embedded_models_tokenizer_spells_english() -> None:
    form = load_chat_format(find_base("embedded:smollm2-135m", Path()))
    pattern = spelled_texts(form.tokenizer.backend_tokenizer.to_str())
    assert pattern is not None
    assert pattern.fullmatch(string.printable)
    assert not pattern.fullmatch("\x04")  # a byte that its vocabulary lacks
    assert form.tokenizer.decode(form.tokenizer.encode("\x04")) == ""
