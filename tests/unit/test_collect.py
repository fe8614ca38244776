"""Garbage goes, rows first and then bytes; what anybody names or is about to name stays (K3)."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs
from tests.keeping import age, clock, faults, held, known, until_nothing_is_left, upkeep
from tests.rig import Rig, path_of, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict
from vedette.model.files import Write
from vedette.model.ids import object_id
from vedette.model.keeping import Collected
from vedette.model.work import Task
from vedette.scheduling import datums, planning
from vedette.scheduling.leasing import LEASE
from vedette.scheduling.upkeep import GRACE
from vedette.versioning import collect, commits, contents, repos
from vedette.versioning.collect import Policy

SIZES = {"inline": 100, "packed": 40_000, "alone": 1_500_000}


@pytest.fixture
def made(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    with rig(tmp_path, rows) as found:
        yield found


@pytest.mark.parametrize("kind", SIZES)
def test_the_bytes_of_a_deleted_repo_go_unless_another_names_them(made: Rig, kind: str) -> None:
    own, shared = os.urandom(SIZES[kind]), os.urandom(SIZES[kind])
    made.repo("one")
    made.repo("two")
    made.put("one", {"/own": own, "/shared": shared})
    made.put("two", {"/shared": shared})
    made.loop.submit(lambda tx: repos.delete(tx, "one")).result()
    assert known(made, own), "rows of objects go later, by the collector"
    done = until_nothing_is_left(made)
    assert (done.objects, done.size) == (1, SIZES[kind])
    assert not known(made, own)
    assert made.tree("two") == {"/shared": shared}
    assert faults(made) == []
    assert held(made) == (0 if kind == "inline" else SIZES[kind]), "the disk has the shared only"


def test_garbage_is_kept_for_its_grace_period_which_is_longer_than_three_leases(
    made: Rig,
) -> None:
    assert GRACE > 3 * LEASE
    made.repo("one")
    made.put("one", {"/a": b"a" * 50_000})
    made.loop.submit(lambda tx: repos.delete(tx, "one")).result()
    patient = upkeep(made, Policy(grace=int(GRACE * 1e6)))
    assert patient.collect() == Collected(suspects=1)
    assert patient.collect(full=True).objects == 0
    assert known(made, b"a" * 50_000)
    assert faults(made) == [], "what waits for its grace period is no fault"


def test_k3_grace_begins_when_the_last_who_named_it_has_gone(made: Rig) -> None:
    """K3: not when an earlier one went. A copy of the store made within that time is whole."""
    for repo in ("one", "two"):
        made.repo(repo)
        made.put(repo, {"/a": b"a" * 50_000})
    made.loop.submit(lambda tx: repos.delete(tx, "one")).result()
    between = clock()
    made.loop.submit(lambda tx: repos.delete(tx, "two")).result()
    looked = made.loop.submit(lambda tx: collect.take(tx, between + 1, ())).result()
    assert looked.looked == 0
    assert upkeep(made, Policy(grace=int(GRACE * 1e6))).collect(full=True).suspects == 1
    assert made.loop.submit(lambda tx: collect.take(tx, clock(), ())).result().objects == 1


@pytest.mark.parametrize("kind", SIZES)
def test_an_upload_that_began_before_the_collector_and_ends_after_it_is_whole(
    made: Rig, kind: str
) -> None:
    """The classic race: a put finds bytes there, and the collector takes them away."""
    data = os.urandom(SIZES[kind])
    made.repo("one")
    made.repo("two")
    made.put("one", {"/a": data})
    ready = contents.prepare(made.objects, data)
    made.loop.submit(lambda tx: repos.delete(tx, "one")).result()
    if kind == "alone":  # as if the upload had begun long ago
        age(made, data)
    until_nothing_is_left(made)
    upkeep(made).collect(full=True)
    write = Write(repo="two", path="/b")
    made.loop.submit(lambda tx: commits.commit_files(tx, [write], [ready])).result()
    until_nothing_is_left(made)
    assert made.tree("two") == {"/b": data}
    assert faults(made) == []


def test_an_upload_that_begins_between_the_row_and_the_bytes_finds_its_bytes(made: Rig) -> None:
    data = os.urandom(SIZES["alone"])
    made.repo("one")
    made.repo("two")
    made.put("one", {"/a": data})
    made.loop.submit(lambda tx: repos.delete(tx, "one")).result()
    pinned, _ = collect.pins()
    now = clock()
    taken = made.loop.submit(lambda tx: collect.take(tx, now, ())).result()
    age(made, data)
    assert taken.files == (object_id(data),)
    made.put("two", {"/b": data})
    gone, stayed = collect.remove_files(made.objects, taken, pinned, now - 1_000_000)
    assert (gone, stayed) == ([], [object_id(data)])
    made.loop.submit(lambda tx: collect.settle(tx, gone, stayed)).result()
    assert made.tree("two") == {"/b": data}
    until_nothing_is_left(made)
    assert made.tree("two") == {"/b": data}


def test_a_crash_between_row_and_bytes_is_made_good_by_the_next_run(made: Rig) -> None:
    """C1: kill -9 between any two steps."""
    made.repo("one")
    made.put("one", {"/a": b"a" * SIZES["alone"], "/b": b"b" * 30_000, "/c": b"c" * 30_000})
    made.put("one", {"/a": None, "/b": None})
    made.loop.submit(lambda tx: repos.create(tx, "two")).result()
    made.put("two", {"/c": b"c" * 30_000})
    made.loop.submit(lambda tx: repos.delete(tx, "one")).result()
    made.loop.submit(lambda tx: collect.take(tx, clock(), ())).result()
    assert held(made) > 1_500_000, "the process ended before the bytes went"
    with made.store.read() as rows:
        (pack,) = collect.packs(rows)
    assert collect.empty(
        made.store, made.objects, pack.number, lambda work: made.loop.submit(work).result(),
        stopped=lambda: True,
    ) is False  # fmt: skip
    until_nothing_is_left(made)
    assert held(made) == 30_000
    assert made.tree("two") == {"/c": b"c" * 30_000}
    assert faults(made) == []


def test_a_pack_is_emptied_when_enough_of_it_is_dead_and_its_readers_find_all(made: Rig) -> None:
    made.repo("kept")
    made.repo("gone")
    files = {f"/{n}": os.urandom(20_000) for n in range(20)}
    made.put("kept", dict(list(files.items())[:5]))
    made.put("gone", dict(list(files.items())[5:]))
    made.loop.submit(lambda tx: repos.delete(tx, "gone")).result()
    lazy = Policy(grace=0, worth=0.8)
    upkeep(made, lazy).collect()
    upkeep(made, lazy).collect()
    assert held(made) == 400_000, "three quarters dead are not worth it under this policy"
    until_nothing_is_left(made)
    assert held(made) == 100_000
    assert made.tree("kept") == dict(list(files.items())[:5])
    assert faults(made) == []


def test_what_is_left_of_refused_uploads_goes_with_a_full_look(made: Rig) -> None:
    contents.prepare(made.objects, os.urandom(SIZES["alone"]))
    contents.prepare(made.objects, os.urandom(SIZES["packed"]))
    made.objects.sync()
    made.objects.seal()
    assert {fault.kind for fault in faults(made)} == {"left"}
    assert upkeep(made).collect().objects == 0
    assert held(made) > 0
    upkeep(made).collect(full=True)
    until_nothing_is_left(made)
    assert held(made) == 0
    assert faults(made) == []


@pytest.mark.parametrize("kind", SIZES)
def test_k3_a_refused_upload_goes_without_a_full_look(made: Rig, kind: str) -> None:
    """K3: as do bytes that were there already and were packed once more."""
    data, again = os.urandom(SIZES[kind]), os.urandom(SIZES[kind])
    made.repo("one")
    made.put("one", {"/a": again})
    for write in (
        Write(repo="one", path="/a", data=data, expect="00" * 32),
        Write(repo="one", path="/b", data=again),
    ):
        ready = contents.prepare(made.objects, write.data or b"")
        asked = [structs.replace(write, data=None)]
        try:
            made.loop.submit(
                lambda tx, asked=asked, ready=ready: commits.commit_files(tx, asked, [ready])  # type: ignore[misc]
            ).result()
        except Conflict:
            continue
    del ready
    gc.collect()
    made.objects.seal()
    if kind == "alone":
        age(made, data)
    until_nothing_is_left(made)
    until_nothing_is_left(made)
    assert made.tree("one") == {"/a": again, "/b": again}
    assert held(made) == (0 if kind == "inline" else SIZES[kind])
    assert faults(made) == []


def test_k3_what_was_added_to_a_file_is_not_kept_beside_it(made: Rig) -> None:
    """P2, K3: of an append only the whole stays; what an open commit had and replaced goes too."""
    made.repo("one")
    first, more, replaced = (os.urandom(30_000) for _ in range(3))
    made.put("one", {"/a": first})
    added = [Write(repo="one", path="/a", data=more, append=True)]
    made.loop.submit(lambda tx: commits.commit_files(tx, added)).result()
    opened = made.loop.submit(lambda tx: commits.start(tx, "one", "master")).result()
    made.put("one", {"/b": replaced})
    made.put("one", {"/b": b"b"})
    made.loop.submit(lambda tx: commits.finish(tx, opened.num)).result()
    gc.collect()
    until_nothing_is_left(made)
    assert [known(made, d) for d in (first, first + more, more, replaced)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert faults(made) == []


@pytest.mark.parametrize("policy", ["error", "concat"])
def test_k3_what_a_datum_wrote_and_replaced_is_not_kept(made: Rig, policy: str) -> None:
    """K3, U5: a datum that runs again and writes other bytes, alone or to a shared path, also
    where what it had written was never committed, because another one failed."""
    rounds = itertools.count()
    fails = [False]

    def writes(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        if fails[0] and inputs["in"] == {"/2": b"2"}:
            raise ValueError("bad content")
        path = "/shared" if policy == "concat" else path_of(task)
        return {path: f"{path_of(task)}{next(rounds)}".encode() * 100}

    def again() -> None:
        made.loop.enter(
            lambda round: planning.plan_pipeline(round, round.memory.pipelines["p"], numbers)
        ).result()
        made.settle()

    made.repo("in")
    made.code["p"] = writes
    made.put("in", {"/1": b"1", "/2": b"2"})
    made.pipeline("p", pfs("in", "/*"), output_conflict=policy)
    made.settle()
    with made.store.read() as rows:
        numbers = [d.number for d in datums.of_job(rows, made.jobs("p")[0].id)]
    fails[0] = True
    again()
    assert made.jobs("p")[0].state == "FAILURE"
    fails[0] = False
    again()
    assert made.jobs("p")[0].state == "SUCCESS"
    until_nothing_is_left(made)
    assert faults(made) == []
    assert len(made.heads("p")) == 2


def test_a_result_whose_output_is_gone_is_not_taken_for_done(made: Rig) -> None:
    """S2 holds as long as the bytes do: the datum runs again rather than naming nothing."""
    made.repo("in")
    made.pipeline("p", pfs("in", "/*"))
    made.put("in", {"/a": b"1"})
    made.settle()
    made.put("in", {"/a": b"2"})
    made.settle()
    first = b"in/a=1"
    assert known(made, first)
    made.loop.submit(lambda tx: tx.rows.run("object_drop", id=object_id(first))).result()
    made.put("in", {"/a": b"1"})
    made.settle()
    assert made.tree("p") == {"/a": first}
    assert [path for name, path in made.ran if name == "p"] == ["/a", "/a", "/a"]


def test_a_check_tells_what_is_missing_what_is_damaged_and_what_is_left(made: Rig) -> None:
    files = {kind: os.urandom(size) for kind, size in SIZES.items()}
    made.repo("r")
    made.put("r", {f"/{kind}": data for kind, data in files.items()})
    made.objects.seal()
    assert faults(made) == faults(made, deep=False) == []
    name = object_id(files["alone"]).hex()
    path = made.folder / "objects" / name[:2] / name[2:]
    path.write_bytes(b"x" * SIZES["alone"])
    assert faults(made, deep=False) == [], "only its number of bytes is looked at"
    assert [f.object for f in faults(made)] == [name]
    path.unlink()
    assert [(f.kind, f.object) for f in faults(made, deep=False)] == [("missing", name)]
    made.put("r", {"/again": b"", "/alone": None})
    made.put("r", {"/alone": files["alone"]})
    made.loop.submit(lambda tx: tx.rows.run("object_drop", id=object_id(files["packed"]))).result()
    found = faults(made)
    assert [f.kind for f in found] == ["rows", "left"]
    assert "/packed in repo r" in found[0].text
