"""History run again beside the live branch, and the live one moved to it (ENGINE S5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, path_of, pfs, rig

from vedette.model.errors import Conflict, InvalidName
from vedette.model.work import Task
from vedette.scheduling import life, pipelines, rerun
from vedette.scheduling.intents import BranchMoved, PipelineMoved, intend
from vedette.versioning import branches, commits, repos
from vedette.versioning.transaction import Transaction

SOURCE = {"cross": [pfs("images", "/*"), pfs("model", "/", reference=True)]}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("images")
        made.repo("model")
        made.put("model", {"/m": b"1"})
        made.put("images", {"/a": b"x", "/b": b"y"})
        made.pipeline("one", SOURCE)
        made.pipeline("two", pfs("one", "/*"))
        made.settle()
        made.put("model", {"/m": b"2"})
        made.settle()
        yield made


def again(engine: Rig, branch: str = "try") -> str:
    return engine.loop.submit(
        lambda tx: life.run_again(tx, life.all_again(tx.rows, "one", branch))
    ).result()


def move(engine: Rig, to: str = "try") -> None:
    def work(tx: Transaction) -> None:
        head = commits.resolve(tx.rows, "one", to).num
        assert rerun.adopt(tx, "one", "master", head)
        branches.move(tx, "one", "master", head)
        intend(tx, BranchMoved(repos.get(tx.rows, "one").id, "master", head))
        intend(tx, PipelineMoved("one"))

    engine.loop.submit(work).result()


def test_s3_what_a_pipeline_writes_moves_to_a_rerun_and_nowhere_else(engine: Rig) -> None:
    """S3, S5: the outputs that its next job skips would not be in what it was moved to."""
    heads = engine.heads("one")

    def to(ref: str) -> bool:
        def work(tx: Transaction) -> bool:
            head = commits.resolve(tx.rows, "one", ref).num if ref else None
            return rerun.adopt(tx, "one", "master", head)

        return engine.loop.submit(work).result()

    for ref in ("master^", heads[-1], ""):
        with pytest.raises(Conflict, match="branch one@master is what pipeline one writes"):
            to(ref)
    assert not to("master")
    engine.move("one", "older", "master^")
    again(engine)
    engine.settle()
    move(engine)


def models(engine: Rig, ref: str = "master") -> dict[str, bytes]:
    """Which model each output was made with."""
    return {path: data.partition(b"model/m=")[2] for path, data in engine.tree("one", ref).items()}


def test_s5_all_is_run_again_into_another_branch_and_the_live_one_stays(engine: Rig) -> None:
    assert models(engine) == {"/a+all": b"1", "/b+all": b"1"}
    assert again(engine) == (
        "pipeline one: 2 run because nothing of before counts as done, 0 skipped, "
        "into branch try; live work does not wait"
    )
    engine.settle()
    assert models(engine, "try") == {"/a+all": b"2", "/b+all": b"2"}
    assert models(engine) == {"/a+all": b"1", "/b+all": b"1"}
    engine.put("images", {"/c": b"z"})
    engine.settle()
    assert models(engine) == {"/a+all": b"1", "/b+all": b"1", "/c+all": b"2"}
    assert sorted(models(engine, "try")) == ["/a+all", "/b+all"], "it is one job"
    with engine.store.read() as rows:
        assert [info.name for info in pipelines.listing(rows)] == ["one", "two"]


@pytest.mark.parametrize("restart", [False, True])
def test_s5_the_live_branch_moves_to_it_and_goes_on_from_there(engine: Rig, restart: bool) -> None:
    again(engine)
    engine.settle()
    engine.put("images", {"/c": b"z"})
    engine.settle()
    begun = len(engine.ran)
    move(engine)
    if restart:
        engine.end()
        engine.begin()
    engine.settle()
    assert models(engine) == {"/a+all": b"2", "/b+all": b"2", "/c+all": b"2"}
    assert engine.tree("two").keys() == {"/a+all", "/b+all", "/c+all"}
    assert engine.tree("two")["/a+all"].endswith(b"model/m=2")
    new = {entry for entry in engine.ran[begun:] if entry[0].startswith("one")}
    assert new == {("one", "/c+all")}, "what ran beside is not run again"
    engine.put("images", {"/a": None, "/b": b"new"})
    engine.settle()
    assert sorted(models(engine)) == ["/b+all", "/c+all"]
    assert engine.tree("one")["/b+all"].startswith(b"images/b=new")
    assert engine.jobs("one")[0].total == 2
    engine.pipeline("one", SOURCE, update=True)
    engine.settle()
    assert engine.jobs("one")[0].skipped == 2
    with pytest.raises(Conflict, match="exists already"):
        again(engine)
    again(engine, "third")
    engine.settle()
    assert sorted(models(engine, "third")) == ["/b+all", "/c+all"]


def test_s5_live_work_does_not_wait_behind_history(engine: Rig) -> None:
    held, entered = threading.Event(), threading.Semaphore(0)
    engine.put("images", {f"/old{n:03}": b"x" for n in range(60)})
    engine.settle()
    order: list[str] = []

    def stage(task: Task, inputs: Any) -> dict[str, bytes]:
        entered.release()
        assert held.wait(20)
        order.append(path_of(task))
        return {path_of(task): b"x"}

    engine.code["one"] = engine.code["one@try"] = stage
    again(engine)
    assert entered.acquire(timeout=20)
    engine.put("images", {"/live": b"x"})
    held.set()
    engine.settle()
    assert order.index("/live+all") < 30, "those that a worker held already come first"
    assert len(order) == 63


def test_s5_a_rerun_survives_a_restart_and_can_be_given_up(engine: Rig) -> None:
    held, entered = threading.Event(), threading.Semaphore(0)

    def stage(task: Task, inputs: Any) -> dict[str, bytes]:
        entered.release()
        assert held.wait(20)
        return {path_of(task): b"x"}

    engine.code["one@try"] = stage
    again(engine)
    assert entered.acquire(timeout=20)
    held.set()
    engine.end()
    engine.begin()
    engine.settle()
    assert sorted(engine.tree("one", "try")) == ["/a+all", "/b+all"]
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one@try")).result()
    engine.put("images", {"/c": b"z"})
    engine.settle()
    assert sorted(engine.tree("one")) == ["/a+all", "/b+all", "/c+all"]
    again(engine, "other")
    engine.settle()
    engine.loop.submit(lambda tx: pipelines.delete(tx, "two")).result()
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one")).result()
    engine.end()
    engine.begin()
    assert engine.jobs() == []


def test_s5_what_cannot_be_is_refused(engine: Rig) -> None:
    with pytest.raises(Conflict, match="is what the pipeline writes"):
        again(engine, "master")
    with pytest.raises(InvalidName):
        again(engine, "a/b")
    again(engine)
    engine.settle()
    with pytest.raises(Conflict, match="exists already"):
        again(engine)
    engine.pipeline("one", SOURCE, update=True)
    engine.settle()
    with pytest.raises(Conflict, match="ran version 1, but pipeline one has version 2"):
        move(engine)
    assert models(engine) == {"/a+all": b"1", "/b+all": b"1"}
