"""Hosts of a cluster are cut off, come back and are killed; what comes out stays the same (C1, C2).

A stream of pictures goes through the shipped pipelines, and through one that takes its time, so
that there is always something under way where a fault strikes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from tests.acceptance.test_cluster import Outputs, alone, begin, check
from tests.cluster import Cluster, Member, hosts
from tests.hosts import host_of, until
from tests.proxy import proxied

from vedette_cameras.runtimes import PIPELINES, code_folder

pytestmark = pytest.mark.slow

SHIPPED = [code_folder().parent / f"{name}.json" for name in PIPELINES[:4]]
SLOW = {
    "pipeline": {"name": "slow"},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
    "transform": {"cmd": ["sh", "-c", "sleep 2; cp /pfs/images/* /pfs/out/"]},
    "parallelism_spec": {"constant": 6},
}
_MANY = 16


class Stream(NamedTuple):
    """Pictures in the order in which they come, the specs, and what must come of them."""

    pictures: dict[str, bytes]
    specs: list[Path]
    wanted: Outputs

    def part(self, number: int, of: int = 4) -> dict[str, bytes]:
        """One of so many equal parts of the pictures."""
        size = _MANY // of
        return dict(list(self.pictures.items())[number * size : (number + 1) * size])


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Stream:
    """The originals under many names, with what one machine makes of them."""
    folder = tmp_path_factory.mktemp("alone")
    found = sorted((data_dir / "original").glob("dev*"))
    pictures = {
        f"dev{n % 4 + 1}_{1511891000 + 7 * n}.jpg": found[n % len(found)].read_bytes()
        for n in range(_MANY - 1)
    }
    pictures["blah.jpg"] = (data_dir / "original" / "blah.jpg").read_bytes()
    (folder / "slow.json").write_text(json.dumps(SLOW))
    specs = [*SHIPPED, folder / "slow.json"]
    return Stream(pictures, specs, alone(folder, specs, pictures))


@contextmanager
def cluster_at_work(folder: Path, stream: Stream) -> Iterator[Cluster]:
    """A cluster whose workers have begun with the first quarter of the pictures."""
    with hosts(folder) as cluster:
        cluster.serve(2, cluster.database, cluster.objects.environ)
        cluster.work(3)
        begin(cluster.servers[0], stream.specs)
        put(cluster, stream.part(0))
        yield cluster


def put(cluster: Cluster, pictures: dict[str, bytes]) -> None:
    for name, content in pictures.items():
        cluster.put("images", name, content)


def at_work(cluster: Cluster, number: int) -> None:
    """Wait until a worker has a datum."""
    worker = cluster.workers[number]
    until(lambda: host_of(cluster.leader(), worker)["running"], worker)


class Writer:
    """Writes new files through one server without end, each asked once, and notes the answers."""

    def __init__(self, server: Member) -> None:
        self.taken: list[str] = []
        self.refused: list[str] = []
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._http = httpx2.Client(
            headers=server.http.headers, timeout=server.http.timeout, trust_env=False
        )
        self._thread.start()

    def _write(self) -> None:
        where = f"{self._server.address}/v1/repos/beside/branches/master/files"
        for number in count():
            if self._ending.is_set():
                return
            name = f"/f{number}"
            try:
                answer = self._http.put(where + name, content=name.encode())
            except httpx2.HTTPError:
                continue  # nobody knows
            if answer.status_code == 200:
                self.taken.append(name)
            elif "retry-after" in answer.headers:
                self.refused.append(name)

    def check(self, server: Member) -> None:
        """What was taken is there, what was refused is not."""
        there = server.files("beside")
        assert there.keys() >= set(self.taken)
        assert not there.keys() & set(self.refused)

    def end(self) -> None:
        """Write no more."""
        self._ending.set()
        self._thread.join()
        self._http.close()


@contextmanager
def writing(server: Member) -> Iterator[Writer]:
    """A writer, ended with the block."""
    server("create-repo", "beside")
    writer = Writer(server)
    try:
        until(lambda: writer.taken)
        yield writer
    finally:
        writer.end()


def test_workers_that_are_cut_off_or_killed_lose_nothing(tmp_path: Path, stream: Stream) -> None:
    """C2: one is cut off past its lease and comes back, one is killed."""
    with cluster_at_work(tmp_path, stream) as cluster:
        at_work(cluster, 0)
        cluster.worker_hosts[0].cut()
        put(cluster, stream.part(1))
        at_work(cluster, 1)
        cluster.workers[1].kill()
        put(cluster, stream.part(2))
        cluster.settle()
        cluster.worker_hosts[0].mend()
        put(cluster, stream.part(3))
        # What it asked while it was cut off may hold it for some seconds: others may do the rest.
        check(cluster, stream.wanted)
        assert host_of(cluster.leader(), cluster.workers[0])


def test_a_leader_that_is_cut_off_from_its_database_is_followed_by_another(
    tmp_path: Path, stream: Stream
) -> None:
    """C1: and what it still had under way when it was cut off is not done behind the other's back.

    PostgreSQL ends its sessions, so that what its kernel says again after the cut is not heard.
    """
    with cluster_at_work(tmp_path, stream) as cluster:
        first, second = cluster.servers
        epoch = cluster.epoch()
        with writing(first) as writer:
            first.host.lose(cluster.rows_host)
            until(lambda: second.role() == "leader")
            put(cluster, stream.part(1))
            until(lambda: first.role() == "follower")
            first.host.mend()
            done = len(writer.taken)
            until(lambda: len(writer.taken) > done)
        assert cluster.epoch() == epoch + 1
        put(cluster, stream.part(2))
        put(cluster, stream.part(3))
        check(cluster, stream.wanted)
        writer.check(second)


def test_the_host_of_the_leader_goes_away_and_then_that_of_the_next(
    tmp_path: Path, stream: Stream
) -> None:
    """C1: a cable is pulled; when it is back, the one that led meanwhile is killed."""
    with cluster_at_work(tmp_path, stream) as cluster:
        first, second = cluster.servers
        first.host.cut()
        put(cluster, stream.part(1))
        assert second.role() == "leader"
        first.host.mend()
        until(lambda: first.role() == "follower")
        put(cluster, stream.part(2))
        second.kill()
        put(cluster, stream.part(3))
        assert first.role() == "leader"
        second.again()
        check(cluster, stream.wanted)


def said(cluster: Cluster, word: str) -> bool:
    """Whether a server's log has a word."""
    return any(word in member.said() for member in cluster.servers)


def test_the_bucket_is_cut_off_from_all_and_comes_back(tmp_path: Path, stream: Stream) -> None:
    """C1: from servers and workers, while datums run; then it is killed besides."""
    with cluster_at_work(tmp_path, stream) as cluster:
        at_work(cluster, 0)
        cluster.objects_host.cut()
        until(lambda: said(cluster, "cannot write s3://"))
        cluster.objects_host.mend()
        put(cluster, stream.part(1))
        cluster.objects.kill()
        cluster.objects.again()
        put(cluster, stream.part(2))
        put(cluster, stream.part(3))
        check(cluster, stream.wanted)


def test_the_database_is_cut_off_from_all_and_comes_back(tmp_path: Path, stream: Stream) -> None:
    """C1: whoever leads then, no answer was wrong; then it is killed besides."""
    with cluster_at_work(tmp_path, stream) as cluster:
        first, second = cluster.servers
        with writing(first) as writer:
            at_work(cluster, 0)
            cluster.rows_host.cut()
            until(lambda: said(cluster, "lock was lost"))
            cluster.rows_host.mend()
            done = len(writer.taken)
            until(lambda: len(writer.taken) > done)
        put(cluster, stream.part(1))
        cluster.rows.kill()
        cluster.rows.start()
        put(cluster, stream.part(2))
        put(cluster, stream.part(3))
        check(cluster, stream.wanted)
        writer.check(second)


def test_the_bucket_and_the_database_are_both_cut_off_and_come_back(
    tmp_path: Path, stream: Stream
) -> None:
    """C1, C2: for longer than a lease."""
    with cluster_at_work(tmp_path, stream) as cluster:
        at_work(cluster, 0)
        cluster.objects_host.cut()
        cluster.rows_host.cut()
        until(lambda: said(cluster, "lock was lost"))
        until(lambda: not any(member.role() == "leader" for member in cluster.servers))
        # Who leads must reach both: with the database alone there may be no leader.
        cluster.rows_host.mend()
        cluster.objects_host.mend()
        until(lambda: any(member.role() == "leader" for member in cluster.servers))
        for number in (1, 2, 3):
            put(cluster, stream.part(number))
        check(cluster, stream.wanted)


def test_a_slow_network_everywhere_costs_time_only(tmp_path: Path, stream: Stream) -> None:
    """100 ms each way to the servers, 5 ms to PostgreSQL, 20 ms to the bucket."""
    with hosts(tmp_path) as cluster:
        near = cluster.net.address
        database, name = cluster.database.rsplit("/", 1)
        with (
            proxied(database.rpartition("@")[2], 0.005, listen=near) as rows,
            proxied(cluster.objects.endpoint, 0.02, listen=near) as objects,
        ):
            url = f"postgresql://postgres@{rows.address.removeprefix('http://')}/{name}"
            env = {**cluster.objects.environ, "AWS_ENDPOINT_URL": objects.address}
            cluster.serve(2, url, env)
            with (
                proxied(cluster.servers[0].address, 0.1, listen=near) as one,
                proxied(cluster.servers[1].address, 0.1, listen=near) as other,
            ):
                cluster.work(3, [one.address, other.address])
                begin(cluster.servers[1], stream.specs)
                put(cluster, stream.pictures)
                check(cluster, stream.wanted)
                assert one.passed + other.passed > 1_000_000
                for each in (rows, objects):
                    assert each.passed > 1_000_000
