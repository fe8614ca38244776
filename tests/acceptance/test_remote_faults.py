"""Hosts that die, sleep and are cut off; servers that come and go (ENGINE C1, C2)."""

from __future__ import annotations

import random
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.acceptance.test_remote_worker import shell
from tests.hosts import Worker, alive, host_of, until, working
from tests.postgres import Postgres
from tests.program import PATIENCE, PROGRAM, Server, descendants, serving
from tests.proxy import proxied

from vedette.config import Settings
from vedette.scheduling import leasing
from vedette.wiring import running_server

UPPER = "for f in /pfs/images/*; do tr a-z A-Z <$f >/pfs/out/${f##*/}; done"
SLOW = f"sleep 2; {UPPER}"


class Near(Server):
    """A server in a thread of this process, spoken to like one in a process of its own."""

    def __init__(self, address: str, data: Path) -> None:
        self.address, self.data = address, data
        self.program, self.cwd = PROGRAM, None
        self.http = httpx2.Client(timeout=PATIENCE, trust_env=False)


@contextmanager
def near(data: Path) -> Iterator[Server]:
    """A server without workers of its own."""
    with running_server(
        data, apps=[], settings=Settings(data=data, listen="127.0.0.1:0", workers=0)
    ) as address:
        server = Near(address, data)
        try:
            yield server
        finally:
            server.http.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of two seconds."""
    monkeypatch.setattr(leasing, "LEASE", 2.0)


def running(server: Server, worker: Worker) -> None:
    """Wait until a worker has a datum."""
    until(lambda: host_of(server, worker)["running"], worker)


def lost(server: Server, pipeline: str) -> tuple[int, int]:
    """Tries and state of the newest job's datum."""
    job = server.get("/v1/jobs", pipeline=pipeline)[0]
    datum = server.get(f"/v1/jobs/{job['id']}/datums")[0]
    return datum["tries"], datum["state"]


def test_a_killed_host_loses_its_datum_to_another_and_no_try(tmp_path: Path, short: None) -> None:
    """C2: with the process goes all that ran in it."""
    with near(tmp_path / "data") as server:
        server("create-repo", "images")
        shell(server, "upper", SLOW)
        with working(tmp_path / "a.log", "--server", server.address) as one:
            server.put("images", "/a", b"hello")
            running(server, one)
            with working(tmp_path / "b.log", "--server", server.address) as two:
                host_of(server, two)
                below = descendants(one.process.pid)
                one.kill()
                until(lambda: not any(map(alive, below)))
                server.idle()
                assert server.content("upper", "/a") == b"HELLO"
                assert server.get("/v1/jobs", pipeline="upper")[0]["processed"] == 1
                job = server.get("/v1/jobs", pipeline="upper")[0]["id"]
                (datum,) = server.get(f"/v1/jobs/{job}/datums")
                assert (datum["state"], datum["tries"]) == ("SUCCESS", 1)


def test_three_lost_leases_fail_a_datum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """C2: no picture is retried for ever."""
    monkeypatch.setattr(leasing, "LEASE", 0.8)
    with near(tmp_path / "data") as server:
        server("create-repo", "images")
        shell(server, "upper", "sleep 60")
        server.put("images", "/a", b"hello")
        for number in range(3):
            worker = Worker(tmp_path / f"{number}.log", ["--server", server.address])
            try:
                running(server, worker)
            finally:
                worker.kill()
        server.idle()
        (failed,) = server.get("/v1/datums", pipeline="upper")
        assert "3 leases were lost" in failed["reason"]


def test_a_host_that_slept_past_its_lease_does_no_harm(tmp_path: Path, short: None) -> None:
    """C2: its late answer is refused; it registers again and goes on."""
    with near(tmp_path / "data") as server:
        server("create-repo", "images")
        shell(server, "upper", SLOW)
        with working(tmp_path / "a.log", "--server", server.address) as one:
            server.put("images", "/a", b"hello")
            running(server, one)
            one.signal(signal.SIGSTOP)
            with working(tmp_path / "b.log", "--server", server.address):
                server.idle()
            one.signal(signal.SIGCONT)
            server.put("images", "/b", b"again")
            server.idle()
            assert server.content("upper", "/a") == b"HELLO"
            assert server.content("upper", "/b") == b"AGAIN"
            jobs = server.get("/v1/jobs", pipeline="upper")
            assert [job["processed"] for job in jobs] == [1, 1]
            assert [job["state"] for job in jobs] == ["SUCCESS", "SUCCESS"]


def test_a_host_goes_on_by_itself_when_its_server_is_back(tmp_path: Path) -> None:
    """C1: the server is killed while a datum runs; the host is given two addresses."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    words = ["--workers", "0", "--listen", f"127.0.0.1:{port}"]
    with serving(tmp_path / "data", *words) as server:
        server("create-repo", "images")
        shell(server, "upper", SLOW)
        others = ["--server", "http://127.0.0.1:9", "--server", server.address]
        with working(tmp_path / "w.log", *others) as worker:
            server.put("images", "/a", b"hello")
            running(server, worker)
            server.kill()
            until(lambda: "does not answer" in worker.said(), worker)
            server.again()
            server.put("images", "/b", b"again")
            server.idle()
            assert server.content("upper", "/a") == b"HELLO"
            assert server.content("upper", "/b") == b"AGAIN"
            assert worker.process.poll() is None
            assert worker.stop() == 0


def test_a_slow_network_costs_time_only(tmp_path: Path) -> None:
    """100 ms each way."""
    with near(tmp_path / "data") as server, proxied(server.address, delay=0.1) as proxy:
        server("create-repo", "images")
        shell(server, "upper", UPPER, parallelism_spec={"constant": 4})
        files = {f"/f{n}": b"%d " % n + b"abc" * 9000 for n in range(6)}
        for path, data in files.items():
            server.put("images", path, data)
        with working(tmp_path / "w.log", "--server", proxy.address):
            server.idle()
        for path, data in files.items():
            assert server.content("upper", path) == data.upper()


def test_connections_that_break_anywhere_lose_and_double_nothing(tmp_path: Path) -> None:
    """C1: within requests, answers and bodies, after the work was done or before."""
    chance = random.Random(7)
    with (
        near(tmp_path / "data") as server,
        proxied(server.address, lives=lambda: chance.randrange(500, 60_000)) as proxy,
    ):
        server("create-repo", "images")
        shell(server, "upper", UPPER, parallelism_spec={"constant": 3})
        files = {f"/f{n}": b"%d " % n + b"abc" * 6000 for n in range(16)}
        for path, data in files.items():
            server.put("images", path, data)
        with working(tmp_path / "w.log", "--server", proxy.address, "--slots", "3"):
            server.idle()
        assert proxy.broken > 10
        jobs = server.get("/v1/jobs", pipeline="upper")
        assert sum(job["processed"] for job in jobs) == len(files)
        assert {job["state"] for job in jobs} == {"SUCCESS"}
        for path, data in files.items():
            assert server.content("upper", path) == data.upper()


def test_a_host_that_is_told_to_stop_gives_back_what_it_has_not_begun(tmp_path: Path) -> None:
    """What runs ends; the rest runs elsewhere, and no lease counts as lost."""
    with near(tmp_path / "data") as server:
        server("create-repo", "images")
        shell(server, "upper", f"sleep 0.5; {UPPER}", parallelism_spec={"constant": 1})
        for number in range(4):
            server.put("images", f"/f{number}", b"x%d" % number)
        with working(tmp_path / "a.log", "--server", server.address) as one:
            running(server, one)
            assert one.stop() == 0
        assert server.get("/v1/workers") == []
        with working(tmp_path / "b.log", "--server", server.address):
            server.idle()
        jobs = server.get("/v1/jobs", pipeline="upper")
        assert sum(job["processed"] for job in jobs) == 4


def test_a_token_that_was_revoked_ends_the_host(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--workers", "0", "--listen", "0.0.0.0:0") as server:
        admin = (tmp_path / "data" / "admin.token").read_text().strip()
        server.http.headers["authorization"] = f"Bearer {admin}"
        made = server.http.post(f"{server.address}/v1/tokens", json={"scope": "worker"}).json()
        (tmp_path / "token").write_text(made["token"] + "\n")
        words = ["--server", server.address, "--token-file", str(tmp_path / "token")]
        with working(tmp_path / "w.log", *words) as worker:
            host_of(server, worker)
            server.http.delete(f"{server.address}/v1/tokens/{made['id']}")
            assert worker.process.wait(PATIENCE) == 6
            assert "has been revoked" in worker.said().splitlines()[-1]
        with working(tmp_path / "v.log", "--server", server.address) as worker:
            assert worker.process.wait(PATIENCE) == 6
            assert "a token is needed" in worker.said()


def test_a_host_goes_on_with_the_server_that_takes_over(tmp_path: Path, postgres: Postgres) -> None:
    """C1: the leader is killed while a datum runs; it was asked through a follower."""
    url = postgres.empty()
    words = ["--database", url, "--objects", str(tmp_path / "objects"), "--workers", "0"]
    with serving(tmp_path / "s0", *words) as first, serving(tmp_path / "s1", *words) as second:
        first("create-repo", "images")
        shell(first, "upper", SLOW)
        addresses = ["--server", second.address, "--server", first.address]
        with working(tmp_path / "w.log", *addresses) as worker:
            second.put("images", "/a", b"hello")
            running(second, worker)
            first.kill()
            until(lambda: second.get("/v1/health")["role"] == "leader")
            second.put("images", "/b", b"again")
            second.idle()
            assert second.content("upper", "/a") == b"HELLO"
            assert second.content("upper", "/b") == b"AGAIN"
            assert {job["state"] for job in second.get("/v1/jobs", pipeline="upper")} == {"SUCCESS"}
            assert worker.stop() == 0
