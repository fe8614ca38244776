"""Several servers on one PostgreSQL: one leads, and another goes on when it cannot."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Postgres, postgres_server
from tests.program import PATIENCE, Server, serving

from vedette.backends import bound_folder
from vedette.config import Settings
from vedette.metadata.postgres import PostgresStore
from vedette.model.errors import Conflict

COPY = {
    "pipeline": {"name": "copy"},
    "transform": {"image": "any", "cmd": ["sh", "-c", "cp /pfs/in/* /pfs/out/"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}

BIG = os.urandom(200_000)
"""Too large for a row: it is in the folder that the servers share."""


@pytest.fixture
def runtimes(tmp_path: Path) -> Path:
    path = tmp_path / "runtimes.toml"
    path.write_text('["any"]\nruntime = "process"\n')
    return path


@contextmanager
def servers(folder: Path, url: str, runtimes: Path, count: int = 2) -> Iterator[list[Server]]:
    """Servers on one database; the first leads."""
    words = ["--database", url, "--objects", str(folder / "shared"), "--runtimes", str(runtimes)]
    with ExitStack() as stack:
        yield [stack.enter_context(serving(folder / f"s{n}", *words)) for n in range(count)]


def role(server: Server) -> str:
    found: dict[str, Any] = server.get("/v1/health")
    return str(found["role"])


def until(server: Server, wanted: str) -> None:
    limit = time.monotonic() + PATIENCE
    while role(server) != wanted:
        assert time.monotonic() < limit, f"not {wanted}: {server.said()}"
        time.sleep(0.05)


def begin(server: Server, folder: Path) -> None:
    spec = folder / "copy.json"
    spec.write_text(json.dumps(COPY))
    server("create-repo", "in")
    server("create-pipeline", "-f", spec)


def put(server: Server, name: str, content: bytes) -> None:
    """Put a file through a server that may be about to change its role."""
    limit = time.monotonic() + PATIENCE
    while True:
        where = f"{server.address}/v1/repos/in/branches/master/files/{name}"
        answer = server.http.put(where, content=content)
        if answer.status_code == 200:
            return
        assert answer.status_code == 503 and time.monotonic() < limit, answer.text
        time.sleep(float(answer.headers.get("retry-after", "0.2")))


def outputs(server: Server) -> dict[str, bytes]:
    server.idle()
    return {path: server.content("copy", path) for path in server.files("copy")}


def test_another_server_goes_on_when_the_leader_is_killed(
    tmp_path: Path, postgres: Postgres, runtimes: Path
) -> None:
    """C1 across hosts: what was accepted is there, what was unfinished goes on."""
    with servers(tmp_path, postgres.empty(), runtimes) as (first, second):
        assert (role(first), role(second)) == ("leader", "follower")
        begin(second, tmp_path)
        put(second, "a", BIG)
        assert outputs(second) == outputs(first) == {"/a": BIG}
        first.kill()
        put(second, "b", b"2")
        assert role(second) == "leader"
        assert outputs(second) == {"/a": BIG, "/b": b"2"}
        first.again()
        assert role(first) == "follower"
        put(first, "c", b"3")
        assert outputs(first) == {"/a": BIG, "/b": b"2", "/c": b"3"}
        states = {row["state"] for row in first("list-job", "--raw").rows}
        assert states == {"SUCCESS"}


def test_a_leader_that_was_paused_commits_nothing_when_it_wakes(
    tmp_path: Path, postgres: Postgres, runtimes: Path
) -> None:
    with servers(tmp_path, postgres.empty(), runtimes) as (first, second):
        begin(first, tmp_path)
        put(first, "a", b"1")
        assert outputs(first) == {"/a": b"1"}
        os.kill(first.process.pid, signal.SIGSTOP)
        try:
            put(second, "b", b"2")
            assert role(second) == "leader"
            assert outputs(second) == {"/a": b"1", "/b": b"2"}
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        put(first, "c", b"3")
        until(first, "follower")
        assert outputs(first) == outputs(second) == {"/a": b"1", "/b": b"2", "/c": b"3"}
        made = [row["id"] for row in second("list-commit", "in", "--raw").rows]
        assert len(made) == len(set(made)) == 3


def test_nothing_is_lost_when_postgresql_is_killed_and_comes_back(
    tmp_path: Path, runtimes: Path
) -> None:
    with postgres_server() as own, servers(tmp_path, own.empty(), runtimes, 1) as (server,):
        begin(server, tmp_path)
        put(server, "a", b"1")
        assert outputs(server) == {"/a": b"1"}
        before = server.process.pid
        own.kill()
        refused = server.http.put(
            f"{server.address}/v1/repos/in/branches/master/files/x", content=b""
        )
        assert refused.status_code == 503, refused.text
        assert "postgres@" not in refused.text and "does not answer" in refused.text
        own.start()
        put(server, "b", b"2")
        assert outputs(server) == {"/a": b"1", "/b": b"2"}
        assert (role(server), server.process.pid) == ("leader", before)


def test_a_server_with_objects_of_its_own_is_refused(tmp_path: Path, postgres: Postgres) -> None:
    """What one accepts all must find."""
    url = postgres.database()
    store = PostgresStore(url)
    first = Settings(data=tmp_path / "a", database=url)
    assert bound_folder(first, store) == bound_folder(first, store) == tmp_path / "a"
    for other in (
        Settings(data=tmp_path / "b", database=url),
        Settings(data=tmp_path / "a", database=url, objects=str(tmp_path / "c")),
    ):
        with pytest.raises(Conflict, match="all its servers need one place"):
            bound_folder(other, store)
    store.close()
    elsewhere = PostgresStore(postgres.database())
    with pytest.raises(Conflict, match="not in"):
        bound_folder(first, elsewhere)
    elsewhere.close()
