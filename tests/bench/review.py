"""How fast a review is: `python -m tests.bench.review [--json] [--rows 1000000]`.

Opening a million rows (time with what is imported for it, and the peak memory of the process), and from a key to the
next row: the decision on disk, the machine moved on, the next row laid out for a screen. Ends with 1 where a bar
is missed. No peer is measured: those known (argilla, label-studio, doccano, lilac) are servers with a browser.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BARS = {"open_s": 2.0, "open_mb": 300.0, "key_p95_ms": 50.0}
_KEYS = 300
_WIDTH = 100


def write_rows(path: Path, count: int) -> None:
    """Rows of 250 to 1,500 bytes, one malformed line in their middle."""
    with path.open("wb") as file:
        for number in range(count):
            if number == count // 2:
                file.write(b'{"id": "broken", "messages": [\n')
                continue
            text = f"What does order {number} say about item {number % 977}? " * (1 + number % 12)
            answer = {"role": "assistant", "content": f'{{"order": {number}, "state": "sent"}}'}
            messages = [{"role": "user", "content": text}, answer]
            row = {"id": f"r{number}", "messages": messages, "label": f"l{number % 7}", "source": "made"}
            file.write(json.dumps(row).encode() + b"\n")


def measure(path: Path) -> dict[str, float]:
    """Open the file, decide 300 rows, and say what it took. For a process of its own: its peak memory is read."""
    started, used = time.perf_counter(), time.process_time()
    from curate.core.review.decisions import Journal
    from curate.core.review.layout import Look, item_lines, queue_line, status
    from curate.core.review.session import Session
    from curate.review.rows_deck import RowDeck

    deck = RowDeck([path])
    with Journal(path.with_name("decisions.jsonl")) as journal:
        session = Session(
            deck, journal.records, lambda events: journal.append(*events), reviewer="bench",
            clock=time.monotonic, stamp=lambda: "",
        )  # fmt: skip
        assert session.item is not None
        open_s, open_cpu_s = time.perf_counter() - started, time.process_time() - used
        open_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        session.go_to(len(deck) // 2 - _KEYS // 2)
        times, processor = [], []
        for number in range(_KEYS):
            pressed, used = time.perf_counter(), time.process_time()
            session.decide(deck.kind.choices[number % 3])
            assert session.item is not None
            list(item_lines(session.item, None, _WIDTH, Look()))
            status(session, _WIDTH)
            for place in range(session.cursor, session.cursor + 50):
                queue_line(session, place, 36)
            times.append((time.perf_counter() - pressed) * 1000)
            processor.append((time.process_time() - used) * 1000)
    return {
        "rows": len(deck),
        "open_s": round(open_s, 3),
        "open_cpu_s": round(open_cpu_s, 3),
        "open_mb": round(open_mb, 1),
        "key_p50_ms": round(statistics.median(times), 2),
        "key_p95_ms": round(statistics.quantiles(times, n=20)[-1], 2),
        "key_p95_cpu_ms": round(statistics.quantiles(processor, n=20)[-1], 2),
    }


def as_text(result: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    ours, bars = result["ours"], result["bars"]
    lines = [f"{ours['rows']:,} rows, one of them malformed; {_KEYS} decisions, each on disk before the next row.", ""]
    lines += ["| figure | value | bar |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {bars.get(name, '')} |" for name, value in ours.items() if name != "rows"]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure in a process of its own and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, given.rows)
        command = [sys.executable, "-m", "tests.bench.review", "--measure", str(path)]
        ours = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    result = {"ours": ours, "peers": {}, "ratios": {}, "bars": BARS}
    print(json.dumps(result) if given.json else as_text(result))
    return int(any(ours[name] > bar for name, bar in BARS.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
