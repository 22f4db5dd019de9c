"""The releases of a store, for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.core.errors import AcidtestError
from curate.core.visible import visible
from evalkit.release.bundle import read_bundle
from evalkit.release.store import Store, short
from evalkit.wording import percent


def listed(folder: Path) -> list[dict[str, Any]]:
    """Every release, the first that became current first; one that can't be read has `trouble`."""
    store = Store(folder)
    state = store.state()
    became = {str(event["release"]): event["environment"]["finished_at"] for event in state.history}
    rows = []
    for digest in store.digests():
        row = {"release": digest, "current": digest == state.current, "became_current": became.get(digest)}
        try:
            record = read_bundle(store.bundle(digest))
        except AcidtestError as error:
            rows.append({**row, "trouble": error.what})
            continue
        kept = ("name", "contender", "adapter", "primary", "metrics", "recorded_answers", "verdict")
        rows.append({**row, **{key: record[key] for key in kept}})
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The releases, a line each."""
    if not rows:
        return ["no releases yet"]
    lines = []
    for row in rows:
        mark = "*" if row["current"] else " "
        since = (row["became_current"] or "never current")[:16].replace("T", " ")
        what = f"damaged: {row['trouble']}" if "trouble" in row else f"{visible(row['name'])}: {score(row)}"
        lines.append(f"{mark} {short(row['release'])}  {since:16}  {what}")
    return lines


def score(record: Mapping[str, Any]) -> str:
    """The primary metric with its interval: `correct 38 % (29–48 %)`."""
    metric = record["metrics"][record["primary"]]
    if metric["mean"] is None:
        return f"{visible(record['primary'])} not measured"
    name = visible(record["primary"])
    return f"{name} {percent(metric['mean'])} ({metric['low'] * 100:.0f}–{metric['high'] * 100:.0f} %)"
