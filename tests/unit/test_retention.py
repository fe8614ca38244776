"""Deleting for good: bytes become a tombstone, all else of a file stays (ENGINE K1, K2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.keeping import NOW, clock, faults, held, until_nothing_is_left, upkeep
from tests.postgres import amend
from tests.rig import Rig, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Gone, Invalid
from vedette.model.keeping import Rule
from vedette.model.spec import parse_spec
from vedette.model.work import Task
from vedette.scheduling import datums
from vedette.scheduling.history import Keep
from vedette.scheduling.upkeep import Upkeep
from vedette.versioning import commits, contents, files, repos, retention
from vedette.versioning.stretches import FileRow

BIG = 40_000


@pytest.fixture
def made(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    with rig(tmp_path, rows) as found:
        yield found


def keep(made: Rig, repo: str, **rule: float | int) -> None:
    made.loop.submit(
        lambda tx: retention.set_rule(tx, repos.get(tx.rows, repo).id, Rule(**rule))  # type: ignore[arg-type]
    ).result()


def row(made: Rig, repo: str, path: str, ref: str = "master") -> FileRow:
    with made.store.read() as rows:
        found = files.stat(rows, commits.resolve(rows, repo, ref), path)
    assert found is not None
    return found


def read(made: Rig, repo: str, path: str, ref: str = "master") -> bytes:
    with made.store.read() as rows:
        found = files.stat(rows, commits.resolve(rows, repo, ref), path)
        assert found is not None
        retention.refuse_gone(rows, repo, found)
        return contents.read(rows, made.objects, found.object)


def mark(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """A large output of its own for each input."""
    ((path, data),) = inputs["in"].items()
    return {path: b"seen" + data}


def test_old_bytes_go_and_path_hash_size_and_provenance_stay(made: Rig) -> None:
    """K1, and K2: deleting a file in a commit leaves the older commits what they were."""
    made.repo("in")
    made.code["p"] = mark
    made.pipeline("p", pfs("in", "/*"))
    made.put("in", {"/a": b"a" * BIG})
    first = made.put("in", {"/b": b"b" * BIG})
    made.put("in", {"/b": None})
    made.put("in", {"/c": b"c" * BIG})
    made.settle()
    assert read(made, "in", "/b", first) == b"b" * BIG, "K2"
    before = {path: row(made, "in", path) for path in ("/a", "/c")}
    jobs = made.jobs()
    keep(made, "in", last=1)
    until_nothing_is_left(made)
    until_nothing_is_left(made)
    for path, ref in [("/a", "master"), ("/b", first)]:
        with pytest.raises(Gone, match=r"deleted for good on 20\d\d-.*repo in keeps the last 1 co"):
            read(made, "in", path, ref)
    assert read(made, "in", "/c") == b"c" * BIG
    after = row(made, "in", "/a")
    assert (after.object, after.size, after.datum) == (before["/a"].object, BIG, None)
    with made.store.read() as rows:
        commit = commits.resolve(rows, "in", "master")
        assert (commit.files, commit.size) == (2, 2 * BIG)
        listed = files.list_files(rows, commit)
    assert [(f.path, f.gone is not None) for f in listed] == [("/a", True), ("/c", False)]
    assert made.jobs() == jobs, "nothing is committed, nobody sees a change"
    assert made.tree("p").keys() == {"/a", "/c"}, "derived repos have a retain of their own"
    assert held(made) == BIG + 3 * (BIG + 4), "the old outputs are still cached results"
    assert faults(made) == []


def test_datums_of_deleted_bytes_neither_vanish_nor_run_again(made: Rig) -> None:
    made.repo("in")
    made.code["p"] = mark
    made.pipeline("p", pfs("in", "/*"))
    for name in "abc":
        made.put("in", {f"/{name}": name.encode() * BIG})
    made.settle()
    keep(made, "in", last=1)
    until_nothing_is_left(made)
    ran = len(made.ran)
    made.put("in", {"/d": b"d" * BIG})
    made.settle()
    assert made.jobs("p")[0].total == 4
    made.pipeline("p", pfs("in", "/*"), update=True)
    made.settle()
    assert (made.jobs("p")[0].total, made.jobs("p")[0].state) == (4, "SUCCESS")
    assert len(made.ran) == ran + 1
    made.pipeline("p", pfs("in", "/*"), update=True, reprocess=True)
    made.settle()
    job = made.jobs("p")[0]
    assert (job.state, job.total, job.processed) == ("SUCCESS", 4, 2)
    assert len(made.ran) == ran + 3, "only those whose bytes are there"
    assert made.tree("p").keys() == {"/a", "/b", "/c", "/d"}
    made.code["fresh"] = mark
    made.pipeline("fresh", pfs("in", "/*"))
    made.settle()
    assert made.tree("fresh").keys() == {"/c", "/d"}, "what never ran and cannot is no datum"
    assert (made.jobs("fresh")[0].state, made.jobs("fresh")[0].total) == ("SUCCESS", 2)


def test_a_result_that_comes_back_after_its_bytes_were_deleted_is_a_tombstone_again(
    made: Rig,
) -> None:
    made.repo("in")
    made.code["p"] = mark
    made.pipeline("p", pfs("in", "/*"), retain={"last": 1})
    made.put("in", {"/a": b"1" * BIG})
    made.settle()
    made.put("in", {"/a": b"2" * BIG})
    made.settle()
    until_nothing_is_left(made)
    made.put("in", {"/a": b"1" * BIG})
    made.settle()
    assert made.jobs("p")[0].state == "SUCCESS"
    assert made.jobs("p")[0].skipped == 1
    with pytest.raises(Gone):
        read(made, "p", "/a")
    assert faults(made) == []
    made.put("in", {"/a": b"3" * BIG})
    made.settle()
    assert read(made, "p", "/a") == b"seen" + b"3" * BIG


def test_the_same_bytes_put_again_are_there_again(made: Rig) -> None:
    made.repo("in")
    made.put("in", {"/a": b"a" * BIG})
    keep(made, "in", last=1)
    made.put("in", {"/b": b"b"})
    until_nothing_is_left(made)
    with pytest.raises(Gone):
        read(made, "in", "/a")
    made.put("in", {"/a": b"a" * BIG})
    until_nothing_is_left(made)
    assert read(made, "in", "/a") == b"a" * BIG


def test_a_path_is_deleted_for_good_in_all_commits_and_branches(made: Rig) -> None:
    secret = os.urandom(BIG)
    made.repo("in")
    old = made.put("in", {"/dev/a": secret, "/dev/b": b"b", "/deva": b"c"})
    made.put("in", {"/dev/a": b"harmless" * BIG})
    made.put("in", {"/dev/a": None})
    keeper = upkeep(made)
    assert keeper.delete("in", "/dev", "a court said so") == 3
    until_nothing_is_left(made)
    for path in ("/dev/a", "/dev/b"):
        with pytest.raises(Gone, match="a court said so"):
            read(made, "in", path, old)
    assert read(made, "in", "/deva") == b"c"
    assert held(made) == 0
    assert secret not in b"".join(file.read_bytes() for file in made.folder.rglob("*.pack")), (
        "after it the bytes are gone from disk"
    )


def test_what_is_younger_than_the_age_stays(made: Rig) -> None:
    made.repo("in")
    made.put("in", {"/a": b"a" * BIG})
    made.put("in", {"/b": b"b" * BIG})
    with made.store.read() as rows:
        (first,) = [c.num for c in commits.listing(rows, repos.get(rows, "in").id)][-1:]
    amend(made.store, f"UPDATE cmt SET finished = finished - 7200000000 WHERE num = {first}")
    keep(made, "in", age=3600.0)
    until_nothing_is_left(made)
    with pytest.raises(Gone, match=r"keeps what is younger than 1 hour"):
        read(made, "in", "/a")
    assert read(made, "in", "/b") == b"b" * BIG


def test_old_jobs_their_logs_and_results_go_and_the_next_job_skips_as_before(made: Rig) -> None:
    made.repo("in")
    made.pipeline("p", pfs("in", "/*"), on_datum_failure="datum")
    made.put("in", {"/a": b"1"})
    made.put("in", {"/a": b"2"})
    made.put("in", {"/b": b"bad"})
    made.settle()
    Upkeep(made.loop, clock, NOW, keep=Keep(jobs=0.0, failed=90.0)).collect()
    (job,) = made.jobs("p")
    with made.store.read() as rows:
        assert rows.one("datum_by_num", num=1) is None, "its content is in no job any more"
        assert [d.state for d in datums.failed(rows, "p")] == ["FAILED"], "failed ones stay longer"
    ran = len(made.ran)
    made.put("in", {"/c": b"3"})
    made.settle()
    assert len(made.ran) == ran + 1
    assert [j.id for j in made.jobs("p")][1:] == [job.id]
    assert faults(made) == []


def test_retain_in_a_spec_is_read_and_refused_where_it_cannot_be_meant() -> None:
    spec = {
        "pipeline": {"name": "p"}, "transform": {"cmd": ["x"]},
        "input": {"pfs": {"repo": "r", "glob": "/*"}}, "retain": {"age": "720h", "last": 10},
    }  # fmt: skip
    found = parse_spec(spec).spec
    assert (found.retain_age, found.retain_last) == (720 * 3600.0, 10)
    with pytest.raises(Invalid, match=r"retain\.last: more than 0 is needed"):
        parse_spec({**spec, "retain": {"last": 0}})


@pytest.mark.parametrize("rule", [Rule(age=0.0), Rule(age=-1.0), Rule(last=0)])
def test_a_rule_that_keeps_nothing_is_refused(rule: Rule) -> None:
    with pytest.raises(Invalid, match=r"retain: "):
        retention.check(rule)
