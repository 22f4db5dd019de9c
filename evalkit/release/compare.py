"""What differs between two releases: what went in, what they score, and why the gate let them through."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.release.bundle import Release, read_bundle
from evalkit.release.store import short
from evalkit.stats.in_words import percent, points
from trainer.run.list_diff import Difference, compare


@dataclass(frozen=True)
class Diff:
    """Releases `a` and `b`. `same_items`: their scores are on the same held-out items, so they can be compared."""

    a: Release
    b: Release
    runs: Difference
    same_items: bool

    def summary(self) -> dict[str, Any]:
        """The difference as plain values."""
        return {
            "a": self.a.digest,
            "b": self.b.digest,
            "same_adapter": self.a.adapter == self.b.adapter,
            "same_items": self.same_items,
            "other_records": self._other_records(),
            "runs": self.runs.summary(),
            "metrics": {name: [_mean(self.a, name), _mean(self.b, name)] for name in self._names()},
            "verdicts": [self.a.verdict, self.b.verdict],
        }

    def lines(self) -> Iterator[str]:
        """The difference for people."""
        yield f"{short(self.a.digest)} -> {short(self.b.digest)}"
        if self.a.adapter == self.b.adapter:
            yield "the adapter is the same"
        if others := self._other_records():
            yield f"another {' and another '.join(others)}"
        yield from self.runs.lines()
        yield ""
        for name in self._names():
            old, new = _mean(self.a, name), _mean(self.b, name)
            change = f"  {points(new - old)} points" if old is not None and new is not None else ""
            yield f"{name}  {_share(old)} -> {_share(new)}{change}"
        if not self.same_items:
            yield "the scores are on other items: they can't be compared"

    def _other_records(self) -> list[str]:
        """The links of the chain whose records differ."""
        return [link for link, digest in self.a.chain.items() if self.b.chain.get(link) != digest]

    def _names(self) -> list[str]:
        return list(dict.fromkeys([*self.a.metrics, *self.b.metrics]))


def compare_releases(a: Path, b: Path) -> Diff:
    """What differs between the releases in these folders. Raises: DataError, ProvenanceError."""
    first, second = read_bundle(a), read_bundle(b)
    items = [record.files.get("results/items.jsonl") for record in (first, second)]
    return Diff(first, second, compare(a, b), items[0] is not None and items[0] == items[1])


def _mean(record: Release, name: str) -> float | None:
    return record.metrics[name].mean if name in record.metrics else None


def _share(mean: float | None) -> str:
    return "-" if mean is None else percent(mean)
