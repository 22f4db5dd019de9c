"""Functions as machine code: the one place that knows how they are compiled and where that is kept."""

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

_NOT_NEEDED = "scipy.linalg"  # numba loads it to see whether matrix products are there: 0.2 s, and nothing here has any
if _NOT_NEEDED not in sys.modules:
    sys.modules[_NOT_NEEDED] = None  # type: ignore[assignment]  # Python's way to say that a module is not to be found
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[_NOT_NEEDED]

F = TypeVar("F", bound=Callable[..., Any])
U8, U32, U64 = np.uint8, np.uint32, np.uint64

# In machine code a whole number has a width; for the type checker they are all numbers.
Number: TypeAlias = Any


def compiled(function: F) -> F:
    """`function` as machine code that runs without the interpreter's lock, cached on disk where a folder allows it.

    The cache knows the file of the function itself: after a change in a file whose compiled functions it calls, remove
    the `*.nbi` files beside it.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        made: F = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache: neither beside the package, nor in the user's home
        made = numba.njit(**options)(function)
    return made


@compiled
def copy_parts(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    places: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> None:
    """Copy the parts of `data` that begin at `starts` to their places in `out`."""
    for part in range(starts.size):
        start, place, size = starts[part], places[part], sizes[part]
        given, copied = data[start : start + size], out[place : place + size]
        for at in range(size):  # as fast as to assign the slice, and sooner compiled
            copied[at] = given[at]


def call(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """`kernel(*arguments)`, also where its machine code can't be saved: a full disk must not stop the work."""
    try:
        return kernel(*arguments)
    except OSError:
        return kernel(*arguments)  # numba keeps what it compiled before it saves, so this finds it in memory
