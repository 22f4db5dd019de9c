"""The connection to an endpoint where it isn't plain: encrypted, or through a proxy."""

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.core.endpoint.client import _proxy
from curate.core.endpoint.wire import Reply, read_reply
from tests.curate.synthesize.endpoint import completion

ASK = """
import asyncio, json, sys
from curate.core.endpoint.wire import Reply
from curate.core.endpoint.client import Client

async def main():
    async with Client(sys.argv[1], None, timeout_s=120, connect_timeout_s=10) as client:
        return [await client.chat(b"{}") for _ in range(3)]

for found, latency_ms in asyncio.run(main()):
    print(json.dumps([isinstance(found, Reply), getattr(found, "text", None) or found.detail, latency_ms]))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = completion("over TLS").body
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of an encrypted server, and its certificate."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/v1", certificate
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, **environment: str) -> list[tuple[bool, str, float]]:
    command = [sys.executable, "-c", ASK, url]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.system("openssl")
def test_encrypted_answers_arrive_and_are_timed(encrypted: tuple[str, Path]) -> None:
    url, certificate = encrypted
    found = ask(url, SSL_CERT_FILE=str(certificate))
    assert [(answered, text) for answered, text, _ in found] == [(True, "over TLS")] * 3
    assert all(latency_ms > 0 for *_, latency_ms in found)


@pytest.mark.system("openssl")
def test_a_certificate_that_nobody_vouches_for_is_hopeless(encrypted: tuple[str, Path]) -> None:
    for answered, words, _ in ask(encrypted[0]):
        assert not answered
        assert "no trusted connection" in words


def test_a_proxy_is_taken_from_the_environment_but_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert _proxy("https://api.example/v1") == "http://proxy.example:3128"
    assert _proxy("https://inside.example/v1") is None
    assert _proxy("http://127.0.0.1:8000/v1") is None


def test_a_part_whose_text_is_null_adds_none() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": None}, {"type": "image_url"}, {"text": "b"}]
    reply = read_reply(json.dumps({"choices": [{"message": {"content": parts}}]}).encode(), "")
    assert isinstance(reply, Reply)
    assert reply.text == "ab"
