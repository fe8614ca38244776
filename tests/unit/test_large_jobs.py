"""Jobs with more datums than fit into memory, tried with limits small enough to watch."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.rig import Rig, copy, path_of, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.work import Task
from vedette.scheduling import bulk, effects, expansion, jobs, pipelines
from vedette.scheduling.rounds import Paged, Round

AHEAD = 4
COUNT = 25


@pytest.fixture
def made(tmp_path: Path, rows: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A rig for which three datums are many."""
    monkeypatch.setattr(effects, "SPILL", 3)
    monkeypatch.setattr(expansion, "AHEAD", AHEAD)
    monkeypatch.setattr(expansion, "UNWRITTEN", 2)
    monkeypatch.setattr(expansion, "BULK", 2)
    monkeypatch.setattr(bulk, "PAGE", 2)
    with rig(tmp_path, rows) as started:
        started.repo("images")
        started.put("images", {f"/{n:02}": b"%d" % n for n in range(COUNT)})
        yield started


def outputs(numbers: range) -> dict[str, bytes]:
    """What `copy` makes of the files of `made`."""
    return {f"/{n:02}": b"images/%02d=%d" % (n, n) for n in numbers}


def test_a_large_job_writes_what_a_small_one_would_and_counts_it(made: Rig) -> None:
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    assert made.tree("p") == outputs(range(COUNT))
    (job,) = made.jobs("p")
    assert (job.state, job.total, job.processed, job.skipped) == ("SUCCESS", COUNT, COUNT, 0)


def test_few_datums_of_a_large_job_are_in_memory_at_once(made: Rig) -> None:
    seen = []

    def look(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        memory = made.loop._memory
        kept = [len(job.effects) for job in list(memory.pipelines["p"].jobs)]
        seen.append((len(memory.datums), max(kept)))
        return copy(task, inputs)

    made.code["p"] = look
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    assert len(seen) == COUNT
    assert max(datums for datums, _ in seen) <= AHEAD + expansion._PAGE
    assert max(kept for _, kept in seen) <= AHEAD + expansion._PAGE


def test_what_goes_from_a_large_job_s_inputs_takes_its_output_along(made: Rig) -> None:
    """ENGINE S1: here the removal itself is a large job."""
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    made.put("images", {**{f"/{n:02}": None for n in range(10)}, "/99": b"99"})
    made.settle()
    assert made.tree("p") == {**outputs(range(10, COUNT)), "/99": b"images/99=99"}
    assert made.jobs("p")[0].total == COUNT - 9
    made.put("images", {f"/{n:02}": b"new" for n in range(10, 20)})
    made.settle()
    tree = made.tree("p")
    assert tree["/12"] == b"images/12=new"
    assert len(tree) == COUNT - 9


def test_a_new_version_of_a_large_pipeline_replaces_its_members(made: Rig) -> None:
    """ENGINE U1: a full enumeration with other datums than before."""
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    made.put("images", {"/00": b"x"})
    made.settle()
    made.pipeline("p", pfs("images", "/1*"), update=True)
    made.settle()
    assert made.tree("p") == outputs(range(10, 20))
    made.pipeline("p", pfs("images", "/*"), update=True, reprocess=True)
    made.settle()
    assert made.tree("p") == {**outputs(range(1, COUNT)), "/00": b"images/00=x"}
    made.put("images", {"/00": None, "/13": None})
    made.settle()
    assert made.tree("p").keys() == {f"/{n:02}" for n in range(1, COUNT) if n != 13}


def test_failures_of_a_large_job_are_counted_and_named(made: Rig) -> None:
    """ENGINE R3, S4: the first failed datum is told; those that succeeded are not run again."""
    made.put("images", {"/07": b"bad", "/21": b"bad"})
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    (job,) = made.jobs("p")
    assert (job.state, job.failed, job.processed) == ("FAILURE", 2, COUNT - 2)
    assert job.reason == f"2 of {COUNT} datums failed; the first, /07: bad content"
    made.put("images", {"/07": b"7", "/21": b"21"})
    ran = len(made.ran)
    made.settle()
    assert made.tree("p") == outputs(range(COUNT))
    assert len(made.ran) <= ran + 2
    newest = made.jobs("p")[0]
    assert (newest.total, newest.processed + newest.skipped) == (COUNT, COUNT)


def test_failed_datums_of_a_large_job_are_left_out_where_the_spec_says_so(made: Rig) -> None:
    """ENGINE R3: on_datum_failure: datum."""
    made.put("images", {"/07": b"bad"})
    made.pipeline("p", pfs("images", "/*"), on_datum_failure="datum")
    made.settle()
    assert made.tree("p").keys() == {f"/{n:02}" for n in range(COUNT) if n != 7}
    (job,) = made.jobs("p")
    assert (job.state, job.failed, job.processed) == ("SUCCESS", 1, COUNT - 1)
    made.put("images", {f"/{n:02}": b"new" for n in range(10, 20)})
    made.settle()
    newest = made.jobs("p")[0]
    assert (newest.failed, newest.processed, newest.skipped) == (1, 10, COUNT - 11)
    made.put("images", {f"/{n:02}": b"newer" for n in range(10)})
    made.settle()
    newest = made.jobs("p")[0]
    assert (newest.failed, newest.processed, newest.skipped) == (0, 10, COUNT - 10)


@pytest.mark.parametrize("policy", ["job", "datum"])
def test_two_datums_of_a_large_job_that_write_one_path_clash(made: Rig, policy: str) -> None:
    """ENGINE M2."""

    def same(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        return {"/same" if path_of(task) in ("/03", "/20") else path_of(task): b"x"}

    made.code["p"] = same
    made.pipeline("p", pfs("images", "/*"), on_datum_failure=policy)
    made.settle()
    (job,) = made.jobs("p")
    if policy == "job":
        assert job.state == "FAILURE"
        assert "/same was written by two datums" in job.reason
        assert "(/03) and" in job.reason
        assert made.tree("p") == {}
        return
    assert (job.state, job.failed, job.processed) == ("SUCCESS", 1, COUNT - 1)
    assert len(made.tree("p")) == COUNT - 1


def test_files_that_many_datums_share_are_joined_in_the_order_of_datums(made: Rig) -> None:
    """ENGINE M2: output_conflict concat, in a large job."""
    made.code["p"] = lambda task, inputs: {"/all": path_of(task).encode()}
    made.pipeline("p", pfs("images", "/*"), output_conflict="concat")
    made.settle()
    assert made.tree("p") == {"/all": b"".join(b"/%02d" % n for n in range(COUNT))}
    made.put("images", {"/05": None})
    made.settle()
    assert made.tree("p") == {"/all": b"".join(b"/%02d" % n for n in range(COUNT) if n != 5)}


def test_a_restart_in_the_middle_of_a_large_job_runs_no_datum_twice(made: Rig) -> None:
    """ENGINE C1."""
    half = threading.Event()

    def slow(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        if path_of(task) == "/12":
            half.set()
        return copy(task, inputs)

    made.code["p"] = slow
    made.pipeline("p", pfs("images", "/*"))
    assert half.wait(20)
    made.end()
    done = _ended(made)
    made.begin()
    made.settle()
    assert made.tree("p") == outputs(range(COUNT))
    (job,) = made.jobs("p")
    assert (job.processed, job.skipped, job.total) == (COUNT, 0, COUNT)
    again = [path for _, path in made.ran if [p for _, p in made.ran].count(path) > 1]
    assert not done & set(again)


def _ended(made: Rig) -> set[str]:
    with made.store.read() as rows:
        found = rows.all("job_results", job=1, after=0, limit=1000)
    return {bulk.order_of(row[4]) for row in found}


def test_a_small_job_is_not_kept_waiting_by_a_large_one_before_it(made: Rig) -> None:
    """ENGINE T5: datums of successive jobs run at once, those of the small one first."""
    state = SimpleNamespace(begun=threading.Event(), go=threading.Event())

    def hold(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        state.begun.set()
        assert state.go.wait(20)
        return copy(task, inputs)

    made.code["p"] = hold
    made.pipeline("p", pfs("images", "/*"))
    assert state.begun.wait(20)
    made.put("images", {"/zz": b"now"})
    state.go.set()
    made.settle()
    order = [path for name, path in made.ran if name == "p"]
    assert order.index("/zz") < COUNT - AHEAD
    assert len(order) == COUNT + 1
    assert [job.total for job in made.jobs("p")] == [COUNT + 1, COUNT]


def test_a_large_job_that_is_stopped_leaves_nothing_behind(made: Rig) -> None:
    """ENGINE U5."""
    begun, go = threading.Event(), threading.Event()

    def hold(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        if path_of(task) == "/08":
            begun.set()
            assert go.wait(20)
        return copy(task, inputs)

    made.code["p"] = hold
    made.pipeline("p", pfs("images", "/*"))
    assert begun.wait(20)
    (job,) = made.jobs("p")
    made.loop.submit(lambda tx: jobs.stop(tx, job.id)).result()
    go.set()
    made.settle()
    assert made.jobs("p")[0].state == "KILLED"
    made.put("images", {"/00": b"other"})
    made.settle()
    assert made.tree("p") == {**outputs(range(1, COUNT)), "/00": b"images/00=other"}
    assert not made.loop._memory.datums


class Stopper:
    """Holds the scheduler at a step of a large job's end until it is told to stop."""

    def __init__(self, made: Rig, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
        self.reached = threading.Event()
        self.steps = 0
        whole = Paged.go_on

        def go_on(paged: Paged, round: Round) -> bool:
            self.steps += 1
            if self.steps == step:
                self.reached.set()
                with made.loop._wake:
                    assert made.loop._wake.wait_for(lambda: made.loop._stopping, 20)
            return whole(paged, round)

        monkeypatch.setattr(Paged, "go_on", go_on)


@pytest.mark.parametrize("step", [3, 14, 20, 30, 40])
def test_the_end_of_a_large_job_may_be_interrupted_at_any_step(
    made: Rig, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """ENGINE C1: until the commit is there the old one is read, afterwards the new one."""
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    before = made.tree("p")
    made.code["p"] = lambda task, inputs: {path_of(task): b"again"}
    stopper = Stopper(made, monkeypatch, step)
    made.pipeline("p", pfs("images", "/*"), update=True, reprocess=True)
    assert stopper.reached.wait(20)
    made.end()
    after = dict.fromkeys(before, b"again")
    assert made.tree("p") == (before if made.jobs("p")[0].finished is None else after)
    made.begin()
    made.settle()
    assert made.tree("p") == after
    made.put("images", {"/03": None, "/zz": b"z"})
    made.settle()
    del after["/03"]
    assert made.tree("p") == {**after, "/zz": b"again"}
    with made.store.read() as rows:
        assert rows.one("drafts_open", after=0) is None


def test_a_pipeline_may_be_deleted_while_a_large_job_of_it_ends(
    made: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENGINE U4: what is kept of its repo is what its last good commit had."""
    made.pipeline("p", pfs("images", "/*"))
    made.settle()
    before = made.tree("p")
    stopper = Stopper(made, monkeypatch, 6)
    made.put("images", {f"/{n:02}": b"new" for n in range(COUNT)})
    assert stopper.reached.wait(20)
    made.end()
    made.begin()
    made.loop.submit(lambda tx: pipelines.delete(tx, "p", keep_repo=True)).result()
    made.settle()
    assert made.tree("p") in (before, {f"/{n:02}": b"images/%02d=new" % n for n in range(COUNT)})


@pytest.mark.parametrize(("first", "then"), [("/a", "/a/b"), ("/a/b", "/a")])
@pytest.mark.parametrize("spill", [0, 10_000])
def test_a_file_may_become_a_directory_when_its_datum_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, then: str, spill: int
) -> None:
    """ENGINE M3, S1: what a datum wrote before stands in the way of nobody, in jobs of any size."""
    monkeypatch.setattr(effects, "SPILL", spill)
    with rig(tmp_path) as made:
        made.repo("images")
        made.put("images", {"/x": b"1"})
        made.code["p"] = lambda task, inputs: {
            first if inputs["images"]["/x"] == b"1" else then: b"v"
        }
        made.pipeline("p", pfs("images", "/"))
        made.settle()
        made.put("images", {"/x": b"2"})
        made.settle()
        assert made.jobs("p")[0].reason == ""
        assert made.tree("p") == {then: b"v"}


@pytest.mark.parametrize(
    "side", [20, pytest.param(int(os.environ.get("VEDETTE_SIDE", "150")), marks=pytest.mark.slow)]
)
def test_a_cross_is_never_in_memory_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """ENGINE D3: side x side datums are planned, run and, in a new version, skipped.

    VEDETTE_SIDE says how many a side has in the slow one.
    """
    if side == 20:
        monkeypatch.setattr(effects, "SPILL", 10)
        monkeypatch.setattr(expansion, "AHEAD", 20)
    most = [0]

    def look(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        most[0] = max(most[0], len(engine.loop._memory.datums))
        return {}

    with rig(tmp_path) as engine:
        for repo in ("left", "right"):
            engine.repo(repo)
            engine.put(repo, {f"/{n:04}": b"%d" % n for n in range(side)})
        engine.code["p"] = look
        source = {"cross": [pfs("left", "/*"), pfs("right", "/*")]}
        for update in (False, True):
            engine.pipeline("p", source, update=update)
            engine.settle(seconds=3600.0)
        second, first = engine.jobs("p")
        assert (first.total, first.processed) == (side * side, side * side)
        assert (second.total, second.skipped) == (side * side, side * side)
        assert most[0] <= expansion.AHEAD + expansion._PAGE
