"""Training: a minimal LoRA and QLoRA trainer that makes the adapter the evaluation weighs."""

import logging
import os

# Libraries read these when they are first imported, so they are set before anything of this package imports torch.
# Threads that wait without spinning: on a machine that other programs use too, a step was 3 times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Tokenisation is a second's work; its threads would warn about every fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# The libraries' progress bars would draw over ours.
os.environ.setdefault("TQDM_DISABLE", "1")
# bitsandbytes tells of an optional kernel package each time it is imported, whoever imports it; nothing here needs it.
logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
