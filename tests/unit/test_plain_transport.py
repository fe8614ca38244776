"""The transport without an event loop: what it says to a server, and what it makes of answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vedette.cli.session import _alone
from vedette.client import Client
from vedette.client.endpoints import PUT_FILE
from vedette.client.plain import PlainTransport, is_plain
from vedette.model.errors import Invalid, NotFound, TooLarge, Unavailable

PATIENCE = 20.0
OK = b"HTTP/1.1 200 OK\r\n"
BYTES = OK + b"content-length: 5\r\n\r\nhello"


class Scripted:
    """A server that gives each connection the answers of one script, and keeps what it was sent."""

    def __init__(self, scripts: list[list[bytes]], *, hasty: bool = False) -> None:
        self.heard: list[bytes] = []
        self._hasty = hasty
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, args=(scripts,))
        self._thread.start()

    def _serve(self, scripts: list[list[bytes]]) -> None:
        with self._listening:
            for script in scripts:
                with self._listening.accept()[0] as client:
                    client.settimeout(PATIENCE)
                    for answer in script:
                        self.heard.append(self._request(client))
                        client.sendall(answer)

    def _request(self, client: socket.socket) -> bytes:
        """A request up to the end of its body, or only its head where this server is hasty."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(65536)
        if not self._hasty and b"chunked" in data:
            while not data.endswith(b"0\r\n\r\n"):
                data += client.recv(65536)
        return data

    def close(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def answering(*scripts: list[bytes], hasty: bool = False) -> Iterator[Scripted]:
    server = Scripted(list(scripts), hasty=hasty)
    try:
        yield server
    finally:
        server.close()


def asked(address: str, *works: Callable[[Client], Coroutine[Any, Any, Any]]) -> list[Any]:
    async def ask() -> list[Any]:
        async with Client(PlainTransport(address, "t0k")) as client:
            return [await work(client) for work in works]

    return _alone(ask())


async def read(client: Client) -> bytes:
    return await client.get_file("in", "master", "a")


@pytest.mark.parametrize(
    "answer",
    [
        BYTES,
        b"HTTP/1.1 100 Continue\r\n\r\n" + BYTES,
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nsum: 1\r\n\r\n",
        OK + b"\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_the_forms_that_an_answer_may_have_are_read(answer: bytes) -> None:
    with answering([answer]) as server:
        assert asked(server.address, read) == [b"hello"]
    assert server.heard[0].startswith(b"GET /v1/repos/in/commits/master/files/a HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer t0k\r\n" in server.heard[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it sent no answer"),
        (b"HTTP/1.1 200", "its answer ended too early"),
        (b"SSH-2.0-x\r\n", "it does not speak HTTP"),
        (OK + b"content-length: 9\r\n\r\nhello", "its answer ended too early"),
        (OK + b"content-length: -1\r\n\r\n", "its answer is broken|does not speak HTTP"),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "its answer is broken: .*chunk size"),
        (OK + b"a: b\r\n" * 300_000 + b"\r\n", "more than 1048576 bytes of headers"),
    ],
)
def test_an_answer_that_breaks_off_or_is_none_is_told_in_a_line(answer: bytes, said: str) -> None:
    with (
        answering([answer]) as server,
        pytest.raises(Unavailable, match=f"the server at {server.address} went away: .*{said}"),
    ):
        asked(server.address, read)


def test_calls_share_a_connection_until_the_server_ends_it() -> None:
    last = BYTES.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    with answering([BYTES, last], [BYTES], [BYTES]) as server:
        assert asked(server.address, read, read, read, read) == [b"hello"] * 4
    assert len(server.heard) == 4


def test_who_is_let_go_of_while_asking_asks_again_what_changes_nothing() -> None:
    """The server ends a connection that is not used, and the next call is on its way already."""
    with answering([BYTES, b""], [BYTES]) as server:
        assert asked(server.address, read, read) == [b"hello"] * 2
    assert len(server.heard) == 3


def test_an_error_of_the_server_is_the_same_error_here() -> None:
    problem = b'{"kind":"not_found","detail":"no file a"}'
    answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\n\r\n" % len(problem) + problem
    with answering([answer]) as server, pytest.raises(NotFound, match="no file a"):
        asked(server.address, read)


def test_a_change_whose_answer_was_lost_is_sent_again_with_its_key() -> None:

    async def put(client: Client) -> object:
        where = {"repo": "in", "branch": "master", "path": "/a"}
        return await client.transport.call(PUT_FILE, where, {}, b"1")

    with answering([b""], [b"HTTP/1.1 204 No Content\r\n\r\n"]) as server:
        assert asked(server.address, put) == [None]
    first, second = (
        next(line for line in heard.split(b"\r\n") if line.startswith(b"idempotency-key: "))
        for heard in server.heard
    )
    assert first == second


def test_a_body_that_is_refused_before_its_end_is_not_sent_to_its_end() -> None:
    """A put of many gigabytes into a repo that is full is told of at once."""
    problem = b'{"kind":"too_large","detail":"too much"}'
    answer = b"HTTP/1.1 413 No\r\ncontent-length: %d\r\n\r\n" % len(problem) + problem
    pieces = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal pieces
        for _ in range(1000):
            pieces += 1
            yield bytes(1 << 20)

    with (
        answering([answer], hasty=True) as server,
        pytest.raises(TooLarge, match="too much"),
    ):
        asked(server.address, lambda client: client.put_file("in", "master", "a", body))
    assert pieces < 1000


def test_nobody_there_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unavailable, match=f"no server answers at {address}: start one"):
        asked(address, read)


@pytest.mark.parametrize("token", ["a\r\nb: c", "ä"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match="the token holds what no token has"):
        PlainTransport("http://127.0.0.1:1", token)


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("http://127.0.0.1:7650", True), ("localhost:7650", True), ("http://[::1]:1/v", True),
        ("https://a", False), ("http://", False), ("http://a:b", False), ("http://a:0", False),
        ("http://u:p@a", False), ("http://a?x=1", False), ("http://ä", False),
        ("http://a b", False),
    ],
)  # fmt: skip
def test_only_addresses_of_plain_http_are_spoken_to_without_a_loop(
    address: str, plain: bool
) -> None:
    assert is_plain(address) is plain


HEAVY = (
    "asyncio",
    "ssl",
    "httpx2",
    "anyio",
    "h11",
    "logging",
    "yaml",
    "rich",
    "click",
    "inspect",
    "threading",
)
SCRIPT = f"""
import sys
from vedette.cli.main import outcome
words = sys.argv[1:]
code = outcome(["--address", "http://127.0.0.1:1", *words])
found = sorted(name for name in {HEAVY} if name in sys.modules)
sys.exit(f"{{words[0]}} ended with {{code}}, and loaded {{found}}" if found or code != 7 else 0)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["version"], ["status"], ["wait", "--idle"], ["list-job"], ["list-file", "in@master"],
        ["put-file", "in@master:/a", "-f", __file__], ["get-file", "in@master:/a"],
        ["flush-commit", "in@master"], ["list-pipeline"], ["get-logs", "-p", "a"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_command_loads_no_http_library_and_no_event_loop(words: list[str]) -> None:
    """Most of the time of a command was once spent on loading what it does not need."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
