"""Parts of texts gathered into one buffer by machine code."""

import numpy as np
from numpy.typing import NDArray

from curate.core.numba_kernels import U8, U64, call, compiled
from curate.table.text_buffer import TextBuffer


def gathered(
    data: NDArray[np.uint8], places: NDArray[np.int64], wanted: NDArray[np.bool_], lasts: NDArray[np.int64]
) -> TextBuffer:
    """The texts of rows in one buffer: their wanted messages, which are at these places (m, 2), a line each.

    `lasts` says how many messages there are up to each row. What is not ASCII there is lowercased.
    """
    size = int((places[:, 1] - places[:, 0])[wanted].sum()) + int(wanted.sum()) + lasts.size
    room, ends = np.empty((size + 23) // 8 * 8, U8), np.empty(lasts.size, np.int64)
    call(_gather, data, places, wanted, lasts, room, ends)
    return TextBuffer(room, ends)


@compiled
def _gather(
    data: NDArray[np.uint8], places: NDArray[np.int64], wanted: NDArray[np.bool_], lasts: NDArray[np.int64],
    room: NDArray[np.uint8], ends: NDArray[np.int64],
) -> None:  # fmt: skip
    used, message = U64(0), 0
    for row in range(lasts.size):
        first = used
        while message < lasts[row]:
            if wanted[message]:
                if used > first:
                    room[used - U64(1)] = 0x0A
                for at in range(U64(places[message, 0]), U64(places[message, 1])):
                    room[used] = data[at]
                    used += U64(1)
                used += U64(1)
            message += 1
        used += U64(used == first)
        room[used - U64(1)] = 0x0A
        ends[row] = used
    while used < room.size:
        room[used] = 0x0A
        used += U64(1)
