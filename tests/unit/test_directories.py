"""The content hash of a directory follows its changes at their price (ENGINE D8, S7)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import amend
from tests.rig import Rig, pfs, rig
from tests.world import World

from vedette.metadata.store import MetadataStore, Rows
from vedette.model.files import Write
from vedette.versioning import branches, commits, directories, files, repos
from vedette.versioning.commits import CommitRow
from vedette.versioning.directories import Content

FEW = 3


@pytest.fixture
def world(rows: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> World:
    """Repos in which four files make a large directory."""
    monkeypatch.setattr(directories, "SMALL", FEW)
    monkeypatch.setattr(directories, "_PAGE", 2)
    return World(rows)


def write(world: World, files: dict[str, bytes | None], branch: str = "master") -> CommitRow:
    """One commit."""
    writes = [
        Write(repo="images", branch=branch, path=path, data=data, delete=data is None)
        for path, data in files.items()
    ]
    with world.tx() as tx:
        return commits.commit_files(tx, writes).commits[0]


def hashed(world: World, commit: CommitRow, path: str) -> bytes:
    """The hash, and what is kept of it."""
    with world.tx() as tx:
        name, held = directories.content(tx.rows, commit, path)
        if held is not None:
            directories.keep(tx.rows, held)
        return name


def anew(world: World, commit: CommitRow, path: str) -> bytes:
    """The hash, found without anything that was kept."""
    with world.metadata.read() as rows:
        return directories._walked(rows, commit, path)[0]


def test_a_hash_that_followed_changes_is_that_of_the_files(world: World) -> None:
    rng = random.Random(4)
    there: set[str] = set()
    seen: dict[bytes, tuple[tuple[str, bytes], ...]] = {}
    for _ in range(120):
        changes: dict[str, bytes | None] = {}
        for _ in range(rng.randint(1, 3)):
            path = f"/{rng.choice('ab')}/{rng.choice('cd')}{rng.randint(0, 5)}"
            data = rng.choice([b"1", b"2", None])
            if path in changes or (data is None and path not in there):
                continue
            changes[path] = data
            there.discard(path) if data is None else there.add(path)
        if not changes:
            continue
        commit = write(world, changes)
        for path in ("/", "/a", "/b"):
            if rng.random() < 0.5:
                name = hashed(world, commit, path)
                assert name == anew(world, commit, path)
                with world.metadata.read() as rows:
                    held = tuple((f.path, f.object) for f in files.every(rows, commit, path))
                assert seen.setdefault(name, held) == held
                assert [key for key, value in seen.items() if value == held] == [name]


def test_a_large_directory_is_not_read_again_for_one_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed(world, write(world, {f"/d/{n}": b"x" for n in range(20)}), "/d")
    after = write(world, {"/d/3": b"y", "/e": b"elsewhere"})
    expected = anew(world, after, "/d")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("all files are read")

    monkeypatch.setattr(files, "walk", refuse)
    assert hashed(world, after, "/d") == expected


def test_only_the_last_two_places_of_a_directory_are_kept(world: World) -> None:
    for n in range(6):
        hashed(world, write(world, {f"/d/{n}{m}": b"x" for m in range(FEW + 1)}), "/d")
    with world.metadata.read() as rows:
        near = rows.one("dir_near", line=1, path="/d", seq=4)
        newest = rows.one("dir_near", line=1, path="/d", seq=99)
    assert near is None
    assert newest is not None
    assert newest[:3] == (6, 6 * (FEW + 1), 6 * (FEW + 1))


def test_a_small_directory_has_the_hash_it_always_had(world: World) -> None:
    commit = write(world, {f"/d/{n}": b"x" for n in range(FEW)})
    with world.metadata.read() as rows:
        name, held = directories.content(rows, commit, "/d")
        assert name == directories.whole_hash(rows, commit, "/d")
    assert held is None


def test_a_fork_has_the_hash_of_the_same_files(world: World) -> None:
    first = write(world, {f"/d/{n}": b"x" for n in range(8)})
    hashed(world, first, "/d")
    with world.tx() as tx:
        branches.create(tx, "images", "side", first.num)
    forked = write(world, {"/d/0": b"side", "/d/1": None}, branch="side")
    assert hashed(world, forked, "/d") == anew(world, forked, "/d")
    on = write(world, {"/d/2": b"more", "/d/1": b"x"}, branch="side")
    assert hashed(world, on, "/d") == anew(world, on, "/d")
    back = write(world, {"/d/0": b"x", "/d/2": b"x"}, branch="side")
    assert hashed(world, back, "/d") == anew(world, first, "/d")


def test_a_deleted_repo_leaves_nothing_of_its_directories(world: World) -> None:
    hashed(world, write(world, {f"/d/{n}": b"x" for n in range(8)}), "/d")
    with world.tx() as tx:
        repos.delete(tx, "images")
        assert tx.rows.one("dir_near", line=1, path="/d", seq=99) is None


@pytest.fixture
def engine(tmp_path: Path, rows: MetadataStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """An engine for which four files are a large directory."""
    monkeypatch.setattr(directories, "SMALL", FEW)
    with rig(tmp_path, rows) as made:
        made.repo("images")
        made.put("images", {f"/d/{n}": b"%d" % n for n in range(10)})
        yield made


def test_a_datum_of_a_large_directory_is_skipped_when_it_is_as_before(engine: Rig) -> None:
    """ENGINE S2: A, B, A."""
    engine.pipeline("p", pfs("images", "/*"))
    engine.settle()
    for content in (b"changed", b"0"):
        engine.put("images", {"/d/0": content})
        engine.settle()
    newest = engine.jobs("p")[0]
    assert (newest.processed, newest.skipped) == (0, 1)
    assert len(engine.ran) == 2


def test_what_release_0_1_computed_of_large_directories_is_found(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline made before large directories had sums keeps its results through an update."""

    def before(rows: Rows, commit: CommitRow, path: str) -> tuple[bytes, Content | None]:
        return directories.whole_hash(rows, commit, path), None

    with monkeypatch.context() as release:
        release.setattr(directories, "content", before)
        engine.pipeline("p", pfs("images", "/*"))
        engine.settle()
    amend(engine.store, f"UPDATE schema_version SET applied = {2**61}")
    engine.pipeline("p", pfs("images", "/*"), update=True)
    engine.settle()
    newest = engine.jobs("p")[0]
    assert (newest.version, newest.processed, newest.skipped) == (2, 0, 1)
    assert len(engine.ran) == 1
