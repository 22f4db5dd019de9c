"""An OpenAI-compatible endpoint on a loopback port, whose answers a test chooses."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """What goes over the wire.

    `cut` promises more bytes than it sends, `hang_up` sends nothing at all, `closes` ends the connection unannounced.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang_up: bool = False
    closes: bool = False
    delay_s: float = 0.0


def completion(text: str | None, finish: str = "stop", refusal: str | None = None, usage: bool = True) -> Answer:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "tutor-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    return Answer(body=json.dumps(body).encode())


def trouble(status: int, message: str = "trouble", code: str | None = None, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Endpoint:
    """The running server: its address, and every request it got."""

    def __init__(self, answer: Callable[[str, int], Answer]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        self.url = ""
        self.models = Answer(body=b'{"object": "list", "data": [{"id": "tutor-2026"}]}')

    def list_models(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.send(handler, self.models if handler.path == "/v1/models" else trouble(404))

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        question = body["messages"][-1]["content"]
        with self.lock:
            self.asked.append(question)
            self.bodies.append(body)
            self.keys.add(handler.headers["authorization"])
            times = self.asked.count(question)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        answer = self.answer(question, times) if handler.path == "/v1/chat/completions" else trouble(404)
        time.sleep(answer.delay_s)
        with self.lock:
            self.busy -= 1
        self.send(handler, answer)

    def send(self, handler: http.server.BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.hang_up:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(answer.body) + 100 * answer.cut))
        handler.end_headers()
        handler.wfile.write(answer.body)
        handler.close_connection = handler.close_connection or answer.cut or answer.closes


@contextmanager
def serve(answer: Callable[[str, int], Answer]) -> Iterator[Endpoint]:
    """The endpoint, as long as the block runs. `answer` gets the question and how often it was asked, from 1."""
    endpoint = Endpoint(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            try:
                endpoint.handle(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed

        def do_GET(self) -> None:
            endpoint.list_models(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
