"""Joins and groups in the scheduler: in full, from what changed, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Rig, pfs, rig

from vedette.metadata.sqlite import SqliteRows
from vedette.metadata.store import Row
from vedette.model.files import Write
from vedette.model.work import Task
from vedette.scheduling import pipelines
from vedette.scheduling.intents import BranchMoved, intend
from vedette.versioning import branches, commits


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        yield made


def show(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """One output a datum, named after all that it reads; what it reads is its content."""
    name = "+".join(
        path[1:].replace("/", "-") for i in task.inputs for path in i.paths or (i.path,)
    )
    read = sorted(f"{n}{p}={d.decode()}" for n, files in inputs.items() for p, d in files.items())
    if any(item.endswith("=bad") for item in read):
        raise ValueError("bad content")
    return {f"/{name}": " ".join(read).encode()}


def counts(engine: Rig, pipeline: str) -> tuple[int, int, int]:
    job = engine.jobs(pipeline)[0]
    assert job.state == "SUCCESS", job.reason
    return job.processed, job.skipped, job.total


def two(engine: Rig) -> None:
    for name in ("left", "right"):
        engine.repo(name)
    engine.code = {"p": show}


JOIN = {
    "join": [pfs("left", "/(*)-*", join_on="$1"), pfs("right", "/*/(*)", join_on="$1")]
}  # fmt: skip


def test_d4_a_join_has_one_datum_for_each_pair_that_shares_a_key(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3", "/c-1": b"4"})
    engine.put("right", {"/x/a": b"5", "/y/a": b"6", "/x/b": b"7", "/x/d": b"8"})
    engine.pipeline("p", JOIN)
    engine.settle()
    names = {"/a-1+x-a", "/a-1+y-a", "/a-2+x-a", "/a-2+y-a", "/b-1+x-b"}
    assert set(engine.tree("p")) == names
    assert engine.tree("p")["/b-1+x-b"] == b"left/b-1=3 right/x/b=7"
    assert counts(engine, "p") == (5, 0, 5)


def test_s1_a_new_file_of_a_join_runs_with_its_partners_only(engine: Rig) -> None:
    two(engine)
    engine.put("left", {f"/{key}-1": b"1" for key in "abcdefgh"})
    engine.put("right", {f"/x/{key}": b"2" for key in "abcdefg"})
    engine.pipeline("p", JOIN)
    engine.settle()
    assert counts(engine, "p") == (7, 0, 7)
    engine.put("right", {"/y/c": b"3"})
    engine.settle()
    assert counts(engine, "p") == (1, 7, 8)
    engine.put("right", {"/y/c": None, "/x/a": b"4"})
    engine.settle()
    assert counts(engine, "p") == (1, 6, 7)
    engine.put("left", {"/h-1": None, "/a-1": None})
    engine.settle()
    assert counts(engine, "p") == (0, 6, 6)
    assert set(engine.tree("p")) == {f"/{key}-1+x-{key}" for key in "bcdefg"}


def test_d4_an_outer_side_is_alone_until_its_partner_comes_and_after_it_goes(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/a-2": b"1"})
    engine.put("right", {"/x/b": b"2"})
    outer = pfs("left", "/(*)-*", join_on="$1", outer_join=True)
    engine.pipeline("p", {"join": [outer, pfs("right", "/*/(*)", join_on="$1")]})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1", "/a-2"}
    engine.put("right", {"/x/a": b"3"})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+x-a", "/a-2+x-a"}
    assert counts(engine, "p") == (2, 0, 2)
    engine.put("right", {"/x/a": None})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1", "/a-2"}
    assert counts(engine, "p") == (0, 2, 2), "what was computed once is not computed again (S2)"


GROUP = {
    "group": [pfs("left", "/(*)-*", group_by="$1"), pfs("right", "/*/(*)", group_by="$1")]
}  # fmt: skip


def test_d5_a_group_has_one_datum_a_key_with_every_file_of_every_input(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3"})
    engine.put("right", {"/x/a": b"5", "/y/a": b"6", "/x/d": b"8"})
    engine.pipeline("p", GROUP)
    engine.settle()
    assert engine.tree("p") == {
        "/a-1+a-2+x-a+y-a": b"left/a-1=1 left/a-2=2 right/x/a=5 right/y/a=6",
        "/b-1": b"left/b-1=3",
        "/x-d": b"right/x/d=8",
    }
    assert counts(engine, "p") == (3, 0, 3)


def test_d8_a_changed_member_changes_the_datum_of_its_group_and_no_other(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3"})
    engine.put("right", {"/x/a": b"5", "/x/d": b"8"})
    engine.pipeline("p", GROUP)
    engine.settle()
    engine.put("left", {"/a-2": b"9"})
    engine.settle()
    assert counts(engine, "p") == (1, 2, 3)
    assert engine.tree("p")["/a-1+a-2+x-a"] == b"left/a-1=1 left/a-2=9 right/x/a=5"
    engine.put("left", {"/a-2": None})
    engine.settle()
    assert counts(engine, "p") == (1, 2, 3)
    assert set(engine.tree("p")) == {"/a-1+x-a", "/b-1", "/x-d"}
    engine.put("left", {"/b-1": None})
    engine.settle()
    assert counts(engine, "p") == (0, 2, 2)
    engine.put("left", {"/a-2": b"9"})
    engine.settle()
    assert counts(engine, "p") == (0, 2, 2), "the group as it was is known already (S2)"


def test_r1_a_task_says_by_which_keys_its_inputs_came(engine: Rig) -> None:
    two(engine)
    tasks: list[Task] = []

    def keep(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        tasks.append(task)
        return show(task, inputs)

    engine.code = {"p": keep}
    engine.put("left", {"/a-1": b"1", "/a-2": b"2"})
    engine.put("right", {"/d/a": b"1"})
    engine.pipeline(
        "p",
        {
            "group": [
                {
                    "join": [
                        pfs("left", "/(*)-(*)", join_on="$1", group_by="$2"),
                        pfs("right", "/*/(*)", join_on="${1}", group_by="same"),
                    ]
                },
                pfs("left", "/(*)-*", name="again", group_by="same"),
            ]
        },
    )
    engine.settle()
    [task] = tasks
    assert [(i.name, i.path, i.paths, i.group_by) for i in task.inputs] == [
        ("again", "/a-2", ("/a-1", "/a-2"), "same")
    ]


def test_d7_joins_and_groups_hold_each_other(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3"})
    engine.put("right", {"/x/a": b"5", "/x/b": b"6"})
    joined = {
        "join": [
            pfs("left", "/(*)-(*)", join_on="$1", group_by="$2"),
            pfs("right", "/*/(*)", join_on="$1"),
        ]
    }
    engine.pipeline("p", {"group": [joined]})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+b-1+x-a+x-b", "/a-2+x-a"}
    engine.put("right", {"/x/b": None})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+x-a", "/a-2+x-a"}
    assert counts(engine, "p") == (1, 1, 2)


def test_d2_children_of_a_union_that_share_a_name_give_a_datum_once(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a": b"1", "/b": b"2", "/d/x": b"3"})
    engine.pipeline("p", {"union": [pfs("left", "/*"), pfs("left", "/a"), pfs("left", "/**")]})
    engine.settle()
    assert set(engine.tree("p")) == {"/a", "/b", "/d", "/d-x"}
    assert counts(engine, "p") == (4, 0, 4)
    engine.put("left", {"/a": b"4", "/c": b"5"})
    engine.settle()
    assert counts(engine, "p") == (2, 3, 5)
    engine.put("left", {"/a": None})
    engine.settle()
    assert counts(engine, "p") == (0, 4, 4)


def test_c1_a_join_goes_on_after_a_restart_and_after_a_failed_job(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/b-1": b"1"})
    engine.put("right", {"/x/a": b"2"})
    engine.pipeline("p", JOIN)
    engine.settle()
    engine.end()
    engine.begin()
    engine.put("right", {"/x/b": b"bad"})
    engine.settle()
    assert engine.jobs("p")[0].state == "FAILURE"
    engine.put("right", {"/y/a": b"3"})
    engine.settle()
    assert engine.jobs("p")[0].state == "FAILURE", "the bad one is still there"
    engine.end()
    engine.begin()
    engine.put("right", {"/x/b": b"4"})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+x-a", "/a-1+y-a", "/b-1+x-b"}


def test_u1_a_new_version_finds_its_keys_and_the_old_index_goes(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1", "/b-1": b"1"})
    engine.put("right", {"/1/a": b"2", "/2/a": b"2"})
    engine.pipeline("p", JOIN)
    engine.settle()
    assert len(indexes(engine)) == 2
    swapped = {
        "join": [pfs("left", "/*-(*)", join_on="$1"), pfs("right", "/(*)/*", join_on="$1")]
    }  # fmt: skip
    engine.pipeline("p", swapped, update=True)
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+1-a", "/b-1+1-a"}
    assert sorted(row[2:] for row in indexes(engine)) == [("/(*)/*", "$1"), ("/*-(*)", "$1")]


def indexes(engine: Rig) -> list[tuple[Any, ...]]:
    with engine.store.read() as rows:
        return rows.all("leaf_indexes")


def test_d4_a_join_follows_a_branch_that_is_moved(engine: Rig) -> None:
    two(engine)
    engine.put("left", {"/a-1": b"1"})
    old = engine.put("right", {"/x/a": b"2"})
    engine.pipeline("p", JOIN)
    engine.settle()
    engine.put("right", {"/x/a": None, "/y/a": b"3"})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+y-a"}

    def move(tx: Any) -> None:
        commit = commits.resolve(tx.rows, "right", old)
        branches.move(tx, "right", "master", commit.num)
        intend(tx, BranchMoved(commit.repo, "master", commit.num))

    engine.loop.submit(move).result()
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+x-a"}
    engine.put("right", {"/z/a": b"4"})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-1+x-a", "/a-1+z-a"}
    engine.put("left", {"/a-1": None, "/a-2": b"5"})
    engine.settle()
    assert set(engine.tree("p")) == {"/a-2+x-a", "/a-2+z-a"}, "what the line that was left has"


class Looked:
    """How many rows of files and of indexes are asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        ask_all, ask_one = SqliteRows.all, SqliteRows.one

        def counted_all(rows: SqliteRows, query: str, /, **values: Any) -> list[Row]:
            found = ask_all(rows, query, **values)
            self._count(query, len(found))
            return found

        def counted_one(rows: SqliteRows, query: str, /, **values: Any) -> Row | None:
            self._count(query, 0)
            return ask_one(rows, query, **values)

        patch.setattr(SqliteRows, "all", counted_all)
        patch.setattr(SqliteRows, "one", counted_one)

    def _count(self, query: str, rows: int) -> None:
        if query.startswith(("live", "past", "leaf", "line", "file")):
            self.rows += 1 + rows


@pytest.mark.parametrize("source", [JOIN, GROUP], ids=["join", "group"])
def test_s7_a_new_file_costs_the_same_among_few_and_among_many(
    engine: Rig, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    two(engine)
    looked = Looked(monkeypatch)
    engine.pipeline("p", source)
    cost = []
    for many in (20, 2000):
        engine.put("left", {f"/{many}k{n:05}-1": b"1" for n in range(many)})
        engine.put("right", {f"/x/{many}k{n:05}": b"2" for n in range(many)})
        engine.settle(60)
        looked.rows = 0
        engine.put("left", {f"/{many}k00007-2": b"3"})
        engine.settle()
        cost.append(looked.rows)
    assert engine.jobs("p")[0].processed == 1
    assert cost[1] == cost[0], "rows are looked up for what changed only"


def test_t4_history_is_replayed_from_an_index_that_knows_the_head_already(engine: Rig) -> None:
    two(engine)
    engine.code["q"] = show
    engine.pipeline("p", JOIN)
    engine.put("left", {"/a-1": b"1"})
    first = engine.put("right", {"/x/a": b"2", "/0/a": b"2"})
    for n in range(1, 6):
        engine.put("right", {f"/{n}/a": b"2", f"/{n - 1}/a": None})
    engine.settle()
    made = [engine.tree("p", commit) for commit in engine.heads("p")]
    numbers = [{f"/a-1+{n}-a", "/a-1+x-a"} for n in (5, 4, 3, 2, 1, 0)]
    assert [set(tree) for tree in made] == numbers
    document = {"pipeline": {"name": "q"}, "input": JOIN, "transform": {"cmd": ["x"]}}
    engine.loop.submit(lambda tx: pipelines.create(tx, document, since=first)).result()
    engine.settle()
    assert [engine.tree("q", commit) for commit in engine.heads("q")] == made
    assert len(indexes(engine)) == 2, "both pipelines look up the same keys"


def test_d5_what_comes_and_what_goes_make_no_member_of_a_group_together(engine: Rig) -> None:
    two(engine)
    crossed = {"cross": [pfs("right", "/(*)", group_by="$1"), pfs("left", "/d/*", name="inner")]}
    source = {"group": [crossed, pfs("left", "/*/(*)", group_by="$1")]}
    engine.put("left", {"/a": b"1"})
    engine.put("right", {"/a": b"1"})
    engine.pipeline("p", source)
    engine.settle()
    engine.loop.submit(
        lambda tx: commits.commit_files(
            tx,
            [
                Write(repo="left", path="/d/x", data=b"1"),
                Write(repo="right", path="/a", delete=True),
            ],
        )
    ).result()
    engine.settle()
    newest = engine.jobs("p")[0]
    assert (newest.processed, newest.skipped, newest.total) == (1, 0, 1)
