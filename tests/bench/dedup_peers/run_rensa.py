"""rensa, as its README deduplicates: `python run_rensa.py texts.json removed.json`."""

import json
import sys
import time
from pathlib import Path

from rensa import RMinHashDeduplicator

texts = json.loads(Path(sys.argv[1]).read_bytes())
threshold = float(sys.argv[3])


def shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[at : at + 3]) for at in range(len(words) - 2)]


started = time.perf_counter()
dedup = RMinHashDeduplicator(threshold=threshold, num_perm=128, use_lsh=True)
keep = dedup.add_pairs((str(number), shingles(text)) for number, text in enumerate(texts))
removed = [number for number, kept in enumerate(keep) if not kept]
seconds = time.perf_counter() - started
Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "removed": removed}))
