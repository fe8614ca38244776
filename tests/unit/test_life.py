"""Stopping, starting, running again, taking away by force (ENGINE U3, U4, U5, R5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, path_of, pfs, rig

from vedette.model.errors import Conflict, Unavailable
from vedette.model.work import Task
from vedette.scheduling import datums, jobs, leasing, life, pipelines, state
from vedette.scheduling.intents import RepoDeleted, intend
from vedette.scheduling.rounds import Round
from vedette.versioning import repos
from vedette.versioning.transaction import Transaction


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("images")
        yield made


class Gate:
    """A stage that waits in the middle of a datum until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, task: Task, _: Any) -> dict[str, bytes]:
        self.entered.release()
        assert self.open.wait(20)
        return {path_of(task): b"x"}


def stop(engine: Rig, name: str = "one") -> str:
    return engine.loop.submit(lambda tx: life.stop(tx, name)).result().state


def start(engine: Rig, name: str = "one") -> str:
    return engine.loop.submit(lambda tx: life.start(tx, name)).result().state


def rerun(engine: Rig, everything: bool = False) -> str:
    again = life.all_again if everything else life.failed_again
    return engine.loop.submit(lambda tx: life.run_again(tx, again(tx.rows, "one"))).result()


def states(engine: Rig, name: str = "one") -> list[str]:
    return [job.state for job in reversed(engine.jobs(name))]


def test_u3_a_stopped_pipeline_ends_what_runs_and_starts_nothing(engine: Rig) -> None:
    gate = engine.code["one"] = Gate()
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    assert gate.entered.acquire(timeout=20)
    engine.put("images", {"/b": b"2"})
    assert stop(engine) == "PAUSED"
    gate.open.set()
    engine.wait_for(lambda: states(engine)[:1] == ["SUCCESS"])
    engine.put("images", {"/c": b"3"})
    engine.put("images", {"/d": b"4"})
    assert engine.ran == [("one", "/a")]
    assert len(engine.jobs("one")) == 2, "commits that come meanwhile make no job"
    assert start(engine) in ("RUNNING", "STANDBY")
    engine.settle()
    assert sorted(engine.tree("one")) == ["/a", "/b", "/c", "/d"]
    assert states(engine) == ["SUCCESS"] * 3, "the one of before, and one for the head"
    assert engine.heads("one")[0] == engine.heads("images")[0]


def test_u3_a_pipeline_stays_stopped_over_a_restart_and_an_update(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    stop(engine)
    engine.put("images", {"/a": b"1"})
    engine.end()
    engine.begin()
    engine.put("images", {"/b": b"1"})
    assert engine.pipeline("one", pfs("images", "/*"), update=True).state == "PAUSED"
    engine.settle()
    assert (engine.jobs("one"), engine.ran) == ([], [])
    start(engine)
    engine.settle()
    assert states(engine) == ["SUCCESS"]
    assert sorted(engine.tree("one")) == ["/a", "/b"]


def test_u3_jobs_that_were_unfinished_go_on_after_a_restart_and_a_start(engine: Rig) -> None:
    gate = engine.code["one"] = Gate()
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {f"/{n}": b"1" for n in range(20)})
    assert gate.entered.acquire(timeout=20)
    stop(engine)
    gate.open.set()
    engine.wait_for(lambda: engine.loop._memory.workers[engine.worker].leases == {})
    begun = len(engine.ran)
    assert begun < 20
    engine.end()
    engine.begin()
    engine.put("images", {"/late": b"1"})
    assert len(engine.ran) == begun
    start(engine)
    engine.settle()
    assert states(engine) == ["SUCCESS", "SUCCESS"]
    assert len(engine.ran) == 21


def test_u3_starting_makes_no_job_where_nothing_is_new(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    for _ in range(2):
        stop(engine)
        start(engine)
    engine.settle()
    assert len(engine.jobs("one")) == 1


def test_u3_jobs_that_wait_for_a_stopped_pipeline_are_told_apart_from_what_is_left_to_do(
    engine: Rig,
) -> None:
    """Who waits for idle would wait for ever; what runs when it is stopped still counts."""

    def left() -> tuple[int, int]:
        with engine.store.read() as rows:
            now = state.idle(rows)
        return now.jobs, now.stopped

    gate = engine.code["one"] = Gate()
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("below", pfs("one", "/*"))
    engine.put("images", {"/a": b"1"})
    assert gate.entered.acquire(timeout=20)
    engine.put("images", {"/b": b"2"})
    assert left() == (4, 0)
    stop(engine)
    assert left() == (4, 0), "a datum of it runs"
    gate.open.set()
    engine.wait_for(lambda: left() == (0, 2))
    assert states(engine)[0] == "SUCCESS"
    start(engine)
    engine.settle()
    assert left() == (0, 0)
    assert sorted(engine.tree("below")) == ["/a", "/b"]


def test_u3_below_a_stopped_pipeline_others_go_on(engine: Rig) -> None:
    engine.pipeline("edges", pfs("images", "/*"))
    engine.pipeline("montage", {"cross": [pfs("edges", "/"), pfs("images", "/")]})
    engine.put("images", {"/a": b"1"})
    engine.settle()
    stop(engine, "edges")
    engine.put("images", {"/b": b"1"})
    engine.settle()
    assert [len(engine.jobs(name)) for name in ("edges", "montage")] == [1, 2]
    start(engine, "edges")
    engine.settle()
    assert [len(engine.jobs(name)) for name in ("edges", "montage")] == [2, 3]
    assert engine.tree("montage")["/all+all"].count(b"edges/") == 2


def test_u5_a_stopped_job_is_killed_and_its_running_datum_is_taken_from_the_worker(
    engine: Rig,
) -> None:
    gate = engine.code["one"] = Gate()
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    assert gate.entered.acquire(timeout=20)
    lease = next(iter(engine.loop._memory.workers[engine.worker].leases.values()))
    name = engine.jobs("one")[0].id
    engine.loop.submit(lambda tx: jobs.stop(tx, name)).result()
    assert engine.loop.source.heartbeat(engine.worker).result() == [lease]
    gate.open.set()
    engine.settle()
    assert states(engine) == ["KILLED"]
    assert engine.tree("one") == {}
    engine.put("images", {"/b": b"1"})
    engine.settle()
    assert states(engine) == ["KILLED", "SUCCESS"]
    assert sorted(engine.tree("one")) == ["/a", "/b"]
    assert engine.ran.count(("one", "/a")) == 2, "the answer that came too late was refused"


def test_u5_rerun_runs_what_stands_failed_and_nothing_else(engine: Rig) -> None:
    broken = True

    def sometimes(task: Task, inputs: Any) -> dict[str, bytes]:
        if broken and path_of(task) == "/b":
            raise ValueError("not today")
        return {path_of(task): b"x"}

    engine.code["one"] = sometimes
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.put("images", {"/a": b"1", "/b": b"2", "/c": b"3"})
    engine.settle()
    broken = False
    assert rerun(engine) == "pipeline one: 1 run, because they failed before"
    engine.settle()
    assert sorted(engine.tree("one")) == ["/a", "/b", "/c"]
    assert len(engine.ran) == 4
    assert rerun(engine) == "pipeline one: 0 run, because none stands failed"
    assert len(engine.jobs("one")) == 2


def test_u5_rerun_after_a_failed_job_runs_its_failed_datums(engine: Rig) -> None:
    broken = True

    def sometimes(task: Task, inputs: Any) -> dict[str, bytes]:
        if broken and path_of(task) == "/b":
            raise ValueError("not today")
        return {path_of(task): b"x"}

    engine.code["one"] = sometimes
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    assert states(engine) == ["FAILURE"]
    broken = False
    assert "(FAILURE) did not do runs again" in rerun(engine)
    engine.settle()
    newest = engine.jobs("one")[0]
    assert (newest.state, newest.processed, newest.skipped) == ("SUCCESS", 1, 1)


def test_u5_c1_what_was_asked_to_run_again_does_so_after_a_round_that_failed(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"1"})
    engine.settle()
    gate = engine.code["one"] = Gate()
    engine.loop.submit(lambda tx: datums.restart(tx, 1)).result()
    assert gate.entered.acquire(timeout=20)
    failing = [leasing.lapse]

    def lapse(round: Round) -> None:
        if failing:
            failing.pop()
            raise Unavailable("the disk is away")

    monkeypatch.setattr(leasing, "lapse", lapse)
    with pytest.raises(Unavailable):
        engine.put("images", {"/c": b"1"})
    gate.open.set()
    engine.settle()
    newest = engine.jobs("one")[0]
    assert (newest.state, newest.processed, newest.skipped) == ("SUCCESS", 1, 1)
    with engine.store.read() as rows:
        assert rows.all("forced") == []


def test_u5_rerun_all_runs_everything_as_a_new_version(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    assert "becomes version 2: 2 run because" in rerun(engine, everything=True)
    engine.settle()
    assert len(engine.ran) == 4
    assert engine.jobs("one")[0].version == 2


def test_u5_what_a_stopped_pipeline_would_not_do_is_refused(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    stop(engine)
    for everything in (False, True):
        with pytest.raises(Conflict, match="start-pipeline one first"):
            rerun(engine, everything)
    with pytest.raises(Conflict, match="start-pipeline one first"):
        engine.loop.submit(lambda tx: datums.restart(tx, 1)).result()


def test_r9_a_stopped_job_counts_what_was_done_and_calls_nothing_else_skipped(
    engine: Rig,
) -> None:
    """R9, U5: what neither ran nor was there already is in the reason, not among the skipped."""
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"1", "/c": b"1"})
    engine.settle()
    gate = engine.code["one"] = Gate()
    engine.put("images", {"/y": b"1", "/z": b"1", "/a": None})
    assert gate.entered.acquire(timeout=20)
    newest = engine.jobs("one")[0]
    engine.loop.submit(lambda tx: jobs.stop(tx, newest.id)).result()
    gate.open.set()
    engine.settle()
    job = engine.jobs("one")[0]
    assert (job.state, job.processed, job.skipped, job.total) == ("KILLED", 0, 2, 2)
    assert job.reason == "stopped by stop-job; 2 of its 4 datums were not done"


def test_r5_a_job_that_takes_longer_than_its_timeout_is_killed(engine: Rig) -> None:
    gate = engine.code["one"] = Gate()
    engine.pipeline("one", pfs("images", "/*"), job_timeout="100ms")
    engine.pipeline("two", pfs("one", "/*"))
    engine.put("images", {"/a": b"1"})
    assert gate.entered.acquire(timeout=20)
    engine.put("images", {"/b": b"1"})
    engine.wait_for(lambda: states(engine)[:1] == ["KILLED"])
    gate.open.set()
    engine.settle()
    killed = engine.jobs("one")[-1]
    assert killed.reason == (
        "it took longer than its job_timeout of 0.1 s; 1 of its 1 datums were not done"
    )
    assert states(engine)[0] == "KILLED"
    assert states(engine, "two")[0] == "UNRUNNABLE"


def delete_repo(tx: Transaction) -> None:
    number = repos.get(tx.rows, "images").id
    repos.delete(tx, "images")
    intend(tx, RepoDeleted(number))


def test_u4_who_reads_a_repo_that_was_deleted_by_force_says_so_also_after_a_restart(
    engine: Rig,
) -> None:
    gate = engine.code["one"] = Gate()
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    assert gate.entered.acquire(timeout=20)
    engine.loop.submit(delete_repo).result()
    gate.open.set()
    engine.settle()
    assert states(engine) == ["KILLED"]

    def state() -> tuple[str, str]:
        with engine.store.read() as rows:
            found = pipelines.inspect(rows, "one")
            return found.state, found.reason

    assert state()[0] == "FAILURE"
    assert state()[1].startswith("its input repo images was deleted")
    engine.end()
    engine.begin()
    engine.repo("images")
    engine.put("images", {"/b": b"2"})
    engine.settle()
    assert state()[0] == "FAILURE"
    engine.pipeline("one", pfs("images", "/*"), update=True)
    engine.settle()
    assert sorted(engine.tree("one")) == ["/b"]
    assert state()[0] in ("RUNNING", "STANDBY")


def test_u4_the_readers_of_a_pipeline_that_was_deleted_by_force_can_read_its_successor(
    engine: Rig,
) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one", force=True)).result()
    engine.end()
    engine.begin()
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"), update=True)
    engine.put("images", {"/b": b"1"})
    engine.settle()
    assert sorted(engine.tree("two")) == ["/a", "/b"]


def test_u4_a_kept_repo_is_an_ordinary_one_afterwards(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one", keep_repo=True)).result()
    assert sorted(engine.tree("one")) == ["/a"]
    engine.put("one", {"/more": b"1"})
    assert sorted(engine.tree("one")) == ["/a", "/more"]
