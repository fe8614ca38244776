from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from vedette.metadata.sqlite import MemoryStore
from vedette.model.errors import (
    Conflict,
    Invalid,
    InvalidName,
    InvalidPath,
    NotFound,
    PathConflict,
    TooLarge,
)
from vedette.model.files import Write
from vedette.model.ids import ObjectId, object_id
from vedette.objects.memory import MemoryObjects
from vedette.versioning import branches, commits, contents, diff, files, repos
from vedette.versioning.transaction import Transaction, transact


class World:
    """A store in memory with two user repos and the output repo of a pipeline."""

    def __init__(self) -> None:
        self.metadata, self.objects = MemoryStore(), MemoryObjects()
        self._ids = itertools.count(1)
        with self.tx() as tx:
            repos.create(tx, "images", description="pictures")
            repos.create(tx, "arrivals")
            repos.create(tx, "out", kind="pipeline")

    def tx(self) -> AbstractContextManager[Transaction]:
        return transact(
            self.metadata, self.objects, lambda: 1_000_000, lambda: f"{next(self._ids):032x}"
        )

    def put(self, path: str, data: bytes = b"x", branch: str = "master") -> commits.CommitRow:
        with self.tx() as tx:
            write = Write(repo="images", branch=branch, path=path, data=data)
            return commits.commit_files(tx, [write]).commits[0]

    def job(self, *puts: tuple[str, bytes, int], **changes: object) -> commits.CommitRow:
        branch = str(changes.pop("branch", "master"))
        with self.tx() as tx:
            row = commits.start(tx, "out", branch, origin="auto")
            made = [(p, contents.store(tx, data), len(data), d) for p, data, d in puts]
            commits.apply(tx, row, commits.Changes(puts=made, **changes))  # type: ignore[arg-type]
            return commits.by_num(tx.rows, row.num)

    def paths(self, commit: commits.CommitRow) -> list[str]:
        with self.metadata.read() as rows:
            return [file.path for file in files.every(rows, commit)]

    def read(self, ref: str, path: str) -> bytes:
        with self.metadata.read() as rows:
            file = files.stat(rows, commits.resolve(rows, "images", ref), path)
            assert file is not None
            return contents.read(rows, self.objects, file.object)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.metadata.close()


def calling(world: World, *writes: Write) -> Callable[[], None]:
    def attempt() -> None:
        with world.tx() as tx:
            commits.commit_files(tx, writes)

    return attempt


def test_equal_bytes_are_one_object_whatever_their_size_and_way(world: World) -> None:
    """P11."""
    for data in (b"", b"small", b"b" * 16_384, b"c" * 16_385):
        with world.tx() as tx:
            ways = [
                contents.store(tx, data),
                contents.store(tx, contents.prepare(world.objects, data)),
                contents.store(
                    tx,
                    contents.prepare_stream(
                        world.objects, iter([data[:100], data[100:]]), len(data)
                    ),
                ),
            ]
            assert set(ways) == {object_id(data)}
            assert contents.size(tx.rows, ways[0]) == len(data)
            assert contents.read(tx.rows, world.objects, ways[0]) == data
            assert contents.read(tx.rows, world.objects, ways[0], 2, 3) == data[2:5]


def test_a_stream_over_its_limit_is_refused_inline_too(world: World) -> None:
    for size in (10, 20_000):
        with pytest.raises(TooLarge):
            contents.prepare_stream(world.objects, iter([b"x" * size]), size - 1)


def test_an_object_that_is_not_stored_is_not_found(world: World) -> None:
    with world.metadata.read() as rows, pytest.raises(NotFound):
        contents.read(rows, world.objects, ObjectId(b"0" * 32))
    with pytest.raises(NotFound):
        calling(world, Write(repo="images", path="/a", object="00" * 32))()
    with pytest.raises(Invalid, match="64 hex digits"):
        calling(world, Write(repo="images", path="/a", object="xyz"))()


def test_repo_names_are_checked_and_unique(world: World) -> None:
    """P6."""
    with world.tx() as tx:
        for name in ("", "a/b", "a.b", "x" * 64):
            with pytest.raises(InvalidName):
                repos.create(tx, name)
        with pytest.raises(Conflict, match="exists already"):
            repos.create(tx, "images")


def test_a_missing_repo_is_answered_with_the_nearest_one(world: World) -> None:
    with world.metadata.read() as rows:
        with pytest.raises(NotFound, match="did you mean images"):
            repos.get(rows, "image")
        with pytest.raises(NotFound, match="create repo zzz"):
            repos.inspect(rows, "zzz")


def test_repos_are_listed_with_the_size_of_master(world: World) -> None:
    world.put("/a", b"123")
    world.put("/b", b"12345", branch="other")
    with world.metadata.read() as rows:
        listed = {repo.name: repo for repo in repos.listing(rows)}
        assert repos.inspect(rows, "images") == listed["images"]
    assert list(listed) == ["arrivals", "images", "out"]
    found = listed["images"]
    assert (found.size, found.files, found.branches) == (3, 1, ("master", "other"))
    assert found.created.isoformat() == "1970-01-01T00:00:01+00:00"


def test_a_deleted_repo_leaves_no_rows_and_a_new_one_starts_empty(world: World) -> None:
    first = world.put("/a")
    world.put("/a", b"y")
    with world.tx() as tx:
        commits.start(tx, "images", "master")
        commits.commit_files(tx, [Write(repo="images", path="/b", data=b"z")])
        repos.delete(tx, "images")
        repos.create(tx, "images")
    with world.metadata.read() as rows:
        assert branches.listing(rows, "images") == []
        with pytest.raises(NotFound):
            commits.by_num(rows, first.num)
    assert world.paths(world.put("/c")) == ["/c"]


def test_one_call_commits_to_several_repos_under_one_global_id(world: World) -> None:
    """T2, T3."""
    with world.tx() as tx:
        made = commits.commit_files(
            tx,
            [
                Write(repo="images", path="a.jpg", data=b"1"),
                Write(repo="arrivals", path="/a.json", data=b"2"),
                Write(repo="images", path="/b.jpg", data=b"3"),
            ],
            description="one call",
        )
        assert [f.num for f in tx.finished] == [c.num for c in made.commits]
        assert all(f.root for f in tx.finished)
    assert [c.files for c in made.commits] == [2, 1]
    assert {c.id for c in made.commits} == {made.id}
    assert made.objects == tuple(object_id(d) for d in (b"1", b"2", b"3"))
    with world.metadata.read() as rows:
        assert commits.with_id(rows, made.id) == list(made.commits)
        shown = commits.info(rows, made.commits[1])
    assert (shown.repo, shown.branch, shown.state) == ("arrivals", "master", "finished")
    assert shown.description == "one call"


def test_a_call_that_fails_in_one_repo_commits_to_none(world: World) -> None:
    world.put("/a")
    bad = [
        Write(repo="arrivals", path="/r", data=b"1"),
        Write(repo="images", path="/a/b", data=b"2"),
    ]
    with pytest.raises(PathConflict):
        calling(world, *bad)()
    with world.metadata.read() as rows:
        assert branches.head(rows, "arrivals", "master") is None


@pytest.mark.parametrize(
    ("there", "path", "named"),
    [("/a/b", "/a", "/a/b"), ("/a", "/a/b/c", "/a"), ("/a/b/c/d", "/a/b", "/a/b/c/d")],
)
def test_a_path_is_a_file_or_a_directory(world: World, there: str, path: str, named: str) -> None:
    """P4."""
    world.put(there)
    with pytest.raises(PathConflict, match=named) as caught:
        world.put(path)
    assert caught.value.fields["obstacle"] == named
    with world.tx() as tx:
        branches.create(tx, "images", "fork", branches.head(tx.rows, "images", "master").num)  # type: ignore[union-attr]
    with pytest.raises(PathConflict, match=named):
        world.put(path, branch="fork")
    with world.tx() as tx:
        commits.start(tx, "images", "master")
    with pytest.raises(PathConflict, match=named):
        world.put(path)
    world.put("/a-b"), world.put("/a.b"), world.put("/z/a")


def test_expect_makes_the_call_depend_on_what_is_there(world: World) -> None:
    first = object_id(b"1").hex()
    write = Write(repo="images", path="/a", data=b"1", expect="")
    calling(world, write)()
    with pytest.raises(Conflict, match="not as expected"):
        calling(world, write)()
    calling(world, Write(repo="images", path="/a", data=b"2", expect=first))()
    with pytest.raises(Conflict) as caught:
        calling(world, Write(repo="images", path="/a", delete=True, expect=first))()
    assert caught.value.fields["found"] == object_id(b"2").hex()
    assert world.read("master", "/a") == b"2"


def test_expect_speaks_of_what_was_there_before_the_call(world: World) -> None:
    both = [Write(repo="images", path="/a", data=d, expect="") for d in (b"1", b"2")]
    calling(world, *both)()
    assert world.read("master", "/a") == b"2"


def test_append_joins_and_put_replaces(world: World) -> None:
    """P2."""
    for data, append, want in [
        (b"a", True, b"a"),
        (b"b", True, b"ab"),
        (b"c", False, b"c"),
        (b"d" * 20_000, True, b"c" + b"d" * 20_000),
    ]:
        calling(world, Write(repo="images", path="/f", data=data, append=append))()
        assert world.read("master", "/f") == want


def test_users_do_not_write_to_the_output_of_a_pipeline(world: World) -> None:
    with pytest.raises(Conflict, match="output of a pipeline"):
        calling(world, Write(repo="out", path="/a", data=b"1"))()
    with world.tx() as tx, pytest.raises(Conflict, match="output of a pipeline"):
        commits.start(tx, "out", "master")


def test_writes_that_cannot_be_meant_are_refused(world: World) -> None:
    for write in (
        Write(repo="images", path="/a"),
        Write(repo="images", path="/a", data=b"", delete=True),
    ):
        with pytest.raises(Invalid, match="give one of"):
            calling(world, write)()
    for path in ("/", "a/../b", "a\0"):
        with pytest.raises(InvalidPath):
            calling(world, Write(repo="images", path=path, data=b""))()
    with pytest.raises(NotFound, match="no file or directory /nope"):
        calling(world, Write(repo="images", path="/nope", delete=True))()
    with pytest.raises(InvalidName):
        calling(world, Write(repo="images", branch="a b", path="/a", data=b""))()


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
        with pytest.raises(Invalid):
            commits.resolve(rows, "images", "a b")


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
