"""Jobs whose objects are in a bucket, also while the bucket is away."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from tests.object_proxy import before
from tests.object_servers import ObjectServer
from tests.rig import Rig, path_of, pfs, rig

from vedette.model.errors import Unavailable
from vedette.model.work import Task
from vedette.objects.bucket import Bucket
from vedette.objects.remote import RemoteObjects

SIZE = 40_000  # too large for a row


def store_at(endpoint: str, server: ObjectServer, folder: Path) -> RemoteObjects:
    """A store with little patience, at a place of its own."""
    environ = {**server.environ, "AWS_ENDPOINT_URL": endpoint}
    return RemoteObjects(Bucket(server.place(), environ, patience=0.3), folder / "remote")


def doubled(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """A large output for a large input."""
    (data,) = inputs["in"].values()
    return {path_of(task): data * 2}


def fill(made: Rig, first: int, count: int) -> dict[str, bytes]:
    """Commit files, one each; what they hold."""
    files = {f"/{n}": os.urandom(SIZE) for n in range(first, first + count)}
    for path, data in files.items():
        made.put("in", {path: data})
    return files


def test_a_pipeline_runs_over_a_bucket(tmp_path: Path, weed: ObjectServer) -> None:
    with rig(tmp_path, objects=store_at(weed.endpoint, weed, tmp_path)) as made:
        made.repo("in")
        made.code["p"] = doubled
        made.pipeline("p", pfs("in", "/*"))
        files = fill(made, 0, 10)
        made.settle()
        assert made.tree("p") == {path: data * 2 for path, data in files.items()}
        assert len(list(made.objects.held())) >= 2


def test_a_bucket_that_goes_away_costs_time_and_refused_puts_and_nothing_else(
    tmp_path: Path, weed: ObjectServer
) -> None:
    """C1: what was accepted is kept, outputs arrive when the bucket is back, no try is lost."""
    with (
        before(weed.endpoint) as proxy,
        rig(tmp_path, objects=store_at(proxy.endpoint, weed, tmp_path)) as made,
    ):
        started, go = threading.Event(), threading.Event()

        def waiting(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
            started.set()
            assert go.wait(60)
            return doubled(task, inputs)

        made.repo("in")
        made.code["p"] = waiting
        made.pipeline("p", pfs("in", "/*"), datum_tries=1)
        files = fill(made, 0, 4)
        assert started.wait(60)
        proxy.go()
        go.set()
        with pytest.raises(Unavailable) as caught:
            made.put("in", {"/refused": os.urandom(SIZE)})
        assert "\n" not in caught.value.message
        assert made.tree("in") == files, "what was read or written lately is still here"
        proxy.away = False
        files |= fill(made, 4, 2)
        made.settle(60)
        assert made.tree("in") == files
        assert made.tree("p") == {path: data * 2 for path, data in files.items()}
        assert {job.state for job in made.jobs("p")} == {"SUCCESS"}
