"""The filter language: `label:refund source:web -decision:pending text~"two words"`. All terms have to hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from curate.core.errors import ConfigError

DECISION = "decision"
PENDING = "pending"
FIELDS = ("id", "label", "source", "origin", "group", "cluster", DECISION, "note", "stage", "reason")
_TERM = re.compile(r'(-?)(?:(\w+)([:~]))?("(?:[^"\\]|\\.)*"|\S+)')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `field` is None where the whole text is looked through; `values` are alternatives."""

    field: str | None
    values: tuple[str, ...]
    contained: bool
    """Is it enough that a value is contained, in upper or lower case?"""
    negated: bool

    def holds(self, found: str | None) -> bool:
        """Does the condition hold for what the item has?"""
        if found is None:
            return self.negated
        if self.contained:
            folded = found.casefold()
            return any(value.casefold() in folded for value in self.values) is not self.negated
        return (found in self.values) is not self.negated


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on items, and the text that they were written as."""

    written: str
    terms: tuple[Term, ...]

    def matches(self, field: Callable[[str], str | None], text: Callable[[], str]) -> bool:
        """Do all conditions hold? What costs least is asked first."""
        ordered = sorted(self.terms, key=lambda term: (term.field is None, term.field != DECISION))
        return all(term.holds(text() if term.field is None else field(term.field)) for term in ordered)


def parse_filter(written: str) -> Filter:
    """The filter that a reviewer typed. Raises: ConfigError for a field that nothing has."""
    terms = []
    for minus, name, sign, value in _TERM.findall(written):
        if name and name not in (*FIELDS, "text"):
            fix = f"filter by {', '.join(FIELDS)}, text"
            raise ConfigError(f"no item has a field {name!r}", where=written.strip(), fix=fix)
        quoted = value.startswith('"') and len(value) > 1
        plain = _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
        whole_text = name in ("", "text")
        contained = whole_text or sign == "~"
        values = (plain,) if quoted or contained else tuple(plain.split(","))
        terms.append(Term(None if whole_text else name, values, contained, bool(minus)))
    return Filter(written.strip(), tuple(terms))
