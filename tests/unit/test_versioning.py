from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.world import World, calling

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
from vedette.versioning import branches, commits, contents, repos


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.metadata.close()


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


def test_a_directory_that_became_a_file_in_one_commit_has_nothing_below_it(world: World) -> None:
    """ENGINE P4: what was seen of directories earlier in the commit no longer holds."""
    writes = [
        Write(repo="images", path="/a/x", data=b"1"),
        Write(repo="images", path="/a/x", delete=True),
        Write(repo="images", path="/a", data=b"file"),
        Write(repo="images", path="/a/b", data=b"below"),
    ]
    with pytest.raises(PathConflict, match="/a in repo images is a file"):
        calling(world, *writes)()


def test_appending_ends_where_both_parts_do_not_fit_into_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "APPEND_LIMIT", 3)
    world.put("/log", b"12")
    longer = Write(repo="images", path="/log", data=b"3", append=True)
    calling(world, longer)()
    assert world.read("master", "/log") == b"123"
    with pytest.raises(TooLarge, match="/log would have 4 bytes"):
        calling(world, longer)()
    assert world.read("master", "/log") == b"123"
