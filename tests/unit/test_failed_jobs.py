"""What comes after a job that failed, and in which order jobs end (ENGINE T5, T7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, path_of, pfs, rig

from vedette.model.work import Task
from vedette.scheduling import datums, jobs, pipelines
from vedette.versioning import commits


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("images")
        yield made


def states(engine: Rig, name: str) -> list[str]:
    return [job.state for job in reversed(engine.jobs(name))]


def test_t7_all_below_a_failed_job_are_unrunnable_and_name_it(engine: Rig) -> None:
    for name, reads in (("one", "images"), ("two", "one"), ("three", "two")):
        engine.pipeline(name, pfs(reads, "/*"))
    engine.pipeline("both", {"cross": [pfs("images", "/*"), pfs("two", "/")]})
    engine.put("images", {"/a": b"1"})
    engine.settle()
    name = engine.put("images", {"/b": b"bad"})
    engine.settle()
    assert [states(engine, each)[-1] for each in ("one", "two", "three", "both")] == [
        "FAILURE", "UNRUNNABLE", "UNRUNNABLE", "UNRUNNABLE",
    ]  # fmt: skip
    assert f"one@{name} failed: 1 of 2 datums failed; the first, /b: bad content" in (
        engine.jobs("two")[0].reason
    )
    for each in ("three", "both"):
        assert engine.jobs(each)[0].reason.startswith(f"input two@{name} failed")
        assert "one@" in engine.jobs(each)[0].reason, "the first cause is told to the end"
    with engine.store.read() as rows:
        found = {commit.id: commit.state for commit in commits.with_id(rows, name)}
        assert all(job.finished for job in jobs.of_commit(rows, name))
        assert [commit.state for commit in commits.with_id(rows, name)] == [
            "finished", *["errored"] * 4
        ]  # fmt: skip
    assert found


def test_t7_after_failures_the_next_job_starts_from_the_newest_good_one(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    good = engine.put("images", {f"/{n}": b"x" for n in range(5)})
    engine.settle()
    for n in range(3):
        engine.put("images", {"/broken": b"bad", f"/more{n}": b"x"})
    engine.settle()
    assert engine.heads("one") == [good]
    last = engine.put("images", {"/broken": None})
    engine.settle()
    newest = engine.jobs("one")[0]
    assert (newest.state, newest.total, newest.processed) == ("SUCCESS", 8, 0)
    with engine.store.read() as rows:
        head = commits.resolve(rows, "one", "master")
        assert head.id == last
        assert head.parent is not None and commits.by_num(rows, head.parent).id == good
    assert len(engine.tree("two")) == 8
    assert engine.jobs("two")[0].processed == 3, "what failed jobs had done is taken from them"


class Held:
    """A stage whose datums end when they are let go, by path."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.begun = threading.Semaphore(0)

    def __call__(self, task: Task, inputs: Any) -> dict[str, bytes]:
        path = path_of(task)
        self.begun.release()
        if path in self.gates:
            assert self.gates[path].wait(20)
        if path == "/bad":
            raise ValueError("bad content")
        return {path: b"x"}


def test_t5_jobs_end_in_order_though_datums_of_later_ones_ran_before(engine: Rig) -> None:
    held = engine.code["one"] = Held()
    held.gates["/a"] = threading.Event()
    engine.loop.source.register("second", "pool")
    engine.pipeline("one", pfs("images", "/*"))
    names = [engine.put("images", {f"/{letter}": b"1"}) for letter in "abc"]
    assert held.begun.acquire(timeout=20)
    given = engine.loop.source.claim("second", 8).result(20)
    engine.loop.source.report("second", [engine._run(task) for task in given]).result(20)
    assert [job.state for job in engine.jobs("one")].count("SUCCESS") == 0
    held.gates["/a"].set()
    engine.settle()
    assert list(reversed(engine.heads("one"))) == names
    ended = [job.finished for job in reversed(engine.jobs("one"))]
    assert ended == sorted(ended, key=str)
    assert [job.processed for job in reversed(engine.jobs("one"))] == [1, 1, 1]


def test_t7_jobs_that_were_found_against_one_that_fails_are_found_again(engine: Rig) -> None:
    held = engine.code["one"] = Held()
    held.gates["/bad"] = threading.Event()
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    engine.put("images", {"/bad": b"1", "/b": b"1"})
    engine.put("images", {"/c": b"1"})
    last = engine.put("images", {"/bad": None})
    held.gates["/bad"].set()
    engine.settle()
    assert states(engine, "one") == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]
    assert engine.heads("one")[0] == last
    assert sorted(engine.tree("one")) == ["/a", "/b", "/c"]
    runs = [path for _, path in engine.ran]
    assert (runs.count("/a"), runs.count("/b"), runs.count("/c")) == (1, 1, 1)


@pytest.mark.parametrize("mode", ["job", "datum"])
def test_s4_a_datum_that_failed_is_listed_until_it_is_replaced(engine: Rig, mode: str) -> None:
    """S4, R3: not once its file has other content or is gone, nor that of a deleted pipeline."""
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure=mode)

    def listed() -> list[str]:
        with engine.store.read() as rows:
            found = [d.inputs[0].path for d in datums.failed(rows, "one")]
            assert [d.inputs[0].path for d in datums.failed(rows)] == found
            assert pipelines.inspect(rows, "one").failed == len(found)
        return found

    def put(content: dict[str, bytes | None]) -> None:
        engine.put("images", content)
        engine.settle()

    put({"/a": b"bad", "/b": b"bad too"})
    assert listed() == ["/a", "/b"]
    put({"/a": b"bad again"})
    assert sorted(listed()) == ["/a", "/b"], "once each"
    put({"/c": b"good"})
    assert sorted(listed()) == ["/a", "/b"], "they stand, whatever else comes"
    put({"/a": b"good"})
    assert listed() == ["/b"]
    put({"/a": b"bad"})
    assert sorted(listed()) == ["/a", "/b"], "what failed before and is there again"
    put({"/a": None})
    assert listed() == ["/b"]
    put({"/b": b"good"})
    assert listed() == []
    put({"/b": b"bad"})
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one")).result()
    with engine.store.read() as rows:
        assert datums.failed(rows) == []
    put({"/b": b"good"})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert listed() == []


def test_m3_a_clash_that_only_merging_finds_fails_the_job_and_no_round(engine: Rig) -> None:
    """A result that was there already clashes with a new one when what is shared is merged."""
    engine.repo("notes")
    engine.code["p"] = lambda task, _: {"/one": b"%d" % task.datum}
    engine.put_all({"images": {"/a": b"1", "/b": b"1"}, "notes": {"/a": b"1"}})
    both = {"union": [pfs("images", "/*"), pfs("notes", "/*")]}
    engine.pipeline("p", both, on_datum_failure="datum", output_conflict="last")
    engine.pipeline("other", pfs("images", "/*"))
    engine.settle()
    before = engine.tree("p")
    pairs = {
        "cross": [
            {"union": [pfs("images", "/*", name="a"), pfs("notes", "/*", name="b")]},
            {"union": [pfs("notes", "/nothing", name="c"), pfs("images", "/**", name="d")]},
        ]
    }
    engine.pipeline("p", pairs, update=True, output_conflict="identical")
    engine.settle()
    assert states(engine, "p")[-1] == "FAILURE"
    assert "wrote different bytes" in engine.jobs("p")[0].reason
    assert engine.tree("p") == before
    engine.put("images", {"/c": b"1"})
    engine.settle()
    assert states(engine, "other")[-1] == "SUCCESS"
