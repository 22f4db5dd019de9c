"""Functions as machine code: the one place that knows how they are compiled and where that is kept."""

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
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
    return _made(function)


def compiled_for_floats(function: F) -> F:
    """As `compiled`, and sums may be taken in any order, several numbers at a time; not a number stays not a number."""
    return _made(function, fastmath={"arcp", "contract", "nsz", "reassoc"})


def _made(function: F, **options: Any) -> F:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        made: F = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache: neither beside the package, nor in the user's home
        made = numba.njit(**options)(function)
    return made


@intrinsic  # type: ignore[untyped-decorator]  # numba leaves it untyped
def _pointer(_: Any, address: Any) -> Any:  # noqa: ARG001 - numba counts what is declared
    """The address, a whole number, as a pointer."""

    def pointed(context: Any, builder: Any, _: Any, given: Any) -> Any:
        return builder.inttoptr(given[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), pointed


@compiled
def floats_at(address: Number, shape: Number) -> NDArray[np.float32]:
    """The float32 numbers that lie in memory from `address` on, as an array; only for functions that are compiled."""
    found: NDArray[np.float32] = numba.carray(_pointer(address), shape, np.float32)
    return found


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
