"""Phone numbers: international and national layouts that stand for themselves, other digit groups by a word nearby.

Written for recall on what people type. No numbering plan of single countries is kept here, so a number that fits a
layout need not be in use.
"""

import re
from collections.abc import Iterator

from curate.screen.spans import Span
from curate.screen.written_digits import LETTERS, NOT_BEFORE_A_WORD

_GAP = r"[ \u00a0.\-\u2011/]"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?" + NOT_BEFORE_A_WORD
_INTERNATIONAL = re.compile(
    rf"(?<![{LETTERS}+])(?:\(?\+[1-9]|(?<![0-9][ .\-/])00[1-9])[0-9]{{0,2}}\)?"
    rf"(?:{_GAP}{{0,2}}(?:\(0?[0-9]{{1,4}}\)|[0-9])){{6,13}}{_EXTENSION}"
)
# Area code and exchange of the North American plan start with 2 to 9.
_NORTH_AMERICAN = re.compile(
    rf"(?<![{LETTERS}+.\-/])(?:\+?1[ .\-])?(?:\([2-9][0-9]{{2}}\)[ ]?|[2-9][0-9]{{2}}[ .\-])"
    rf"[2-9][0-9]{{2}}[ .\-][0-9]{{4}}{_EXTENSION}(?![.\-/][0-9])"
)
# Possessive: of a longer run of digits no part counts, and no other way to divide the run is tried.
_GROUPS = re.compile(
    rf"(?<![{LETTERS}+.])(?<![0-9][\-/])\(?[0-9](?:[()]?{_GAP}{{0,2}}[()]?[0-9]){{6,16}}+{_EXTENSION}", re.IGNORECASE
)
_DATE = re.compile(
    r"(?<![0-9])(?:[0-3]?[0-9]([.\-/ ])[01]?[0-9]\1(?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}([.\-/])[01]?[0-9]\2[0-3]?[0-9])(?![0-9])"
    r"|^(?:19|20)[0-9]{2} ?[-/] ?(?:19|20)[0-9]{2}$"
)
_NEARBY = re.compile(
    r"\b(?:(?:tele|mobil(?:e|)\s?)?(?:phone|fon|fono|phon)e?s?|tel|mobile?|móvil|cell(?:ulare?|phone)?|celular|handy|fax"
    r"|call(?:s|ed|ing|er)?(?!\()|dial(?:l?ed|l?ing)?|ring|sms|texting|whatsapp|hotline|answering"
    r"|(?:texts?|messages?|reach(?:ed|able)?|answers?) (?:me|us|him|her|them|my|our|at|on|to)|leave a message"
    r"|office|desk|appel(?:er|ez)|anrufen|llam(?:ar|e|a)|ligar|bellen|тел(?:ефон\w?)?|позвон\w{1,4})\b"
    r"|电话|電話|手机|手機|携帯|联系方式|연락처|전화|휴대폰|โทร|มือถือ|هاتف|جوال|موبايل|फ़ोन|फोन|मोबाइल",
    re.IGNORECASE,
)
# Words that say what a number is when it is no phone number; the one that stands closest decides.
_OTHER = re.compile(
    r"\b(?:account|card|order|invoice|ticket|tracking|case|reference|ref|id|iban|zip|postal|postcode|ssn|passport|isbn|issn"
    r"|serial|version|box|licen[cs]e|social security|konto\w*|bestell\w*|rechnung\w*|function|method|arguments?|args?"
    r"|parameters?|times|timestamp|epoch|part|parcel|model|sku|ean|upc|gtin|barcode|uuid|guid|hash|commit|build|batch|lot"
    r"|policy|claim|patent|amount|total|sum|price|cost|revenue|budget|population|quantity|coordinates?|latitude|longitude"
    r"|value|integers?|seed|digits|rows?|bytes|tokens|port|docket|doi|pmid|pin|booking|confirmation|transaction|receipt"
    r"|returns?|returned|equals?|yields?)\b",
    re.IGNORECASE,
)
_NAMED_BEFORE = re.compile(rf"(?:{_OTHER.pattern})(?:\W{{1,3}}(?:no|nr|num|number|is|ist)\b)?\W{{0,3}}$", re.IGNORECASE)
_UNITS_AFTER = re.compile(
    r" ?(?:[%€£$]|(?:usd|eur|gbp|times|rows?|items|records|users|people|points|tokens|bytes|[kmg]b|ms|seconds)\b)",
    re.IGNORECASE,
)
_IN_A_CALL = re.compile(r"(\w{1,40})\((?:[^()]{0,38}, ?)?[\[{]?$")  # foo(1234567890), foo(a, 1234567890)
_NO_PHONE = re.compile(r"[0-9]{1,3}\.[0-9]{4,}|[0-9]{2,}0{5,}|([0-9])\1{5,}")  # a decimal, a round number, one digit
_BEFORE_CHARACTERS = 40  # "Please have the manager call me at" is 34
_AFTER_CHARACTERS = 12  # "office", "(mobile)", "-Fax"


def phone_spans(text: str, *, by_context: bool) -> Iterator[Span]:
    """Where phone numbers are, surest layouts first; spans can overlap."""
    for match in _INTERNATIONAL.finditer(text):
        digits = _digits(match[0])
        bare = digits.removeprefix("00")
        written_out = match[0].lstrip("(").startswith("+") or any(c in match[0] for c in " .-/\u00a0\u2011")
        if 8 <= len(bare) <= 15 and written_out and not (bare != digits and _is_named_otherwise(text, match.start())):
            yield Span(match.start(), match.end(), "phone")
    for match in _NORTH_AMERICAN.finditer(text):
        yield Span(match.start(), match.end(), "phone")
    for match in _GROUPS.finditer(text):
        core = re.split(r" ?(?:x|ext)", match[0], maxsplit=1, flags=re.IGNORECASE)[0]
        digits = _digits(core)
        if not 7 <= len(digits) <= 15 or _DATE.search(core) or _NO_PHONE.fullmatch(core):
            continue
        if (_has_trunk_zero(core, digits) and not _is_named_otherwise(text, match.start())) or (
            by_context and _is_near_a_word(text, match.start(), match.end())
        ):
            yield Span(match.start(), match.end(), "phone")


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", re.split(r"[xe]", text, maxsplit=1)[0])


def _has_trunk_zero(core: str, digits: str) -> bool:
    """National layouts outside North America: 0, then 8 to 10 digits, written in two or more groups."""
    groups = re.findall(r"[0-9]+", core)
    return (
        digits[0] == "0"
        and digits[1] != "0"
        and 9 <= len(digits) <= 11
        and len(groups) >= 2
        and 2 <= len(groups[0]) <= 5
    )


def _is_named_otherwise(text: str, start: int) -> bool:
    """Does the word right before say that this is an order's number, an account's, ...?"""
    return _NAMED_BEFORE.search(text[max(start - _BEFORE_CHARACTERS, 0) : start]) is not None


def _is_near_a_word(text: str, start: int, end: int) -> bool:
    before = text[max(start - _BEFORE_CHARACTERS, 0) : start]
    call = _IN_A_CALL.search(before)
    if _UNITS_AFTER.match(text, end) or (call is not None and _NEARBY.fullmatch(call[1]) is None):
        return False
    telling = _last_end(_NEARBY, before)
    if telling is not None:
        other = _last_end(_OTHER, before)
        return other is None or other < telling
    return _NEARBY.match(text[end : end + _AFTER_CHARACTERS].lstrip(" -(,")) is not None


def _last_end(pattern: re.Pattern[str], text: str) -> int | None:
    end = None
    for match in pattern.finditer(text):
        end = match.end()
    return end
