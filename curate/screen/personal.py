"""Personal data by pattern and checksum: e-mail, phone, IBAN, card, national ids, IP address, date of birth.

A first pass over the column by Rust's regex engine finds the rows that can hold something; Python reads only those.
Every quantifier here is bounded or starts where a run of its characters starts, so time grows with the length alone.
What no pattern can see, and this tier therefore misses: names, addresses, employers, anything told in words, and
numbers spelled out.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from curate.recipe.screens import PersonalData
from curate.screen.checksums import iban_length, is_card, is_iban, is_ssn
from curate.screen.national_ids import CANDIDATE as NATIONAL_ID
from curate.screen.national_ids import national_ids
from curate.screen.phones import phone_spans
from curate.screen.spans import Found, Span, without_overlaps
from curate.screen.written_digits import LETTERS, NOT_BEFORE_A_WORD, in_plain_digits

if TYPE_CHECKING:
    import polars as pl

Find = Callable[[str], Iterator[Span]]

# An address in ASCII first, so that none of a sentence in Chinese or Japanese around it is taken for a part of it.
_EMAIL_ASCII = re.compile(
    rf"(?<![{LETTERS}.%+\-])[A-Za-z0-9_.%+\-]{{1,64}}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{{0,61}}[A-Za-z0-9])?\.){{1,8}}"
    rf"[A-Za-z]{{2,24}}(?![{LETTERS}@])"
)
_EMAIL = re.compile(r"(?<![\w.%+\-])[\w.%+\-]{1,64}@(?:[^\W_](?:[\w\-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w@])")
# jana [at] example [dot] org; without brackets it would be a sentence.
_EMAIL_SPELT = re.compile(
    r"(?<![\w.%+\-])[\w.%+\-]{1,64} ?[\[({<] ?(?i:at) ?[\])}>] ?[a-zA-Z0-9\-]{1,63}"
    r"(?:(?:\.| ?[\[({<] ?(?i:dot|punkt|punto|point) ?[\])}>] ?)[a-zA-Z0-9\-]{1,63}){1,8}(?![\w@])"
)
_IMAGE_NAMES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp"})  # icon@2x.png
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ \u00a0\-]?[A-Za-z0-9]){11,40}")
_CARD = re.compile(rf"(?<![{LETTERS}.])[0-9](?:[ \u00a0\-]?[0-9]){{11,40}}{NOT_BEFORE_A_WORD}")
_CARD_BEFORE = re.compile(
    r"\b(?:card|cc|visa|mastercard|amex|maestro|kreditkarte|carte|tarjeta|carta)\b", re.IGNORECASE
)
_MIN_CARD_DIGITS, _MAX_CARD_DIGITS = 12, 19
_CARD_CHARACTERS = 32  # how far back such a word vouches for a number outside the issuers' ranges
_SSN = re.compile(rf"(?<![{LETTERS}.\-])([0-9]{{3}})([- ])([0-9]{{2}})\2([0-9]{{4}})(?![{LETTERS}\-]|\.[0-9])")
_SSN_BARE = re.compile(
    r"\b(?:ssn|social security)(?:\W{0,3}(?:number|no|is|of|was|my|her|his)\b){0,3}"
    r"\W{0,4}([0-9]{3})([0-9]{2})([0-9]{4})(?!\w)",
    re.IGNORECASE,
)
_IPV4 = re.compile(rf"(?<![{LETTERS}.])(?:[0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}(?![{LETTERS}]|\.[0-9])")
# What has numbers with dots that are no address: a release, a part of a text.
_NUMBERED_BEFORE = re.compile(
    r"(?:\bv|\bver|version|release|build|firmware|driver|kernel|update|upgrade|patch|§|\bsec|section|chapter|clause|article"
    r"|figure|\bfig|table|appendix|annex|paragraph|\bpara|\bitem|\bstep|\bpart|exercise|theorem|lemma|requirement|rule"
    r"|kapitel|abschnitt|artikel|chapitre|cap[íi]tulo|capitolo|secci[óo]n|sezione)s?\W{0,2}(?:(?:no|nr|number)\.? )?$",
    re.IGNORECASE,
)
# Addresses with four numbers as small as these are rare, and so a network has to be named or seen beside them.
_SMALL_NUMBER = 32
_NETWORK_BEFORE = re.compile(
    r"\bips?\b|ipv4|address|host|server|\bdns\b|resolver|gateway|router|\bping|traceroute|subnet|proxy|\bnode\b|client|network"
    r"|log(?:ged|in)|connect|connection|traffic|request|visitor|\bssh\b|curl|://|@|adresse|dirección|indirizzo",
    re.IGNORECASE,
)
_NETWORK_CHARACTERS = 32
_PORT_AFTER = re.compile(r":[0-9]{1,5}\b|/[0-9]{1,2}\b")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_BORN = re.compile(
    r"(?:\bborn\b|birth(?:day|date)?\b|\bd\.?o\.?b\b|\bgeboren\b|geburtsdatum|\bnée?\b|nacimiento|nacid[oa]\b|nascita)",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATE = re.compile(
    r"(?<![\w./\-])(?:[0-3]?[0-9][./\-][0-3]?[0-9][./\-](?:19|20)?[0-9]{2}"
    r"|(?:19|20)[0-9]{2}[./\-][01]?[0-9][./\-][0-3]?[0-9]"
    rf"|[0-3]?[0-9](?:st|nd|rd|th)?(?: of)? {_MONTH},? (?:19|20)[0-9]{{2}}"
    rf"|{_MONTH} [0-3]?[0-9](?:st|nd|rd|th)?,? (?:19|20)[0-9]{{2}})"
    r"(?![\w/\-])",
    re.IGNORECASE,
)
_BIRTH_CHARACTERS = 24  # "date of birth (dd/mm/yy): " and "born in London on "

# What a row must contain for each type to be worth reading, in Rust's syntax.
_SEVEN_DIGITS = r"[0-9](?:[ ().+/\u{a0}\u{2011}-]{0,3}[0-9]){6}"
_CANDIDATES = {
    "email": r"@|(?i)[\[({<] ?at ?[\])}>]",
    "iban": r"[A-Za-z]{2}[0-9]{2}[ \u{a0}-]?[A-Za-z0-9]{3}",
    "card": r"[0-9](?:[ \u{a0}-]?[0-9]){11}",
    "national-id": NATIONAL_ID,
    "ssn": r"[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{4}",
    "ip": r"[0-9]\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]?:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]",
    "phone": _SEVEN_DIGITS,
    "date-of-birth": r"(?i)\bborn\b|birth|\bd\.?o\.?b\b|geb|\bnée?\b|nac|nasc",
}


def find_personal(texts: "pl.Series", settings: PersonalData) -> Found:
    """The personal data in the texts, without overlaps."""
    finders: dict[str, Find] = {
        "email": _emails,
        "iban": _ibans,
        "card": _cards,
        "national-id": national_ids,
        "ssn": _ssns,
        "ip": partial(_addresses, private=settings.private_addresses),
        "phone": partial(phone_spans, by_context=settings.phone_by_context),
        "date-of-birth": _births,
    }
    # In the order of the table: of two readings of the same digits, the one with a checksum wins.
    wanted = [(_CANDIDATES[name], finders[name]) for name in finders if name in settings.types]
    return find_in_candidates(in_plain_digits(texts), wanted)


def find_in_candidates(texts: "pl.Series", finders: Sequence[tuple[str, Find]]) -> Found:
    """The spans of the texts, where finder i is asked only about texts that its Rust pattern matches."""
    to_read: dict[int, list[Find]] = {}
    for candidate, find in finders:
        for row in texts.str.contains(candidate).arg_true():
            to_read.setdefault(row, []).append(find)
    found: Found = {}
    for (row, asked), text in zip(to_read.items(), texts.gather(list(to_read)), strict=True):
        spans = without_overlaps(len(text), (span for find in asked for span in find(text)))
        if spans:
            found[row] = spans
    return found


def _emails(text: str) -> Iterator[Span]:
    for match in chain(_EMAIL_ASCII.finditer(text), _EMAIL.finditer(text), _EMAIL_SPELT.finditer(text)):
        local, _, domain = match[0].partition("@")
        if domain.rpartition(".")[2].lower() in _IMAGE_NAMES or (
            local == "git" and text[match.end() : match.end() + 1] in (":", "/")
        ):
            continue
        if _is_url_password(text, match.start()):
            continue
        yield Span(match.start(), match.end(), "email")


def _is_url_password(text: str, start: int) -> bool:
    """In `https://user:word@host` the part before the host is a password, which is the secrets screen's to find."""
    before = text[max(start - 80, 0) : start]
    scheme = before.rfind("://")
    return scheme >= 0 and ":" in before[scheme + 3 :] and not re.search(r"[\s/]", before[scheme + 3 :])


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        length = iban_length(match[0][:2])
        places = [index for index, character in enumerate(match[0]) if character.isalnum()]
        if length is None or length > len(places):
            continue
        end = match.start() + places[length - 1] + 1
        if text[end : end + 1].isalnum():
            continue
        if is_iban("".join(match[0][place] for place in places[:length])):
            yield Span(match.start(), end, "iban")


def _cards(text: str) -> Iterator[Span]:
    """Card numbers, also where other groups of digits stand before or after: `4111 1111 1111 1111 12/27`."""
    for match in _CARD.finditer(text):
        named = _CARD_BEFORE.search(text[max(match.start() - _CARD_CHARACTERS, 0) : match.start()]) is not None
        groups = [(group.start(), group.end()) for group in re.finditer(r"[0-9]+", match[0])]
        first = 0
        while first < len(groups):
            last = _card_end(match[0], groups, first, any_issuer=named)
            if last is not None:
                yield Span(match.start() + groups[first][0], match.start() + groups[last - 1][1], "card")
            first = first + 1 if last is None else last


def _card_end(text: str, groups: list[tuple[int, int]], first: int, *, any_issuer: bool) -> int | None:
    """The number of groups up to the end of the longest card number that starts with group `first`."""
    digits, best = "", None
    for last in range(first, len(groups)):
        start, end = groups[last]
        # Printed cards show groups of three to six digits; a number without spaces is one group.
        if len(digits) + end - start > _MAX_CARD_DIGITS or (end - start < 2 and len(groups) > 1):
            break
        digits += text[start:end]
        if len(digits) >= _MIN_CARD_DIGITS and is_card(digits, any_issuer=any_issuer):
            best = last + 1
    return best


def _ssns(text: str) -> Iterator[Span]:
    for match in _SSN.finditer(text):
        if is_ssn(match[1], match[3], match[4]):
            yield Span(match.start(), match.end(), "ssn")
    for match in _SSN_BARE.finditer(text):
        if is_ssn(*match.groups()):
            yield Span(match.start(1), match.end(3), "ssn")


def _addresses(text: str, *, private: bool) -> Iterator[Span]:
    for match in _IPV4.finditer(text):
        if _is_ip(match[0], private) and _is_of_a_network(text, match):
            yield Span(match.start(), match.end(), "ip")
    for match in _IPV6.finditer(text):
        groups = [group for group in match[0].split(":") if group]
        # `dead::beef` and `Face::add` are scopes in code: ask for three groups and a digit.
        if len(groups) >= 3 and any(character.isdigit() for character in match[0]) and _is_ip(match[0], private):
            yield Span(match.start(), match.end(), "ip")


def _is_of_a_network(text: str, match: re.Match[str]) -> bool:
    """Is this an address, and not the number of a release or of a section?"""
    before = text[max(match.start() - _NETWORK_CHARACTERS, 0) : match.start()]
    if _NUMBERED_BEFORE.search(before):
        return False
    if max(map(int, match[0].split("."))) >= _SMALL_NUMBER:
        return True
    return _NETWORK_BEFORE.search(before) is not None or _PORT_AFTER.match(text, match.end()) is not None


def _is_ip(text: str, private: bool) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return private or address.is_global


def _births(text: str) -> Iterator[Span]:
    for match in _DATE.finditer(text):
        if _BORN.search(text[max(match.start() - _BIRTH_CHARACTERS, 0) : match.start()]):
            yield Span(match.start(), match.end(), "date-of-birth")
