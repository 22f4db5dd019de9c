"""Numbers that a state gives to a person, checked by python-stdnum: where a word names them, or by their layout alone.

A check digit alone says little, since one row of digits in ten has it. So a number counts where its name stands before
it, or where it has a layout that nothing else has.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from curate.screen.spans import Span
from curate.screen.written_digits import NOT_AFTER_A_WORD, NOT_BEFORE_A_WORD

# The module of stdnum: what the number is called, in capitals where that is short: its digits and letters.
_NAMED = r"""
br.cpf: CPF: \d{3}[. ]?\d{3}[. ]?\d{3}[- ]?\d{2}
in_.aadhaar: (?i:aa?dha+r)|UIDAI|आधार: \d{4}[ -]?\d{4}[ -]?\d{4}
in_.pan: PAN: [A-Z]{5}\d{4}[A-Z]
gb.nhs: NHS: \d{3}[ -]?\d{3}[ -]?\d{4}
ca.sin: SIN|(?i:social insurance): \d{3}[ -]?\d{3}[ -]?\d{3}
nl.bsn: BSN|(?i:burgerservicenummer): \d{4}[. ]?\d{2}[. ]?\d{3}|\d{3}[. ]?\d{3}[. ]?\d{3}
pl.pesel: (?i:pesel): \d{11}
es.dni: DNI|NIF: \d{8}[- ]?[A-Za-z]
es.nie: NIE: [XYZ][- ]?\d{7}[- ]?[A-Za-z]
pt.nif: NIF|(?i:contribuinte): \d{3} ?\d{3} ?\d{3}
fr.nir: NIR|INSEE|(?i:s[ée]curit[ée] sociale): [12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}
de.idnr: (?i:idnr|steuer-?id(?:entifikationsnummer|nr)?): \d{2} ?\d{3} ?\d{3} ?\d{3}
se.personnummer: (?i:personnummer): (?:\d{2})?\d{6}[-+ ]?\d{4}
no.fodselsnummer: (?i:f[øo]dselsnummer|personnummer): \d{6} ?\d{5}
dk.cpr: CPR|(?i:personnummer): \d{6}[- ]?\d{4}
be.nn: (?i:rijksregister\w{0,10}|registre national): \d{2}[. ]?\d{2}[. ]?\d{2}[- ]?\d{3}[. ]?\d{2}
ch.ssn: AHV|AVS: 756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}
cz.rc: (?i:rodn[ée] [čc][íi]slo): \d{6}[/ ]?\d{3,4}
ro.cnp: CNP: \d{13}
bg.egn: EGN|ЕГН: \d{10}
hr.oib: OIB: \d{11}
ee.ik: (?i:isikukood): \d{11}
lt.asmens: (?i:asmens kod\w{1,3}): \d{11}
ie.pps: PPSN?: \d{7}[A-Wa-w][A-Wa-w]?
tr.tckimlik: TCKN|(?i:kimlik): \d{11}
ru.inn: ИНН|INN: \d{12}
za.idnr: ID: \d{6} ?\d{4} ?\d{3}
cl.rut: RUT|RUN: \d{1,2}\.?\d{3}\.?\d{3}-?[\dkK]
ar.cuit: CUI[TL]: \d{2}[- ]?\d{8}[- ]?\d
au.tfn: TFN|(?i:tax file): \d{3} ?\d{3} ?\d{2,3}
nz.ird: IRD: \d{7,8}-?\d|\d{2,3}[- ]\d{3}[- ]\d{3}
kr.rrn: RRN|주민 ?등록 ?번호: \d{6}-?\d{7}
us.itin: ITIN: 9\d{2}[- ]?\d{2}[- ]?\d{4}
"""
# Layouts that need no name: signs of their own, or letters, a date and a check digit.
_TELLING = r"""
br.cpf: \d{3}\.\d{3}\.\d{3}-\d{2}
it.codicefiscale: [A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]
mx.curp: [A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d
fi.hetu: \d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]
kr.rrn: \d{6}-[1-4]\d{6}
cn.ric: [1-9]\d{5}(?:19|20)\d{9}[\dXx]
ch.ssn: 756\.\d{4}\.\d{4}\.\d{2}
"""
# What may stand between the name and the number, as "number is: " does.
_BETWEEN = r"\W{0,3}(?i:(?:number|numbers|no|nr|num|n[úu]mero|code|card|is|ist|[ée]|es|est|は|是|:)\W{1,3}){0,3}"
# Numbers without a check digit, which only their names tell: UK national insurance, passports.
_UNCHECKED = (
    rf"(?:NINO|(?i:national insurance)){_BETWEEN}"
    r"((?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d{2}){3} ?[A-D])",
    rf"(?i:passport|pasaporte|passeport|passaporto|reisepass)(?i:nummer)?{_BETWEEN}([A-Z]{{0,3}}\d[A-Z0-9]{{5,8}})",
)


def _lines(table: str) -> list[list[str]]:
    return [line.split(": ") for line in table.strip().splitlines()]


# What a text holds that is worth reading, in Rust's syntax.
CANDIDATE = "|".join(
    ["NINO|(?i:national insurance|passport|pasaporte|passeport|passaporto|reisepass)"]
    + [rf"(?:{'|'.join(names for _, names, _ in _lines(_NAMED))})[^0-9]{{1,24}}[0-9]"]
    + [layout.replace(r"\d", "[0-9]") for _, layout in _lines(_TELLING)]
)


def national_ids(text: str) -> Iterator[Span]:
    """Where numbers of persons are; spans can overlap."""
    for module, pattern in _patterns():
        for match in pattern.finditer(text):
            if module is None or _module(module).is_valid(match[1]):
                yield Span(match.start(1), match.end(1), "national-id")


@cache
def _patterns() -> list[tuple[str | None, re.Pattern[str]]]:
    """Each pattern, its first group the number, with the module of stdnum that checks it."""
    every: list[tuple[str | None, str]] = [(module, f"({layout})") for module, layout in _lines(_TELLING)]
    every += [(module, f"(?:{names}){_BETWEEN}({number})") for module, names, number in _lines(_NAMED)]
    every += [(None, pattern) for pattern in _UNCHECKED]
    return [(module, re.compile(f"{NOT_AFTER_A_WORD}{pattern}{NOT_BEFORE_A_WORD}")) for module, pattern in every]


@cache
def _module(name: str) -> Any:
    return importlib.import_module(f"stdnum.{name}")
