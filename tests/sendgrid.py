"""A stand-in for SendGrid's API that can be told to refuse, to be slow, or to hang up."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Trick = Literal["ok", "429", "500", "400", "slow", "close"]


class SendGridStub:
    """`tricks` are used up one a request; after them every message is taken.

    `accepted` holds the documents of the messages that were taken, `asked` of all that came.
    `log` has a line for each message taken: Message-ID, when asked and taken, whether it was
    answered.
    """

    def __init__(self) -> None:
        self.tricks: deque[Trick] = deque()
        self.accepted: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.times: list[float] = []
        self.log: list[tuple[str, float, float, bool]] = []
        self.delay = 0.0
        self.lock = threading.Lock()
        self.address = ""

    def ids(self) -> Counter[str]:
        """How often a message was taken, by Message-ID."""
        with self.lock:
            return Counter(document["headers"]["Message-ID"] for document in self.accepted)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: SendGridStub

    def do_POST(self) -> None:
        stub = self.stub
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with stub.lock:
            stub.asked.append(document)
            stub.keys.append(self.headers.get("authorization", ""))
            asked = time.monotonic()
            stub.times.append(asked)
            trick = stub.tricks.popleft() if stub.tricks else "ok"
        if self.path != "/v3/mail/send":
            self._answer(404, b"no such path")
        elif trick == "429":
            self._answer(429, b"slow down", ("Retry-After", "1"))
        elif trick == "500":
            self._answer(500, b"broken")
        elif trick == "400":
            self._answer(400, b'{"errors":[{"message":"bad address"}]}')
        else:
            if trick == "slow":
                time.sleep(1.5)
            time.sleep(stub.delay)
            with stub.lock:
                stub.accepted.append(document)
                name = document["headers"]["Message-ID"]
                stub.log.append((name, asked, time.monotonic(), trick != "close"))
            if trick == "close":
                self.close_connection = True
                self.connection.close()
                return
            self._answer(202, b"", ("X-Message-Id", f"sg-{len(stub.accepted)}"))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """A connection that was cut off is no fault here."""
        with suppress(OSError, ValueError):
            super().finish()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed hang up in the middle."""


@contextmanager
def sendgrid() -> Iterator[SendGridStub]:
    """A running stand-in on a free port."""
    stub = SendGridStub()
    handler = type("Handler", (_Handler,), {"stub": stub})
    server = _Server(("127.0.0.1", 0), handler)
    stub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
