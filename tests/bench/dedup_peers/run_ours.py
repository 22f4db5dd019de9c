"""Our own near-duplicate removal with the defaults of a recipe: `python run_ours.py texts out threshold threads`."""

import json
import resource
import sys
import time
from pathlib import Path

imported = time.perf_counter()
import numpy as np  # noqa: E402 - what the imports take is measured

from curate.dedup.near import compare_texts  # noqa: E402
from curate.recipe.recipe import Dedup  # noqa: E402

texts = json.loads(Path(sys.argv[1]).read_bytes())
settings, threads = Dedup(threshold=float(sys.argv[3])), int(sys.argv[4])
first = time.perf_counter()
compare_texts(texts[:2000], settings, threads=threads)  # enough that machine code is compiled, or loaded
started = time.perf_counter()
clusters = compare_texts(texts, settings, threads=threads)
removed = np.flatnonzero(clusters.kept_instead != np.arange(len(texts))).tolist()
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
figures = {"seconds": seconds, "first_call_s": started - first, "import_s": first - imported, "peak_bytes": peak}
Path(sys.argv[2]).write_text(json.dumps({**figures, "removed": removed}))
