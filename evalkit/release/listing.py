"""The releases of a store, for people."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from curate.core.errors import AcidtestError
from curate.core.visible import visible
from evalkit.records.typed import ABSENT
from evalkit.release.bundle import Release, ReleaseVerdict, read_bundle
from evalkit.release.store import ReleaseStore, short
from evalkit.results.compare_contenders import Metric
from evalkit.stats.in_words import percent


class ListedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A release as it is listed; one that can't be read has `trouble` and nothing else that its record says."""

    release: str
    current: bool
    became_current: str | None
    trouble: str = ABSENT
    name: str = ABSENT
    contender: str = ABSENT
    adapter: str = ABSENT
    primary: str = ABSENT
    metrics: dict[str, Metric] = ABSENT
    recorded_answers: bool = ABSENT
    verdict: ReleaseVerdict = ABSENT


def listed(folder: Path) -> list[ListedRelease]:
    """Every release, the first that became current first."""
    store = ReleaseStore(folder)
    state = store.state()
    became = {event.release: str(event.environment["finished_at"]) for event in state.history}
    return [_listed(store, digest, digest == state.current, became.get(digest)) for digest in store.digests()]


def _listed(store: ReleaseStore, digest: str, current: bool, since: str | None) -> ListedRelease:
    row = ListedRelease(release=digest, current=current, became_current=since)
    try:
        record = read_bundle(store.bundle(digest))
    except AcidtestError as error:
        return msgspec.structs.replace(row, trouble=error.what)
    return msgspec.structs.replace(
        row,
        name=record.name,
        contender=record.contender,
        adapter=record.adapter,
        primary=record.primary,
        metrics=record.metrics,
        recorded_answers=record.recorded_answers,
        verdict=record.verdict,
    )


def table(rows: Sequence[ListedRelease]) -> list[str]:
    """The releases, a line each."""
    if not rows:
        return ["no releases yet"]
    lines = []
    for row in rows:
        mark = "*" if row.current else " "
        since = (row.became_current or "never current")[:16].replace("T", " ")
        what = f"damaged: {row.trouble}" if row.trouble else f"{visible(row.name)}: {score(row)}"
        lines.append(f"{mark} {short(row.release)}  {since:16}  {what}")
    return lines


def score(record: Release | ListedRelease) -> str:
    """The primary metric with its interval: `correct 38 % (29–48 %)`."""
    metric, name = record.metrics[record.primary], visible(record.primary)
    if metric.mean is None:
        return f"{name} not measured"
    return f"{name} {percent(metric.mean)} ({metric.low * 100:.0f}–{metric.high * 100:.0f} %)"
