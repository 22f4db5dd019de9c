from hypothesis import given
from hypothesis import strategies as st

from curate.screen.checksums import is_card, is_iban, is_ssn, passes_luhn

digits = st.text("0123456789", min_size=1, max_size=20)


def test_luhn_on_the_standard_example() -> None:
    assert passes_luhn("79927398713")
    assert [check for check in range(10) if passes_luhn(f"7992739871{check}")] == [3]


@given(digits)
def test_exactly_one_check_digit_fits_any_number(number: str) -> None:
    assert sum(passes_luhn(f"{number}{check}") for check in range(10)) == 1


def test_cards_need_issuer_length_and_check_digit() -> None:
    assert is_card("4111111111111111")
    assert is_card("378282246310005")
    assert not is_card("4111111111111112")
    assert not is_card("411111111111116")  # a Visa number never has 15 digits
    assert not is_card("1234567812345670")  # nobody issues 12..., though the check digit fits
    assert is_card("1234567812345670", any_issuer=True)
    assert not is_card("0000000000000000", any_issuer=True)


def test_ibans_need_the_length_of_their_country_and_remainder_one() -> None:
    assert is_iban("GB82WEST12345698765432")
    assert is_iban("de89370400440532013000")
    assert not is_iban("GB83WEST12345698765432")
    assert not is_iban("DE8937040044053201300")
    assert not is_iban("XX82WEST12345698765432")
    assert not is_iban("")


def test_social_security_numbers_that_were_never_issued() -> None:
    assert is_ssn("123", "45", "6789")
    assert not any((is_ssn("000", "45", "6789"), is_ssn("666", "45", "6789"), is_ssn("900", "45", "6789")))
    assert not any((is_ssn("123", "00", "6789"), is_ssn("123", "45", "0000")))
