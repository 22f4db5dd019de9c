"""Texts that need no decoding are those whose tokens say all of them, and tokenizers that might lose some have none."""

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, WordLevel

from curate.core.chat.base_model import find_base, load_chat_format
from curate.core.chat.token_text import Spelling

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


def spelling(tokenizer: Tokenizer) -> Spelling:
    return Spelling(tokenizer.to_str())


CUTS = pre_tokenizers.Sequence(
    [DIGITS, pre_tokenizers.Split(LETTERS, "merged_with_next"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)
SURE = {
    "plain": byte_level(),
    "in cuts": byte_level(pre_tokenizer=CUTS),
    "in a normal form": byte_level(normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.NFKC()])),
    "without some": byte_level(without="Qz\u010a\u0121"),  # in a byte-level vocabulary, a line end and DEL
}


WITH_TURNS = byte_level(pre_tokenizer=CUTS)
WITH_TURNS.add_special_tokens(["<|end|>", "<turn>"])
WITH_TURNS.add_tokens([AddedToken("é", normalized=False)])
TEXTS = st.lists(st.text(st.characters(max_codepoint=0x17F), max_size=9) | st.sampled_from(["<|end|>", "<turn>", " "]))


@pytest.mark.parametrize("name", SURE)
@given(text=st.text(st.characters(max_codepoint=0x17F), max_size=30))
def test_the_tokens_of_a_whole_text_say_all_of_it(name: str, text: str) -> None:
    tokenizer = SURE[name]
    said = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)
    assert said == text or not spelling(tokenizer).is_whole(text)


def test_every_ascii_text_is_whole_where_every_character_is_a_token() -> None:
    every, some = spelling(SURE["plain"]), spelling(SURE["without some"])
    ascii_text = "".join(map(chr, range(128)))
    assert every.is_whole(ascii_text)
    assert some.is_whole(re.sub("[Qz\n\x7f]", "", ascii_text))
    assert not any(some.is_whole(lost) for lost in ("Q", "a z", "\n", "\x7f", "é"))


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
def test_a_tokenizer_that_might_lose_something_makes_no_text_whole(tokenizer: Tokenizer) -> None:
    assert not spelling(tokenizer).is_whole("a")
    assert not spelling(tokenizer).knows_places("a")


@given(pieces=TEXTS)
def test_tokens_stand_where_an_encoding_says(pieces: list[str]) -> None:
    text, known = "".join(pieces), spelling(WITH_TURNS)
    assume(known.knows_places(text))
    expected = WITH_TURNS.encode(text, add_special_tokens=False)
    found = known.places(expected.ids)
    assert (len(found), found.offsets) == (len(expected), expected.offsets)
    for at in range(len(text) + 1):
        assert found.char_to_token(at) == expected.char_to_token(at)


@pytest.mark.parametrize(
    "parts",
    [
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=True)},
        {"post_processor": processors.ByteLevel(trim_offsets=True)},
        {"post_processor": processors.Sequence([processors.ByteLevel(trim_offsets=True)])},
    ],
)
def test_places_are_not_told_where_sizes_do_not_add_up_to_them(parts: dict[str, Any]) -> None:
    known = spelling(byte_level(**parts))
    assert known.is_whole("a b")
    assert not known.knows_places("a b")


def test_a_token_that_takes_the_spaces_around_it_leaves_places_untold() -> None:
    tokenizer = byte_level()
    assert spelling(tokenizer).knows_places("a <mask> b")
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    assert not spelling(tokenizer).knows_places("a <mask> b")


def test_the_embedded_models_tokenizer_spells_english() -> None:
    form = load_chat_format(find_base("embedded:smollm2-135m", Path()))
    backend = form.tokenizer.backend_tokenizer
    known = spelling(backend)
    assert known.knows_places(string.printable)
    assert not known.is_whole("\x04")  # a byte that its vocabulary lacks
    assert backend.encode("\x04").ids == []
    text = "<|im_start|>user\nWhat's 12 + 30?<|im_end|>\n"
    expected = backend.encode(text, add_special_tokens=False)
    assert known.places(expected.ids).offsets == expected.offsets
