"""Clients that cost little: raw HTTP/1.1 over kept-open sockets, in processes of their own.

    python bench/clients.py      reads one JSON order from standard input, prints one JSON result

An order: `port`, `threads`, `method`, `rate` (requests a second of this process, 0: one after the
other), `requests`: [[path, file], ...]. A result: `seconds`, `cpu`, and per request `sent` (wall
clock when its last byte had left), `answered` and the JSON that was answered.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Connection:
    """One kept-open connection."""

    def __init__(self, port: int, media: str = "application/octet-stream") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            f" HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"accept: application/json\r\ncontent-type: {media}\r\n"
        )
        self._buffer = b""

    def exchange(self, method: str, path: str, body: bytes) -> tuple[float, int, bytes]:
        """When the last byte had left, the status, and the answer's body."""
        head = f"{method} {path}{self._head}content-length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        sent = time.time()
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        headers, _, rest = self._buffer.partition(b"\r\n\r\n")
        lines = headers.decode("latin-1").lower().split("\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
        self._buffer = rest
        while len(self._buffer) < length:
            self._more()
        answer, self._buffer = self._buffer[:length], self._buffer[length:]
        return sent, int(lines[0].split()[1]), answer

    def _more(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise SystemExit("the server closed the connection")
        self._buffer += received


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order."""
    requests = order["requests"]
    results: list[Any] = [None] * len(requests)
    lock = threading.Lock()
    turn = iter(range(len(requests)))
    begin = time.time()

    def client() -> None:
        connection = Connection(order["port"])
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            path, file = requests[number]
            body = Path(file).read_bytes()
            if order["rate"]:
                time.sleep(max(0.0, begin + number / order["rate"] - time.time()))
            sent, status, answer = connection.exchange(order["method"], path, body)
            if status >= 300:
                raise SystemExit(f"{order['method']} {path}: {status} {answer[:300]!r}")
            results[number] = [sent, time.time(), json.loads(answer)]

    threads = [threading.Thread(target=client) for _ in range(order["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.time() - begin, "cpu": time.process_time(), "results": results}


def run(
    port: int,
    method: str,
    requests: Sequence[tuple[str, Path]],
    *,
    processes: int,
    threads: int = 1,
    rate: float = 0.0,
) -> tuple[float, float, list[Any]]:
    """Share requests out among client processes: seconds, their processor seconds, the results.

    The results are in the order of the requests.
    """
    started = []
    for share in range(processes):
        order = {
            "port": port,
            "method": method,
            "threads": threads,
            "rate": rate / processes,
            "requests": [[path, str(file)] for path, file in requests[share::processes]],
        }
        started.append((_start(order), share))
    begin = time.perf_counter()
    for process, _ in started:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
    results: list[Any] = [None] * len(requests)
    processor = 0.0
    for process, share in started:
        assert process.stdout is not None
        output = process.stdout.read()
        if process.wait():
            raise SystemExit("a client failed: see above")
        answer = json.loads(output)
        processor += answer["cpu"]
        results[share::processes] = answer["results"]
    return time.perf_counter() - begin, processor, results


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A client that has read its order and waits for the word."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


if __name__ == "__main__":
    todo = json.loads(sys.stdin.readline())
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(work(todo)), flush=True)
