"""datatrove's four MinHash stages with its local executor and its own tokenizer for English, as in its example.

The stages are timed, not the imports.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_bytes())
    cores = 2
    config = MinhashConfig(n_grams=3, num_buckets=16, hashes_per_bucket=8)  # 128 minima; (1/16)^(1/8) = 0.707
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for part in range(cores):
            lines = [json.dumps({"id": str(n), "text": texts[n]}) for n in range(part, len(texts), cores)]
            (source / f"{part}.jsonl").write_text("\n".join(lines))

        def run(steps: list[object], tasks: int, name: str) -> None:
            logs = f"{folder}/logs/{name}"
            LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=cores, logging_dir=logs).run()

        signature = MinhashDedupSignature(f"{folder}/signatures", config=config)
        started = time.perf_counter()
        run([JsonlReader(str(source)), signature], cores, "1")
        run([MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)], 16, "2")
        run([MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)], 1, "3")
        writer = JsonlWriter(f"{folder}/kept", compression=None)
        run([JsonlReader(str(source)), MinhashDedupFilter(f"{folder}/remove"), writer], cores, "4")
        seconds = time.perf_counter() - started
        kept = {int(json.loads(line)["id"]) for path in Path(folder, "kept").iterdir() for line in path.open()}
    removed = [number for number in range(len(texts)) if number not in kept]
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "removed": removed}))


if __name__ == "__main__":
    main()
