"""Journals of several reviewers put together, and how far the reviewers agree beyond chance."""

import itertools
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from curate.core.errors import DataError
from curate.core.review.decisions import Event, Key, read_events, replay

K = TypeVar("K", bound=Hashable)
_OWN = frozenset({"skip"})  # these say something about the reviewer's work and nothing about the item


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two reviewers on the items that both decided. `kappa` is None where chance alone would explain any agreement.

    Cohen's kappa is (p - e) / (1 - e), p the share of equal decisions, e what it would be by chance, from how often
    each reviewer makes each decision. Source: Cohen 1960 (Educ. Psychol. Meas. 20:37).
    """

    a: str
    b: str
    items: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Merged:
    """The decisions of all journals; those on which they differ are left out, so that they are pending again."""

    events: list[Event]
    agreements: list[Agreement]
    conflicts: list[tuple[str, dict[str, str]]]
    """The item, and each journal's decision."""


def merge(paths: Sequence[Path]) -> Merged:
    """The journals in one. Raises: DataError where one is missing, ProvenanceError where one is damaged."""
    read: dict[str, dict[Key, Event]] = {}
    for path in paths:
        if not path.is_file():
            raise DataError("no such journal", where=path, fix="name the decisions.jsonl files of the reviewers")
        read[_name(path, read)] = decided(read_events(path))
    events: list[Event] = []
    conflicts = []
    for key in dict.fromkeys(key for one in read.values() for key in one):
        found = {name: one[key] for name, one in read.items() if key in one}
        first = next(iter(found.values()))
        if all(_said(event) == _said(first) for event in found.values()):
            notes = "; ".join(dict.fromkeys(event.note for event in found.values() if event.note))
            reviewers = " + ".join(dict.fromkeys(event.reviewer for event in found.values()))
            made = msgspec.structs.replace(first, seq=len(events) + 1, bulk=0, note=notes, reviewer=reviewers)
            events.append(made)
        else:
            conflicts.append((key.item, {name: _shown(event) for name, event in found.items()}))
    classes = {name: {key: _class(event) for key, event in one.items()} for name, one in read.items()}
    pairs = itertools.combinations(classes, 2)
    return Merged(events, [agreement(a, b, classes[a], classes[b]) for a, b in pairs], conflicts)


def decided(events: Sequence[Event]) -> dict[Key, Event]:
    """What a journal says of each item in the end, wherever the item stood; open and skipped items are left out."""
    standing = sorted(replay(events).standing.values(), key=lambda event: event.seq)
    found = {event.key._replace(place=""): event for event in standing}
    return {key: event for key, event in found.items() if event.decides and event.action not in _OWN}


def agreement(a: str, b: str, first: Mapping[K, str], second: Mapping[K, str]) -> Agreement:
    """How far two reviewers agree on the items that both decided; given is what each said of which item."""
    pairs = [(first[key], second[key]) for key in first if key in second]
    return Agreement(a, b, len(pairs), sum(x == y for x, y in pairs), kappa(pairs))


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of pairs of decisions, None where there are none or only one decision is ever made."""
    if not pairs:
        return None
    total = len(pairs)
    left, right = Counter(x for x, _ in pairs), Counter(y for _, y in pairs)
    chance = sum(left[name] * right[name] for name in left) / total**2
    equal = sum(x == y for x, y in pairs) / total
    return None if chance == 1 else (equal - chance) / (1 - chance)


def _class(event: Event) -> str:
    """What two reviewers agree on or not: to drop for different reasons is to agree."""
    return event.action if event.action in ("drop", "edit") else f"{event.action} {event.value}".strip()


def _said(event: Event) -> tuple[object, ...]:
    return event.action, event.value if event.action != "drop" else "", event.row


def _shown(event: Event) -> str:
    return f"{event.action} {event.value}".strip()


def _name(path: Path, taken: Mapping[str, object]) -> str:
    """The shortest end of the path that is not taken."""
    for parts in range(1, len(path.parts) + 1):
        name = "/".join(path.parts[-parts:])
        if name not in taken:
            return name
    return f"{path} ({len(taken) + 1})"
