import itertools
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.recipe.screens import PersonalData
from curate.screen.personal import find_personal
from curate.screen.spans import cut
from tests.curate.screen.finding import ALL_TYPES, personal

FOUND = [
    ("write to bob.smith+x@mail.example.co.uk.", "email", "bob.smith+x@mail.example.co.uk"),
    ("Email:bob@example.com", "email", "bob@example.com"),
    ("jürgen@müller.de schreibt", "email", "jürgen@müller.de"),
    ("Ring +44 20 7946 0958 now", "phone", "+44 20 7946 0958"),
    ("at (212) 555-0123.", "phone", "(212) 555-0123"),
    ("212.555.0123 x45", "phone", "212.555.0123 x45"),
    ("fax +46 (0)8 928 571 38", "phone", "+46 (0)8 928 571 38"),
    ("0049 30 901820", "phone", "0049 30 901820"),
    ("unter 030 9018 2030 erreichbar", "phone", "030 9018 2030"),
    ("appelez le 01.84.17.61.18", "phone", "01.84.17.61.18"),
    ("call me on 9472 7916", "phone", "9472 7916"),
    ("Phone:\n467 3395", "phone", "467 3395"),
    ("pay to GB82 WEST 1234 5698 7654 32 today", "iban", "GB82 WEST 1234 5698 7654 32"),
    ("DE89370400440532013000", "iban", "DE89370400440532013000"),
    ("card 4111 1111 1111 1111 12/27", "card", "4111 1111 1111 1111"),
    ("4111-1111-1111-1111", "card", "4111-1111-1111-1111"),
    ("378282246310005,", "card", "378282246310005"),
    ("2 4111 1111 1111 1111", "card", "4111 1111 1111 1111"),
    ("SSN 123-45-6789", "ssn", "123-45-6789"),
    ("my social security number is 123456789", "ssn", "123456789"),
    ("from 8.8.4.4:53", "ip", "8.8.4.4"),
    ("host 2a00:1450:4009:81f::200e", "ip", "2a00:1450:4009:81f::200e"),
    ("born on 12 March 1984 in Rome", "date-of-birth", "12 March 1984"),
    ("DOB: 03/12/1984", "date-of-birth", "03/12/1984"),
    ("連絡先は080-2345-6789まで", "phone", "080-2345-6789"),
    ("연락처 010-2345-6789입니다", "phone", "010-2345-6789"),
    ("电话13912345678，谢谢", "phone", "13912345678"),
    ("電話：０８０－２３４５－６７８９", "phone", "０８０－２３４５－６７８９"),
    ("هاتف ٠٥٠٢٣٤٥٦٧٨", "phone", "٠٥٠٢٣٤٥٦٧٨"),
    ("宛先はbob@example.comです", "email", "bob@example.com"),
    ("邮箱：bob＠example.com。", "email", "bob＠example.com"),
    ("bob [at] example [dot] com", "email", "bob [at] example [dot] com"),
    ("bob(at)mail.example.com", "email", "bob(at)mail.example.com"),
    ("カード4111111111111111です", "card", "4111111111111111"),
    ("ping 9.9.9.9 fails", "ip", "9.9.9.9"),
    ("reached me, text me at 94727916", "phone", "94727916"),
]
NOT_FOUND = [
    "bob@localhost, @bob, bob@, a@b",
    "icon@2x.png",
    "git@github.com:owner/name.git",
    "released on 2020-06-20 at 12:33:52",
    "order 123 456 789 costs 1,234,567.89",
    "pi is 3.14159265358979",
    "1990-2000 and 2021/2022",
    "your order number is 9472 7916",
    "01.02.2021 12 rows",
    "GB83 WEST 1234 5698 7654 32",
    "4111 1111 1111 1112",
    "id 1234567812345670",
    "123-45-0000 and 000-45-6789",
    "part 123-45-6789-1",
    "version 1.2.3.4, v8.8.8.8",
    "999.1.1.1 or 1.2.3",
    "Clause 2.4.1.3 and § 4.2.1.1 apply",
    "upgrade from 2.0.1.4 to 2.0.1.5",
    "the plugin 4.7.2.9 hangs",
    "call bar(9472791634) and bar(x, [9472791634])",
    "call it with 3000000 rows",
    "the call returned 9472791",
    "the answer is 9472791",
    "reach 52.520008, 13.404954",
    "Receipt 2023-0045-2345-6789 and receipt no. 0045-2345-6789",
    "module 415-555-0199-07",
    "call for uuid 123e4567-e89b-12d3-a456-426614174000",
    "std::vector<int>, Face::add, 12:30:45",
    "127.0.0.1 and 192.168.1.10",
    "the meeting on 12 March 1984",
    "[EMAIL] [PHONE] [IBAN] [CARD] [SSN] [IP] [DATE-OF-BIRTH]",
]


@pytest.mark.parametrize(("text", "kind", "what"), FOUND)
def test_finds(text: str, kind: str, what: str) -> None:
    assert personal(text) == [(kind, what)]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_passes_over(text: str) -> None:
    assert personal(text) == []


def test_types_that_are_not_asked_for_are_not_found() -> None:
    assert personal("bob@example.com 8.8.4.4", types=["ip"]) == [("ip", "8.8.4.4")]


def test_private_addresses_count_when_asked_for() -> None:
    assert personal("127.0.0.1", private_addresses=True) == [("ip", "127.0.0.1")]


def test_context_alone_makes_no_phone_number_when_that_is_off() -> None:
    assert personal("call me on 9472 7916", phone_by_context=False) == []
    assert personal("call me on (212) 555-0123", phone_by_context=False) == [("phone", "(212) 555-0123")]


def test_a_word_vouches_for_a_card_number_outside_the_issuers_ranges() -> None:
    assert personal("my credit card 1234567812345670") == [("card", "1234567812345670")]


def test_a_password_in_a_url_is_no_e_mail_address() -> None:
    assert personal("https://bob:pass@example.com/x") == []
    assert personal("https://example.com/?q=bob@example.com") == [("email", "bob@example.com")]


ascii_digits_and_marks = st.text("0123456789 +-.()/@:abcexGBDE\n\x00\x1eé漢😀[]", max_size=120)
pieces = st.lists(
    st.sampled_from([text for text, _, _ in FOUND] + NOT_FOUND) | ascii_digits_and_marks | st.text(max_size=20),
    max_size=6,
).map(" ".join)


@given(pieces)
def test_spans_are_ordered_apart_and_inside_the_text(text: str) -> None:
    spans = find_personal(pl.Series([text]), PersonalData(types=ALL_TYPES)).get(0, [])
    for before, after in itertools.pairwise(spans):
        assert before.end <= after.start
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        assert re.search(r"\d|[@＠]|at", text[span.start : span.end])
        assert not text[span.start : span.end].isspace()
        assert "\n" not in text[span.start : span.end]
        assert "\x1e" not in text[span.start : span.end]


@given(pieces)
def test_cutting_replaces_the_spans_and_nothing_else(text: str) -> None:
    spans = find_personal(pl.Series([text]), PersonalData()).get(0, [])
    left = cut(text, spans)
    expected = text
    for span in reversed(spans):
        expected = expected[: span.start] + f"[{span.kind.upper()}]" + expected[span.end :]
    assert left == expected


@pytest.mark.parametrize(
    "unit",
    ["1", "a", "1 ", "(1", "a.", "a@", "1.", "1:", "ab12", "+1", "12345678 ", "born 1/1/", "://a:", "\x00"],
)
def test_long_runs_of_anything_end(unit: str) -> None:
    """A pattern that tries every division of a run would not come back from these in this universe's time."""
    text = unit * (100_000 // len(unit))
    assert len(personal(text)) <= len(text) // 7
