"""Runs side by side: which there are, and what differs between two. Needs no torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.errors import AcidtestError, DataError
from trainer.run.record import RECORD, STEPS, Run, read_run

# What a record says about itself, or what follows from something that is compared as well.
_PASSED_OVER = {"digest", "kind", "schema", "input_digest", "seed", "adapter.digest", "adapter.files", "losses"}
_FINISHED, _UNFINISHED, _DAMAGED = "finished", "unfinished", "damaged"


@dataclass(frozen=True)
class ListedRun:
    """A run's folder and the run; without one, `state` and `trouble` say why."""

    folder: Path
    run: Run | None
    state: str = _FINISHED
    trouble: str = ""

    def summary(self) -> dict[str, Any]:
        """What tells this run from others."""
        start: dict[str, Any] = {"folder": str(self.folder), "state": self.state}
        if self.run is None:
            return {**start, "trouble": self.trouble}
        record, weights = self.run.record, self.run.adapter
        return {
            **start,
            "base": record.base.id,
            "method": record.method,
            "train_rows": record.dataset.train.rows,
            "train_digest": record.dataset.train.digest,
            "steps": len(record.losses.train),
            **record.final_losses,
            "adapter_parameters": record.adapter.parameters,
            "adapter_bytes": sum((weights / name).stat().st_size for name in record.adapter.files),
            "finished_at": record.environment.finished_at,
        }


@dataclass(frozen=True)
class Difference:
    """What two runs don't share, by dotted key, and both runs' losses. `comparable`: on the same held-out rows."""

    changed: dict[str, tuple[Any, Any]]
    losses: dict[str, tuple[float | None, float | None]]
    comparable: bool

    def summary(self) -> dict[str, Any]:
        """The difference as plain values."""
        return {"changed": self.changed, "losses": self.losses, "comparable": self.comparable}

    def lines(self) -> Iterator[str]:
        """The difference for people."""
        width = max(map(len, [*self.changed, *self.losses]), default=0)
        for key, (a, b) in self.changed.items():
            yield f"{key:{width}}  {_short(a)} -> {_short(b)}"
        if not self.changed:
            yield "settings, data, base and versions are the same"
        yield ""
        for key, (old, new) in self.losses.items():
            change = f"  {new - old:+.4f}" if old is not None and new is not None else ""
            yield f"{key:{width}}  {_loss(old)} -> {_loss(new)}{change}"
        if not self.comparable:
            yield "the held-out losses are of different rows: they can't be compared"


def find_runs(folders: Sequence[Path]) -> list[ListedRun]:
    """Every run in the folders, at any depth, unfinished and damaged ones included, in the folders' order.

    Raises: DataError where a folder isn't there.
    """
    places: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError("no such folder", where=folder)
        found = {path.parent for name in (RECORD, STEPS) for path in folder.rglob(name)}
        places |= dict.fromkeys(sorted(found))
    return [_listed(place) for place in places]


def table(runs: Sequence[ListedRun]) -> list[str]:
    """The runs for people, a line each."""
    head = ("run", "base", "method", "rows", "steps", "held-out before", "kept", "adapter", "finished")
    rows: list[tuple[str, ...]] = [head]
    for listed in runs:
        found = listed.summary()
        if listed.run is None:
            rows.append((found["folder"], f"{listed.state}: {listed.trouble}"))
            continue
        size = f"{found['adapter_bytes'] / 1e6:.1f} MB"
        counts = (f"{found['train_rows']:,}", f"{found['steps']:,}")
        losses = (_loss(found["held_out_before"]), _loss(found["held_out_kept"]))
        date = found["finished_at"][:16].replace("T", " ")
        rows.append((found["folder"], found["base"], found["method"], *counts, *losses, size, date))
    widths = [max(len(row[i]) for row in rows if len(row) == len(head)) for i in range(len(head))]
    widths[0] = max(len(row[0]) for row in rows)
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


def compare(a: Path, b: Path) -> Difference:
    """What differs between two runs. Raises: DataError, ProvenanceError where either is no intact run."""
    first, second = read_run(a), read_run(b)
    one, two = dict(_flat(first.document)), dict(_flat(second.document))
    changed = {key: (one.get(key), two.get(key)) for key in [*one, *two] if one.get(key) != two.get(key)}
    losses = first.record.final_losses, second.record.final_losses
    held_out = first.record.dataset.val, second.record.dataset.val
    digests = [counts.token_digest if counts else None for counts in held_out]
    return Difference(
        changed,
        {key: (losses[0][key], losses[1][key]) for key in losses[0]},
        comparable=None not in digests and digests[0] == digests[1],
    )


def _listed(folder: Path) -> ListedRun:
    if not (folder / RECORD).is_file():
        steps = sum(1 for line in (folder / STEPS).read_bytes().splitlines() if line.endswith(b"}"))
        return ListedRun(folder, None, _UNFINISHED, f"{steps} steps so far")
    try:
        return ListedRun(folder, read_run(folder))
    except AcidtestError as error:
        return ListedRun(folder, None, _DAMAGED, error.what)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if key in _PASSED_OVER or key == "environment":
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text[:19] if text.startswith("sha256:") else text


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
