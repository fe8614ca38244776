from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.world import World, calling

from vedette.model.errors import (
    Conflict,
    Invalid,
    NotFound,
    PathConflict,
)
from vedette.model.files import Write
from vedette.model.ids import object_id
from vedette.versioning import branches, commits, contents, diff, files


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.metadata.close()


def test_ancestors_are_named_by_carets_and_tildes(world: World) -> None:
    """P8."""
    made = [world.put("/f", str(n).encode()) for n in range(4)]
    with world.metadata.read() as rows:
        for ref, n in [
            ("master", 3), ("master^", 2), ("master^^", 1), ("master^2", 1), ("master~2", 1),
            ("master~3", 0), (made[2].id, 2), (made[2].id + "^", 1), ("master~1^", 1),
        ]:  # fmt: skip
            assert commits.resolve(rows, "images", ref) == made[n]
        with pytest.raises(NotFound, match="not that long"):
            commits.resolve(rows, "images", "master~4")
        with pytest.raises(NotFound, match="it has master"):
            commits.resolve(rows, "images", "main")
        with pytest.raises(NotFound, match="put a file first"):
            commits.resolve(rows, "arrivals", "master")
        for ref in ("a b", "^", "master^x", "master^" + "9" * 5000):
            with pytest.raises(Invalid):
                commits.resolve(rows, "images", ref)


def test_a_finished_commit_never_changes(world: World) -> None:
    """P7."""
    done = world.put("/a")
    for act in (
        lambda tx: commits.finish(tx, done.num),
        lambda tx: commits.fail(tx, done.num, "no"),
        lambda tx: commits.apply(tx, done, commits.Changes()),
    ):
        with pytest.raises(Conflict), world.tx() as tx:
            act(tx)
    with world.metadata.read() as rows:
        assert commits.by_num(rows, done.num) == done


def test_an_open_commit_takes_puts_and_is_seen_when_it_finishes(world: World) -> None:
    world.put("/a/1")
    with world.tx() as tx:
        held = commits.start(tx, "images", "master")
        with pytest.raises(Conflict, match="finish it first"):
            commits.start(tx, "images", "master")
    world.put("/b")
    calling(world, Write(repo="images", path="/a", delete=True))()
    world.put("/a", b"now a file")
    with pytest.raises(Conflict, match="finish it first"), world.tx() as tx:
        branches.move(tx, "images", "master", None)
    with world.metadata.read() as rows:
        head = commits.resolve(rows, "images", "master")
        with pytest.raises(Conflict, match="still open"):
            files.stat(rows, held, "/b")
    assert world.paths(head) == ["/a/1"]
    with world.tx() as tx:
        finished = commits.finish(tx, held.num)
        assert tx.finished == [finished]
        done = commits.by_num(tx.rows, held.num)
    assert world.paths(done) == ["/a", "/b"]
    assert done.parent == head.num


def test_a_failed_commit_leaves_the_head_where_it_was(world: World) -> None:
    """T7."""
    good = world.job(("/a", b"1", 1))
    with world.tx() as tx:
        bad = commits.start(tx, "out", "master", origin="auto")
        commits.fail(tx, bad.num, "the datum failed")
    with world.metadata.read() as rows:
        assert branches.head(rows, "out", "master") == good
        row = commits.by_num(rows, bad.num)
        with pytest.raises(Conflict, match="errored"):
            files.walk(rows, row)
    assert (row.state, row.error, row.line) == ("errored", "the datum failed", None)
    following = world.job(("/b", b"2", 2))
    assert following.parent == good.num


def test_a_datum_takes_its_own_files_with_it(world: World) -> None:
    """S1, DESIGN 3.2."""
    world.job(("/a", b"1", 1), ("/b", b"2", 1), ("/c", b"3", 2))
    gone = world.job(remove_datums=[1])
    assert world.paths(gone) == ["/c"]
    again = world.job(("/a", b"new", 3), ("/c/d", b"4", 3), remove_datums=[2])
    assert world.paths(again) == ["/a", "/c/d"]


def test_a_datum_on_a_fork_takes_no_file_of_another(world: World) -> None:
    world.job(("/a", b"1", 1), ("/b", b"1", 1), ("/c", b"1", 1))
    old = world.job(("/x", b"9", 9))
    world.job(remove_datums=[1])
    with world.tx() as tx:
        branches.create(tx, "out", "fork", old.num)
    world.job(("/a", b"2", 2), branch="fork", deletes=["/b"])
    fork = world.job(("/b", b"3", 3), branch="fork")
    assert world.paths(fork) == ["/a", "/b", "/c", "/x"]
    last = world.job(branch="fork", remove_datums=[1])
    assert world.paths(last) == ["/a", "/b", "/x"]
    assert world.paths(fork) == ["/a", "/b", "/c", "/x"]


def test_a_path_of_two_datums_is_refused_when_asked(world: World) -> None:
    """M2."""
    world.job(("/a", b"1", 1))
    with pytest.raises(PathConflict, match="two datums \\(1 and 2\\)") as caught:
        world.job(("/a", b"2", 2), exclusive=True)
    assert caught.value.fields["owner"] == 1
    with pytest.raises(PathConflict):
        world.job(("/b", b"2", 2), ("/b", b"2", 3), exclusive=True)
    world.job(("/a", b"2", 2), exclusive=True, remove_datums=[1])
    world.job(("/a", b"3", 2), exclusive=True)


def test_a_claim_tells_the_owner(world: World) -> None:
    """M2."""
    world.job(("/a", b"1", 1))
    with world.tx() as tx:
        row = commits.start(tx, "out", "master", origin="auto")
        name = contents.store(tx, b"2")
        made = commits.edit(tx, row.repo, row.branch)
        assert made.claim("/a", name, 1, datum=2) == 1
        assert made.claim("/b", name, 1, datum=2) is None
        with pytest.raises(PathConflict):
            made.claim("/b/c", name, 1, datum=3)
        commits.seal(tx, made, row)
    with world.metadata.read() as rows:
        assert [(f.path, f.datum) for f in files.every(rows, commits.by_num(rows, row.num))] == [
            ("/a", 1),
            ("/b", 2),
        ]


def test_putting_what_is_there_changes_nothing(world: World) -> None:
    first = world.put("/a", b"1")
    second = world.put("/a", b"1")
    with world.metadata.read() as rows:
        assert list(diff.changes(rows, first, second)) == []
        file = files.inspect(rows, second, "/a")
    assert file.commit == first.id
    assert second.closed == 0


def test_content_that_comes_back_is_no_difference(world: World) -> None:
    """P9; METADATA: the diff returns candidates."""
    made = [world.put("/a", data) for data in (b"A", b"B", b"A")]
    with world.metadata.read() as rows:
        assert list(diff.changes(rows, made[0], made[2])) == []
        assert [c.path for c in diff.changes(rows, made[0], made[1])] == ["/a"]
        back = next(iter(diff.changes(rows, made[2], made[1])))
    assert back.before is not None and back.before.object == object_id(b"A")
    assert back.after is not None and back.after.object == object_id(b"B")


def test_a_branch_that_moves_back_keeps_what_it_was(world: World) -> None:
    made = [world.put(f"/{n}") for n in range(3)]
    with world.tx() as tx:
        branches.move(tx, "images", "master", made[0].num)
        with pytest.raises(Conflict, match="finished commit of repo"):
            branches.move(tx, "arrivals", "x", made[0].num)
    new = world.put("/new")
    assert world.paths(new) == ["/0", "/new"]
    assert world.paths(made[2]) == ["/0", "/1", "/2"]
    with world.metadata.read() as rows:
        assert [c.path for c in diff.changes(rows, made[2], new)] == ["/1", "/2", "/new"]
        assert [b.head for b in branches.listing(rows, "images")] == [new.id]


def test_many_forks_of_forks_read_as_one(world: World) -> None:
    head = world.put("/0")
    for n in range(1, 12):
        with world.tx() as tx:
            branches.create(tx, "images", f"b{n}", head.num)
        head = world.put(f"/{n:02}", branch=f"b{n}")
    assert world.paths(head) == ["/0", *(f"/{n:02}" for n in range(1, 12))]


def test_a_directory_that_a_fork_deleted_may_become_a_file(world: World) -> None:
    with world.tx() as tx:
        many = [Write(repo="images", path=f"/d/{n}", data=b"x") for n in range(300)]
        base = commits.commit_files(tx, [*many, Write(repo="images", path="/e", data=b"x")])
        branches.create(tx, "images", "fork", base.commits[0].num)
    gone = Write(repo="images", branch="fork", path="/d", delete=True)
    calling(world, gone)()
    made = world.put("/d", b"file", branch="fork")
    assert world.paths(made) == ["/d", "/e"]
    assert (made.files, made.size) == (2, 5)
    assert len(world.paths(base.commits[0])) == 301


def test_a_missing_file_is_named_with_its_commit(world: World) -> None:
    commit = world.put("/dir/a", b"123")
    with world.metadata.read() as rows:
        for ask in (files.inspect, files.list_files):
            with pytest.raises(NotFound, match="/nope in images@master"):
                ask(rows, commit, "/nope")
        assert files.inspect(rows, commit, "dir/").size == 3
        assert [f.path for f in files.list_files(rows, commit, "/dir/a")] == ["/dir/a"]
        assert files.list_files(rows, commit, "/dir/a", after="/dir/a") == []


def test_a_directory_with_many_files_is_listed_by_one_seek_each(world: World) -> None:
    """METADATA trap 8."""
    with world.tx() as tx:
        commits.commit_files(
            tx,
            [
                Write(repo="images", path=f"/d{d}/{n}", data=b"x")
                for d in range(20)
                for n in range(50)
            ],
        )
        commit = commits.resolve(tx.rows, "images", "master")
        asked = 0

        def count(_: str) -> None:
            nonlocal asked
            asked += 1

        tx.rows._connection.set_trace_callback(count)  # type: ignore[attr-defined]
        found = files.list_files(tx.rows, commit, "/", sizes=False)
        tx.rows._connection.set_trace_callback(None)  # type: ignore[attr-defined]
    assert len(found) == 20
    assert asked < 40
