"""datasketch, as its documentation finds near duplicates: bulk sketches, then query and insert."""

import json
import sys
import time
from pathlib import Path

from datasketch import MinHash, MinHashLSH

texts = json.loads(Path(sys.argv[1]).read_bytes())
threshold = float(sys.argv[3])


def shingles(text: str) -> list[bytes]:
    words = text.lower().split()
    return [" ".join(words[at : at + 3]).encode() for at in range(len(words) - 2)]


started = time.perf_counter()
lsh = MinHashLSH(threshold=threshold, num_perm=128)
removed = []
for number, sketch in enumerate(MinHash.generator(map(shingles, texts), num_perm=128)):
    if lsh.query(sketch):
        removed.append(number)
    else:
        lsh.insert(number, sketch)
seconds = time.perf_counter() - started
Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "removed": removed}))
