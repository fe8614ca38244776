"""A TCP proxy before a server, which delays, loses answers and cuts connections as told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Carries bytes between clients and the server at `upstream`; `endpoint` is its address.

    `delay`: seconds that every piece waits. `lose`: how many answers to requests that begin with
    `method` are thrown away, the connection with them. `cut`: bytes of requests to carry before
    the connection ends; None carries all. `away`: nobody is there. `at_loss` is called when an
    answer is thrown away, before whoever waits for it knows.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = "", 0
        self.turn_to(upstream)
        self.at_loss: Callable[[], None] = lambda: None
        self.delay = 0.0
        self.lose = 0
        self.method = b"PUT"
        self.cut: int | None = None
        self.lost = 0
        self.away = False
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def turn_to(self, upstream: str) -> None:
        """Carry what comes from now on to another server."""
        split = urlsplit(upstream)
        self._upstream = split.hostname or "", split.port or 0

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()

    def go(self) -> None:
        """Be away from now on, as a server that was killed."""
        self.away = True
        self.drop()

    def drop(self) -> None:
        """End the connections that are open."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            if self.away:
                return
            try:
                server.connect(self._upstream)
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            asked = threading.Event()
            back = threading.Thread(
                target=self._carry, args=(server, client, lambda data: self._answer(asked)),
                daemon=True,
            )  # fmt: skip
            back.start()
            self._carry(client, server, lambda data: self._request(data, asked))
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _carry(
        self, source: socket.socket, target: socket.socket, passes: Callable[[bytes], bool]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                if not passes(data):
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _request(self, data: bytes, asked: threading.Event) -> bool:
        if data.startswith((b"PUT ", b"GET ", b"HEAD ", b"POST ", b"DELETE ")):
            asked.clear()
            if data.startswith(self.method):
                asked.set()
        with self._lock:
            if self.cut is None:
                return True
            self.cut -= len(data)
            return self.cut > 0

    def _answer(self, asked: threading.Event) -> bool:
        with self._lock:
            if not asked.is_set() or self.lose <= 0:
                return True
            self.lose -= 1
            self.lost += 1
        self.at_loss()
        return False


@contextmanager
def before(upstream: str) -> Iterator[Proxy]:
    """A proxy before a server, for one test."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
