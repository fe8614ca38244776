"""Which repos and branches may be taken away (ENGINE U4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig import Rig, pfs, rig

from vedette.model.errors import Conflict
from vedette.scheduling import life, pipelines, removal
from vedette.versioning import branches


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    """A rig with a repo `images`, read by `one`, whose output `two` reads."""
    with rig(tmp_path) as made:
        made.repo("images")
        made.pipeline("one", pfs("images", "/*"))
        made.pipeline("two", pfs("one", "/*"))
        made.put("images", {"/a": b"a"})
        made.settle()
        yield made


def delete_repo(engine: Rig, name: str, *, force: bool) -> None:
    engine.loop.submit(lambda tx: removal.delete_repo(tx, name, force=force)).result()


def delete_branch(engine: Rig, repo: str, name: str, *, force: bool = False) -> None:
    engine.loop.submit(lambda tx: removal.delete_branch(tx, repo, name, force=force)).result()


def names(engine: Rig, repo: str) -> list[str]:
    with engine.store.read() as rows:
        return [branch.name for branch in branches.listing(rows, repo)]


def test_u4_what_a_pipeline_writes_is_not_taken_from_under_it_by_force(engine: Rig) -> None:
    """U4, S3: else its next job would stop all others, or lose the output of skipped datums."""
    with pytest.raises(Conflict, match="delete-pipeline one takes it away"):
        delete_repo(engine, "one", force=True)
    with pytest.raises(Conflict, match="branch one@master is what pipeline one writes"):
        delete_branch(engine, "one", "master", force=True)
    engine.put("images", {"/b": b"b"})
    engine.settle()
    assert sorted(engine.tree("two")) == ["/a", "/b"]


def test_u4_the_repo_of_a_clock_goes_with_its_pipeline_alone(engine: Rig) -> None:
    """U4, D6."""
    engine.pipeline("daily", {"cron": {"name": "tick", "spec": "@daily"}})
    with pytest.raises(Conflict, match="holds the ticks of pipeline daily"):
        delete_repo(engine, "daily_tick", force=True)
    engine.loop.submit(lambda tx: pipelines.delete(tx, "daily")).result()
    engine.repo("daily_tick")


def test_u4_a_branch_that_nobody_reads_goes_though_others_of_its_repo_are_read(
    engine: Rig,
) -> None:
    """U4."""
    rule = {"branch": "staging", "commits": 1}
    engine.pipeline("slow", pfs("images", "/*", branch="later", trigger=rule))
    for name in ("free", "staging"):
        engine.move("images", name, "master")
    delete_branch(engine, "images", "free")
    for name, reader in (("master", "one"), ("staging", "slow"), ("later", "slow")):
        with pytest.raises(Conflict, match=f"images@{name} is used by pipeline {reader}"):
            delete_branch(engine, "images", name)
    assert names(engine, "images") == ["later", "master", "staging"]


def test_u4_t1_a_pipeline_whose_branch_went_by_force_waits_for_a_new_one(engine: Rig) -> None:
    """U4, T1: at once, and not only after a restart."""
    engine.repo("rules")
    engine.pipeline("both", {"cross": [pfs("images", "/"), pfs("rules", "/")]})
    delete_branch(engine, "images", "master", force=True)
    engine.put("rules", {"/r": b"r"})
    engine.settle()
    assert engine.jobs("both") == []
    engine.put("images", {"/b": b"b"})
    engine.settle()
    assert [job.total for job in engine.jobs("both")] == [1]
    assert sorted(engine.tree("one")) == ["/b"]


def test_u4_s5_a_rerun_is_given_up_with_its_branch(engine: Rig) -> None:
    """U4, S5."""
    again = engine.loop.submit(
        lambda tx: life.run_again(tx, life.all_again(tx.rows, "one", "beside"))
    )
    assert again.result()
    engine.settle()
    assert names(engine, "one") == ["beside", "master"]
    delete_branch(engine, "one", "beside")
    assert names(engine, "one") == ["master"]
    with engine.store.read() as rows:
        assert rows.one("pipeline_by_name", name="one@beside") is None
    engine.put("images", {"/b": b"b"})
    engine.settle()
    assert sorted(engine.tree("two")) == ["/a", "/b"]
