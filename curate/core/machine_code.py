"""Functions as machine code: the one place that knows how they are compiled and where that is kept."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
U8, U32, U64 = np.uint8, np.uint32, np.uint64

# In machine code a whole number has a width; for the type checker they are all numbers.
Number: TypeAlias = Any


def compiled(function: F) -> F:
    """`function` as machine code that runs without the interpreter's lock, cached on disk where a folder allows it.

    The cache knows the file of the function itself: after a change in a file whose compiled functions it calls, remove
    the `*.nbi` files beside it.
    """
    try:
        made: F = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder for the cache: neither beside the package, nor in the user's home
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return made


def call(kernel: Callable[..., Any], *arguments: Any) -> Any:
    """`kernel(*arguments)`, also where its machine code can't be saved: a full disk must not stop the work."""
    try:
        return kernel(*arguments)
    except OSError:
        return kernel(*arguments)  # numba keeps what it compiled before it saves, so this finds it in memory
