"""Processes of a real installation are killed at random moments; nothing accepted may suffer.

ENGINE C1 and C2: no accepted file is lost, no finished commit changes, no job is lost or doubled,
no output is partial. Clients note every answer that they got; that is the truth to compare with.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from tests.program import PATIENCE, Server, descendants, serving

STAGE = ["python", "-m", "vedette.stage"]
SCRIPT = 'printf seen | cat "$kept" - > "/pfs/out/$(basename "$kept")"'
SPECS: list[dict[str, Any]] = [
    {
        "pipeline": {"name": "kept"},
        "transform": {"cmd": [*STAGE, "vedette.testing.stages:link"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
    },
    {
        "pipeline": {"name": "marked"},
        "transform": {"cmd": ["sh"], "stdin": [SCRIPT]},
        "input": {"pfs": {"repo": "kept", "glob": "/*"}},
        "parallelism_spec": {"constant": 2},
    },
    {
        "pipeline": {"name": "noted"},
        "transform": {"cmd": [*STAGE, "vedette.testing.stages:note"]},
        "input": {"pfs": {"repo": "marked", "glob": "/*"}},
    },
]
NAMES = [spec["pipeline"]["name"] for spec in SPECS]


class Process(NamedTuple):
    """A process that cannot be taken for a later one with its number."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        return started(self.pid) == self.started and state(self.pid) != "Z"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def started(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty when it is not there."""
    with suppress(OSError):
        return _stat(pid)[19]
    return ""


def state(pid: int) -> str:
    with suppress(OSError):
        return _stat(pid)[0]
    return ""


class Clients:
    """Put files until told to stop. `acknowledged`: path to content and commit, as answered."""

    def __init__(self, server: Server, seed: int, count: int = 2) -> None:
        self.acknowledged: dict[str, tuple[bytes, str]] = {}
        self.asked: dict[str, bytes] = {}
        self.answers: list[int] = []
        self._server = server
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(f"{seed}-{n}",)) for n in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every file that was begun be acknowledged, then end."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _work(self, name: str) -> None:
        chance = random.Random(name)
        number = 0
        while not self._done.is_set():
            path = f"/{name}-{number}.bin"
            content = chance.randbytes(chance.choice((10, 3000, 90_000)))
            self.asked[path] = content
            self._put(path, content)
            number += 1
            time.sleep(chance.uniform(0.0, 0.15))

    def _put(self, path: str, content: bytes) -> None:
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            where = f"{self._server.address}/v1/repos/images/branches/master/files{path}"
            try:
                answer = self._server.http.put(where, content=content)
            except (httpx2.TransportError, httpx2.InvalidURL):
                time.sleep(0.05)  # it was killed, and comes again at another address
                continue
            self.answers.append(answer.status_code)
            if answer.status_code == 200:
                self.acknowledged[path] = (content, answer.json()["id"])
                return
            time.sleep(0.05)


class Killer:
    """Ends processes as a power cut or the kernel's memory killer does, at random moments."""

    def __init__(self, server: Server, seed: int) -> None:
        self.seen: set[Process] = set()
        self.kills: list[str] = []
        self._server = server
        self._chance = random.Random(seed)

    def look(self) -> list[int]:
        """All processes below the server, noted so as to ask later whether they are gone."""
        found = sorted(descendants(self._server.process.pid))
        self.seen |= {Process(pid, begun) for pid in found if (begun := started(pid))}
        return found

    def kill_server(self) -> None:
        self.look()
        self.kills.append("server")
        self._server.kill()
        self._server.again()

    def kill_below(self) -> None:
        """Keepers, outer or inner, warm stages, commands: whatever is there."""
        found = self.look()
        if found:
            self.kills.append("below")
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(found), signal.SIGKILL)

    def storm(self, servers: int, below: int) -> None:
        plan = ["server"] * servers + ["below"] * below
        self._chance.shuffle(plan)
        for what in plan:
            time.sleep(self._chance.uniform(0.05, 0.6))
            if what == "server":
                self.kill_server()
            else:
                self.kill_below()


@contextmanager
def installation(data: Path) -> Iterator[Server]:
    with serving(data) as server:
        server("create-repo", "images")
        for spec in SPECS:
            # A try is used up when a stage process dies, which here is not the stage's fault.
            patient = {**spec, "datum_tries": 100, "on_datum_failure": "datum"}
            server("create-pipeline", "-f", "-", stdin=json.dumps(patient).encode())
        yield server


def settle(server: Server) -> bool:
    """Wait for the rest; whether all datums succeeded at once.

    What lost its worker three times has failed by rule: it is run again by hand.
    """
    for turn in range(5):
        server.idle()
        failed = server.get("/v1/datums")
        if not failed:
            return turn == 0
        for datum in failed:
            assert "3 leases were lost" in datum["reason"], datum
            server("restart-datum", str(datum["number"]))
    raise AssertionError(f"datums go on failing: {failed}")


def all_jobs(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := server.get(
        "/v1/jobs", limit="500", **({"before": str(found[-1]["number"])} if found else {})
    ):
        found += page
    return found


def check(server: Server, clients: Clients, at_once: bool) -> None:
    """All that must hold. `at_once`: no datum had to be run again by hand."""
    images = server.files("images")
    assert set(clients.acknowledged) <= set(images) <= set(clients.asked)
    for path, (content, commit) in clients.acknowledged.items():
        assert server.content("images", path, commit) == content
        assert server.content("images", path) == content
    check_jobs(server, at_once)
    check_outputs(server, images, clients)
    if at_once:
        for _, commit in sorted(clients.acknowledged.values())[::10]:
            then = server.files("images", commit)
            assert server.files("kept", commit) == then
            assert set(server.files("marked", commit)) == set(then)
            assert set(server.files("noted", commit)) == {f"{path}.txt" for path in then}


def check_jobs(server: Server, at_once: bool) -> None:
    """One job for each pipeline and commit; all ended well; every count adds up."""
    commits = server.get("/v1/repos/images/commits", limit="1000")
    assert {commit["state"] for commit in commits} == {"finished"}
    jobs = all_jobs(server)
    made = [(job["pipeline"], job["commit"]) for job in jobs]
    assert len(set(made)) == len(made), "no job is doubled"
    caused = {(name, commit["id"]) for name in NAMES for commit in commits}
    assert set(made) == caused if at_once else set(made) >= caused
    for job in jobs:
        assert job["state"] == "SUCCESS", job
        done = job["processed"] + job["skipped"] + job["failed"] + job["recovered"]
        assert done == job["total"], job


def check_outputs(server: Server, images: dict[str, str], clients: Clients) -> None:
    """What the inputs make, and nothing else."""
    assert server.files("kept") == images
    assert set(server.files("marked")) == set(images)
    assert set(server.files("noted")) == {f"{path}.txt" for path in images}
    for path in images:
        content = clients.asked[path]
        assert server.content("marked", path) == content + b"seen"
        assert server.content("noted", f"{path}.txt") == b"%d\n" % (len(content) + 4)


def run_storm(data: Path, seed: int, servers: int, below: int) -> None:
    with installation(data) as server:
        clients = Clients(server, seed)
        killer = Killer(server, seed)
        clients.start()
        try:
            killer.storm(servers, below)
        finally:
            clients.stop()
        at_once = settle(server)
        assert killer.kills.count("server") == servers
        assert len(clients.acknowledged) > servers
        assert set(clients.answers) <= {200, 503}
        check(server, clients, at_once)
        # After one more restart it is all the same.
        killer.look()
        assert server.stop() == 0
        server.again()
        server.idle()
        check(server, clients, at_once)
        killer.look()
    left = [process for process in killer.seen if process.alive]
    assert not left, f"processes left behind: {left}"


def test_killed_at_random_nothing_accepted_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    run_storm(tmp_path / "data", seed=1, servers=3, below=6)


def test_what_is_killed_while_it_waits_costs_no_try(tmp_path: Path) -> None:
    with installation(tmp_path / "data") as server:
        killer = Killer(server, 0)
        for number in range(4):
            commit = server.put("images", f"/{number}", b"x")
            server.idle()
            jobs = [job for job in all_jobs(server) if job["commit"] == commit]
            assert {(job["pipeline"], job["state"]) for job in jobs} == {
                (name, "SUCCESS") for name in NAMES
            }
            for job in jobs:
                (datum,) = [
                    datum
                    for datum in server.get(f"/v1/jobs/{job['id']}/datums")
                    if datum["state"] == "SUCCESS"
                ]
                assert datum["tries"] == 1, datum
            waiting = killer.look()
            assert waiting, "warm workers wait for what comes next"
            for pid in waiting if number % 2 else waiting[::-1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            while any(state(pid) not in ("Z", "") for pid in waiting):
                time.sleep(0.05)  # one that is still dying could be given a datum


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_a_long_storm(tmp_path: Path, seed: int) -> None:
    run_storm(tmp_path / "data", seed, servers=15, below=60)
