"""text-dedup's command line, as a user calls it: load, sketch, cluster, save. The whole call is timed."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from datasets import Dataset, load_from_disk

texts = json.loads(Path(sys.argv[1]).read_bytes())
threshold = sys.argv[3]
with tempfile.TemporaryDirectory() as folder:
    source, output = Path(folder, "source"), Path(folder, "output")
    Dataset.from_dict({"text": texts, "number": list(range(len(texts)))}).save_to_disk(str(source))
    command = [sys.executable, "-m", "text_dedup.minhash", "--local", "--path", str(source), "--output", str(output)]
    command += ["--column", "text", "--ngram", "3", "--min_length", "1", "--num_perm", "128", "--threshold", threshold]
    command += ["--cache_dir", str(Path(folder, "cache"))]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.perf_counter() - started
    kept = set(load_from_disk(str(output))["number"])
removed = [number for number in range(len(texts)) if number not in kept]
Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "removed": removed}))
