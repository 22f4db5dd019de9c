"""Checksums and number plans that tell a real number from a row of digits."""

# Length of an IBAN by country, from the public IBAN registry (ISO 13616).
_IBAN_TABLE = (
    "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27 "
    "DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28 "
    "IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 "
    "MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 "
    "SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30"
)
_IBAN_LENGTHS = {country: int(length) for country, length in (pair.split(":") for pair in _IBAN_TABLE.split())}

# Issuers' first digits and the lengths of their numbers (ISO/IEC 7812; ranges are inclusive).
_ISSUERS: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("6011", "6011", frozenset({16, 19})),  # Discover
    ("644", "659", frozenset({16, 19})),
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("1800", "1800", frozenset({15})),
    ("2131", "2131", frozenset({15})),
    ("300", "305", frozenset({14})),  # Diners Club
    ("36", "36", frozenset(range(14, 20))),
    ("38", "39", frozenset(range(14, 20))),
    ("62", "62", frozenset(range(16, 20))),  # UnionPay
    ("81", "81", frozenset(range(16, 20))),
    ("50", "50", frozenset(range(12, 20))),  # Maestro
    ("56", "58", frozenset(range(12, 20))),
    ("6304", "6304", frozenset(range(12, 20))),
    ("6759", "6763", frozenset(range(12, 20))),
    ("60", "60", frozenset({16})),  # RuPay
)


def passes_luhn(digits: str) -> bool:
    """Is the last digit the Luhn check digit of the others? Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str, *, any_issuer: bool = False) -> bool:
    """Is this a payment card's number: an issuer's range and length (or 12 to 19 digits), and a right check digit?"""
    issued = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    return (issued or (any_issuer and 12 <= len(digits) <= 19)) and len(set(digits)) > 1 and passes_luhn(digits)


def iban_length(country: str) -> int | None:
    """How many characters an IBAN of this country has; None for a country that has none."""
    return _IBAN_LENGTHS.get(country.upper())


def is_iban(compact: str) -> bool:
    """Is this an IBAN, written without spaces: its country's length, remainder 1 modulo 97? Source: ISO 13616-1."""
    if not (compact.isascii() and compact.isalnum()) or len(compact) != iban_length(compact[:2]):
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def is_ssn(area: str, group: str, serial: str) -> bool:
    """Can the US Social Security Administration have issued this? It never gives out 000, 666, 9xx, xx-00, or 0000."""
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
