import socket
import sys
import threading
import time

import pytest

from curate.core.endpoint.timed_socket import TimedSocket, latency_s


def connected() -> tuple[TimedSocket, socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        timed = TimedSocket(socket.AF_INET, socket.SOCK_STREAM)
        timed.stamp()
        timed.connect(listener.getsockname())
        other, _ = listener.accept()
    return timed, other


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what arrives")
@pytest.mark.parametrize("into", [False, True])
def test_time_between_arrival_and_reading_does_not_count(into: bool) -> None:
    # The system stamps what arrives soon after the first socket has asked for it, not at once.
    timed, other = connected()
    with timed, other:
        taken = (latency_and_time(into) for _ in range(20))
        assert any(0 < latency <= passed - 0.1 for latency, passed in taken)


def latency_and_time(into: bool) -> tuple[float, float]:
    """What an exchange took as told by the socket, and until the answer was read, a tenth of a second late."""
    timed, other = connected()
    with timed, other:
        timed.send(b"question")
        arrived = threading.Event()
        threading.Thread(target=lambda: (other.recv(100), other.send(b"answer"), arrived.set())).start()
        assert arrived.wait(10)
        time.sleep(0.1)  # we are busy elsewhere
        buffer = bytearray(100)
        data = bytes(buffer[: timed.recv_into(buffer)]) if into else timed.recv(100)
        assert data == b"answer"
        passed = time.time() - timed.sent_at
        return latency_s(timed, passed), passed


def test_without_stamps_the_moment_of_reading_counts() -> None:
    timed, other = connected()
    timed._stamps = False
    with timed, other:
        before = time.time()
        other.send(b"answer")
        assert timed.recv(100) == b"answer"
        assert before <= timed.arrived_at <= time.time()


def test_a_socket_that_knows_nothing_leaves_the_measured_time() -> None:
    timed, other = connected()
    with timed, other:
        assert latency_s(None, 1.5) == latency_s(timed, 1.5) == 1.5
        timed.sent_at, timed.arrived_at = 10.0, 9.0  # the clock was set back
        assert latency_s(timed, 1.5) == 1.5
        timed.arrived_at = 100.0
        assert latency_s(timed, 1.5) == 1.5
