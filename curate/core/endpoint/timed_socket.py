"""A TCP socket that knows when it last sent and when the last bytes arrived, as the system saw it.

Between the arrival of an answer and the moment when a busy event loop comes to read it, milliseconds pass; sold as the
model's latency they would make every answer slower the more are in flight. Linux stamps arriving bytes (socket(7),
SO_TIMESTAMP; TCP gives the stamp of the last bytes read). Elsewhere the moment of reading counts.
"""

import socket
import struct
import sys
import time
from typing import Any

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python's socket module doesn't name it
_STAMP = struct.Struct("@ll")  # struct timespec: seconds and nanoseconds
_MOST_BYTES = 1 << 16  # read at once: for the 256 KB that asyncio asks for, the system has to find memory each time
_SPACE = socket.CMSG_SPACE(_STAMP.size) if hasattr(socket, "CMSG_SPACE") else 0


class TimedSocket(socket.socket):
    """For one request at a time. Units: seconds of the system's clock (`time.time`), 0 before anything happened."""

    sent_at = 0.0
    arrived_at = 0.0
    _stamps = False

    def stamp(self) -> None:
        """Ask the system to stamp what arrives, where it can."""
        if sys.platform == "linux":
            try:
                self.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            except OSError:
                return
            self._stamps = True

    def send(self, data: Any, flags: int = 0, /) -> int:
        """As elsewhere, and note when."""
        self.sent_at = time.time()
        return super().send(data, flags)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As elsewhere, and note when it arrived."""
        size = min(size, _MOST_BYTES)
        if not self._stamps:
            self.arrived_at = time.time()
            return super().recv(size, flags)
        data, ancillary, _, _ = self.recvmsg(size, _SPACE, flags)
        self._note(ancillary)
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """As elsewhere, and note when it arrived."""
        if not self._stamps:
            self.arrived_at = time.time()
            return super().recv_into(buffer, size, flags)
        count, ancillary, _, _ = self.recvmsg_into([memoryview(buffer)[: size or None]], _SPACE, flags)
        self._note(ancillary)
        return count

    def _note(self, ancillary: Any) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _STAMP.size:
                seconds, nanoseconds = _STAMP.unpack(data[: _STAMP.size])
                self.arrived_at = seconds + nanoseconds / 1e9
                return


def latency_s(timed: TimedSocket | None, measured_s: float) -> float:
    """Seconds from the last byte sent to the last byte that arrived; `measured_s` where the socket can't say."""
    if timed is None or not timed.sent_at or not timed.arrived_at:
        return measured_s
    found_s = timed.arrived_at - timed.sent_at
    # A clock that was set in between says anything.
    return found_s if 0 < found_s <= measured_s else measured_s
