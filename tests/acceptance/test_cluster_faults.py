"""Hosts of a cluster are cut off, come back and are killed; what comes out stays the same (C1, C2).

A stream of pictures goes through the shipped pipelines, and through one that takes its time, so
that there is always something under way where a fault strikes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.acceptance.test_cluster import Outputs, alone, begin, check
from tests.cluster import Cluster, hosts
from tests.hosts import host_of, until

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
        at_work(cluster, 0)
        check(cluster, stream.wanted)


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
