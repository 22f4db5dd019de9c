"""Phone numbers: international and national layouts that stand for themselves, other digit groups by a word nearby.

Written for recall on what people type. No numbering plan of single countries is kept here, so a number that fits a
layout need not be in use.
"""

import re
from collections.abc import Iterator

from curate.screen.spans import Span

_GAP = r"[ \u00a0.\-\u2011/]"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?(?![\w])"
_INTERNATIONAL = re.compile(
    rf"(?<![\w+])(?:\(?\+[1-9]|00[1-9])[0-9]{{0,2}}\)?(?:{_GAP}{{0,2}}(?:\(0?[0-9]{{1,4}}\)|[0-9])){{6,13}}{_EXTENSION}"
)
# Area code and exchange of the North American plan start with 2 to 9.
_NORTH_AMERICAN = re.compile(
    r"(?<![\w+.\-/])(?:\+?1[ .\-])?(?:\([2-9][0-9]{2}\)[ ]?|[2-9][0-9]{2}[ .\-])"
    rf"[2-9][0-9]{{2}}[ .\-][0-9]{{4}}{_EXTENSION}"
)
# Possessive: of a longer run of digits no part counts, and no other way to divide the run is tried.
_GROUPS = re.compile(rf"(?<![\w+.])\(?[0-9](?:[()]?{_GAP}{{0,2}}[()]?[0-9]){{6,16}}+{_EXTENSION}", re.IGNORECASE)
_DATE = re.compile(
    r"(?<![0-9])(?:[0-3]?[0-9]([.\-/ ])[01]?[0-9]\1(?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}([.\-/])[01]?[0-9]\2[0-3]?[0-9])(?![0-9])"
    r"|^(?:19|20)[0-9]{2} ?[-/] ?(?:19|20)[0-9]{2}$"
)
_NEARBY = re.compile(
    r"\b(?:(?:tele|mobil(?:e|)\s?)?(?:phone|fon|fono|phon)e?s?|tel|mobile?|móvil|cell(?:ulare?|phone)?|celular|handy|fax"
    r"|call(?:s|ed|ing|er)?(?!\()|dial(?:l?ed|l?ing)?|ring|sms|texts?|texting|whatsapp|hotline|answer(?:ing)?"
    r"|messages?|reach|office|desk|appel(?:er|ez)|anrufen|llam(?:ar|e|a)|ligar|bellen)\b",
    re.IGNORECASE,
)
# Words that say what a number is when it is no phone number; the one that stands closest decides.
_OTHER = re.compile(
    r"\b(?:account|card|order|invoice|ticket|tracking|case|reference|ref|id|iban|zip|postal|postcode|ssn|passport|isbn|issn"
    r"|serial|version|box|licen[cs]e|social security|konto\w*|bestell\w*|rechnung\w*)\b",
    re.IGNORECASE,
)
_BEFORE_CHARACTERS = 40  # "Please have the manager call me at" is 34
_AFTER_CHARACTERS = 12  # "office", "(mobile)", "-Fax"


def phone_spans(text: str, *, by_context: bool) -> Iterator[Span]:
    """Where phone numbers are, surest layouts first; spans can overlap."""
    for match in _INTERNATIONAL.finditer(text):
        digits = _digits(match[0])
        bare = digits.removeprefix("00")
        written_out = match[0].lstrip("(").startswith("+") or any(c in match[0] for c in " .-/\u00a0\u2011")
        if 8 <= len(bare) <= 15 and written_out:
            yield Span(match.start(), match.end(), "phone")
    for match in _NORTH_AMERICAN.finditer(text):
        yield Span(match.start(), match.end(), "phone")
    for match in _GROUPS.finditer(text):
        core = re.split(r" ?(?:x|ext)", match[0], maxsplit=1, flags=re.IGNORECASE)[0]
        digits = _digits(core)
        if not 7 <= len(digits) <= 15 or _DATE.search(core):
            continue
        if _has_trunk_zero(core, digits) or (by_context and _is_near_a_word(text, match.start(), match.end())):
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


def _is_near_a_word(text: str, start: int, end: int) -> bool:
    before = text[max(start - _BEFORE_CHARACTERS, 0) : start]
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
