"""Python's search for reference cycles, paused."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# A process that ends searches once more, for half a second where there were rows: what is frozen is left out.
atexit.register(gc.freeze)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No search for cycles in the block: rows form none, and walking through millions takes a third of a build."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
