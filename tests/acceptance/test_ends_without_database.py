"""A server that is told to stop, or leads no more, ends soon although its database is away (C1)."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.hosts import until
from tests.network import network
from tests.postgres import Postgres, postgres_server
from tests.program import Server, serving

SOON = 45.0
"""Far more than it takes on a busy machine, and far less than what the network waits for."""

LONG = {
    "pipeline": {"name": "long"},
    "transform": {"cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/; sleep 1"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}


@contextmanager
def at_work(
    folder: Path, url: str, prefix: list[str], listen: str
) -> Iterator[tuple[Server, threading.Event]]:
    """A server with datums under way, and callers that read and write until the event is set."""
    words = ["--database", url, "--objects", str(folder / "objects"), "--listen", listen]
    with serving(folder / "data", *words, prefix=prefix) as server, ExitStack() as stack:
        if "0.0.0.0" in listen or not listen.startswith("127."):
            token = (folder / "data" / "admin.token").read_text().strip()
            server.http.headers["authorization"] = f"Bearer {token}"
        assert server.http.post(f"{server.address}/v1/repos", json={"name": "in"}).is_success
        assert server.http.post(f"{server.address}/v1/pipelines", json=LONG).is_success
        ending = threading.Event()
        stack.callback(ending.set)
        for number in range(4):
            stack.enter_context(calling(server, number, ending))
        until(lambda: any(job["state"] == "RUNNING" for job in server.get("/v1/jobs")))
        yield server, ending


@contextmanager
def calling(server: Server, number: int, ending: threading.Event) -> Iterator[None]:
    """Somebody who writes and reads, whatever is answered."""

    def call() -> None:
        headers = server.http.headers
        with httpx2.Client(timeout=2.0, trust_env=False, headers=headers) as http:
            turn = 0
            while not ending.wait(0.02):
                turn += 1
                where = f"{server.address}/v1/repos/in/branches/master/files/{number}-{turn}"
                try:
                    http.put(where, content=b"x")
                    http.get(f"{server.address}/v1/jobs")
                except httpx2.HTTPError:
                    continue

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def ends_soon(server: Server) -> None:
    """Tell it to stop: it ends by itself, in good order."""
    server.process.send_signal(signal.SIGTERM)
    try:
        assert server.process.wait(SOON) == 0, server.said()
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it did not end: {server.said()}") from None


def soon(look: Callable[[], bool], server: Server) -> None:
    """Wait for what must not take long."""
    limit = time.monotonic() + SOON
    while not look():
        assert time.monotonic() < limit, server.said()
        time.sleep(0.05)


def asked(server: Server) -> dict[str, Any]:
    """How a server says it is; nothing when it does not say."""
    try:
        answer = server.http.get(f"{server.address}/v1/health")
    except httpx2.HTTPError:
        return {}
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def own() -> Iterator[Postgres]:
    with postgres_server() as made:
        yield made


def test_a_server_ends_soon_while_its_database_is_down(tmp_path: Path, own: Postgres) -> None:
    """Results that nobody takes, and rounds that are tried again, are let go."""
    with at_work(tmp_path, own.empty(), [], "127.0.0.1:0") as (server, _):
        own.kill()
        until(lambda: "lock was lost" in server.said())
        ends_soon(server)


def test_a_server_ends_soon_while_its_database_sleeps(tmp_path: Path, own: Postgres) -> None:
    """Its kernel acknowledges all that is sent, so that no timeout of the network ever ends."""
    with at_work(tmp_path, own.empty(), [], "127.0.0.1:0") as (server, _):
        own.pause()
        try:
            ends_soon(server)
        finally:
            own.go_on()


@pytest.mark.slow
def test_a_server_ends_soon_while_it_is_cut_off_from_its_database(tmp_path: Path) -> None:
    with network() as net:
        near, far = net.host(), net.host()
        with postgres_server(far.address, far.prefix) as rows:
            url = rows.empty()
            with at_work(tmp_path, url, near.prefix, f"{near.address}:7650") as (server, _):
                near.lose(far)
                ends_soon(server)


@pytest.mark.slow
def test_a_leader_that_is_cut_off_from_its_database_lets_go_soon(tmp_path: Path) -> None:
    """And leads again when it is back: what it had under way is done once."""
    with network() as net:
        near, far = net.host(), net.host()
        with postgres_server(far.address, far.prefix) as rows:
            url = rows.empty()
            with at_work(tmp_path, url, near.prefix, f"{near.address}:7650") as (server, ending):
                near.lose(far)
                until(lambda: "no longer leading" in server.said())
                soon(lambda: "has let go" in server.said(), server)
                near.mend()
                until(lambda: asked(server).get("role") == "leader")
                ending.set()
                server.idle()
                states = [job["state"] for job in server.get("/v1/jobs", limit="1000")]
                assert set(states) == {"SUCCESS"}
                commits = [job["commit"] for job in server.get("/v1/jobs", limit="1000")]
                assert len(commits) == len(set(commits))
