"""What the engine does when something goes wrong, by the numbers of its semantics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig import NotReadyError, OnePool, Rig, copy, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.work import Result, Task
from vedette.scheduling import datums, hosts, pipelines
from vedette.versioning import commits


@pytest.fixture
def engine(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    with rig(tmp_path, rows) as made:
        made.repo("images")
        yield made


def test_r3_one_bad_datum_stops_nobody_and_is_retried_when_a_reference_changes(
    engine: Rig,
) -> None:
    engine.repo("rules")
    engine.put("rules", {"/r": b"bad"})
    engine.pipeline(
        "one",
        {"cross": [pfs("images", "/*"), pfs("rules", "/", reference=True)]},
        on_datum_failure="datum",
    )
    engine.put("images", {"/a": b"1"})
    engine.settle()
    first = engine.jobs("one")[0]
    assert (first.state, first.failed, first.total) == ("SUCCESS", 1, 1)
    assert engine.tree("one") == {}
    engine.put("images", {"/b": b"2"})
    engine.settle()
    assert len(engine.ran) == 2
    engine.put("rules", {"/r": b"good"})
    engine.settle()
    assert sorted(engine.tree("one")) == ["/a+all", "/b+all"]


def test_u5_restart_datum_runs_a_failed_datum_again(engine: Rig) -> None:
    broken = [True]

    def sometimes(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        if broken[0]:
            raise ValueError("the disk was full")
        return copy(task, inputs)

    engine.code["one"] = sometimes
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.pipeline("two", pfs("one", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.settle()
    broken[0] = False
    (number,) = engine.failed("one")
    engine.loop.submit(lambda tx: datums.restart(tx, number)).result()
    engine.settle()
    assert engine.failed("one") == []
    assert sorted(engine.tree("two")) == ["/a"]


@pytest.mark.parametrize("held", [False, True])
def test_s1_a_failed_datum_whose_file_was_replaced_takes_nothing_from_the_present_one(
    engine: Rig, held: bool
) -> None:
    """U5: also where the file is replaced by a job that has not ended when it is asked for."""
    broken, replaced = threading.Event(), threading.Event()
    broken.set()

    def sometimes(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        if b"old" in inputs["images"].values() and broken.is_set():
            raise ValueError("the disk was full")
        if b"new" in inputs["images"].values():
            assert replaced.wait(60)
        return copy(task, inputs)

    engine.code["one"] = sometimes
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.put("images", {"/a": b"old"})
    engine.settle()
    (number,) = engine.failed("one")
    broken.clear()
    if not held:
        replaced.set()
    engine.put("images", {"/a": b"new"})
    if not held:
        engine.settle()
    engine.loop.submit(lambda tx: datums.restart(tx, number)).result()
    replaced.set()
    engine.settle()
    assert engine.tree("one") == {"/a": b"images/a=new"}
    for job in engine.jobs("one"):
        assert job.state == "SUCCESS"
        assert job.processed + job.skipped + job.failed + job.recovered == job.total == 1


def test_m2_two_datums_that_write_one_path_fail_the_job_naming_both(engine: Rig) -> None:
    engine.code["one"] = lambda task, _: {"/same": task.inputs[0].path.encode()}
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    job = engine.jobs("one")[0]
    assert job.state == "FAILURE"
    for word in ("/same", "(/a)", "(/b)", "PACH_DATUM_ID"):
        assert word in job.reason


@pytest.mark.parametrize(
    ("policy", "expected", "after"),
    [("concat", b"/a/b/c", b"/b/c"), ("first", b"/a", b"/b"), ("last", b"/c", b"/c")],
)
def test_m2_policies_merge_in_datum_order_and_unmerge(
    engine: Rig, policy: str, expected: bytes, after: bytes
) -> None:
    engine.code["one"] = lambda task, _: {"/same": task.inputs[0].path.encode()}
    engine.pipeline("one", pfs("images", "/*"), output_conflict=policy)
    engine.put("images", {"/c": b"1"})
    engine.put("images", {"/b": b"1", "/a": b"2"})
    engine.settle()
    assert engine.tree("one") == {"/same": expected}
    engine.put("images", {"/a": None})
    engine.settle()
    assert engine.tree("one") == {"/same": after}
    engine.put("images", {"/b": None})
    engine.put("images", {"/c": None})
    engine.settle()
    assert engine.tree("one") == {}


def test_m2_under_datum_policy_the_later_datum_fails_alone(engine: Rig) -> None:
    engine.code["one"] = lambda task, _: {"/same": task.inputs[0].path.encode()}
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    job = engine.jobs("one")[0]
    assert (job.state, job.processed, job.failed) == ("SUCCESS", 1, 1)
    assert engine.tree("one") == {"/same": b"/a"}


def test_m3_a_file_and_a_directory_at_one_path_fail_the_job(engine: Rig) -> None:
    engine.code["one"] = lambda task, _: {"/x" if task.inputs[0].path == "/a" else "/x/y": b"1"}
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    assert engine.jobs("one")[0].state == "FAILURE"
    assert "/x" in engine.jobs("one")[0].reason


def test_c3_a_stage_that_is_not_ready_gives_its_datum_back_and_recovers(engine: Rig) -> None:
    engine.repo("model")

    def stage(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        if inputs["model"]["/m"] != b"good":
            raise NotReadyError("model /m does not load")
        return copy(task, inputs)

    engine.code["detect"] = stage
    engine.put("model", {"/m": b"broken"})
    engine.pipeline("detect", {"cross": [pfs("images", "/*"), pfs("model", "/", reference=True)]})
    engine.put("images", {"/a": b"1"})
    for _ in range(2000):
        with engine.store.read() as rows:
            info = pipelines.inspect(rows, "detect")
        if info.state == "CRASHING":
            break
    assert "does not load" in info.reason
    engine.put("model", {"/m": b"good"})
    engine.settle()
    assert engine.tree("detect") == {"/a+all": b"images/a=1;model/m=good"}
    with engine.store.read() as rows:
        assert pipelines.inspect(rows, "detect").state in ("RUNNING", "STANDBY")


def test_c3_an_unknown_image_leaves_the_pipeline_crashing_with_the_line_to_add(
    engine: Rig,
) -> None:
    info = engine.pipeline("one", pfs("images", "/*"), image="unknown")
    with engine.store.read() as rows:
        info = pipelines.inspect(rows, "one")
    assert info.state == "CRASHING"
    assert "no host that serves image 'unknown'" in info.reason
    assert info.reason.endswith('here: add ["unknown"]')


def test_c3_a_server_that_runs_nothing_says_that_no_host_works_for_it(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnePool, "idle", True)
    monkeypatch.setattr(hosts, "ALONE", 1)
    engine.end()
    engine.begin()
    engine.working = False
    engine.loop.source.release(engine.worker, "gone").result()
    engine.pipeline("one", pfs("images", "/*"))
    with engine.store.read() as rows:
        assert pipelines.inspect(rows, "one").state != "CRASHING", "there is nothing to do yet"
    engine.put("images", {"/a": b"1"})

    def reason() -> str:
        with engine.store.read() as rows:
            info = pipelines.inspect(rows, "one")
        return info.reason if info.state == "CRASHING" else ""

    engine.wait_for(lambda: reason().startswith("no host works for this server"))
    engine.loop.source.register(engine.worker, "pool")
    engine.wait_for(lambda: not reason())


def test_c1_unfinished_jobs_go_on_after_a_restart(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    names = [engine.put("images", {f"/{n}": b"x"}) for n in range(20)]
    engine.end()
    engine.begin()
    engine.settle()
    assert len(engine.tree("two")) == 20
    assert [job.commit for job in reversed(engine.jobs("two"))] == names
    assert sorted(set(engine.ran)) == sorted(
        (p, f"/{n}") for p in ("one", "two") for n in range(20)
    )


def test_c2_a_late_answer_is_refused_and_three_lost_leases_fail_the_datum(engine: Rig) -> None:
    engine.working = False
    source = engine.loop.source
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    late: list[Result] = []

    def hang(task: Task, _: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
        late.append(Result(datum=task.datum, lease=task.lease, state="success"))
        source.release(engine.worker, "gone").result()
        source.register(engine.worker, "pool")
        raise ValueError("its lease is gone")

    engine.working = True
    engine.code["one"] = hang
    engine.put("images", {"/a": b"1"})
    engine.settle()
    assert len(engine.ran) == 3
    assert engine.jobs("one")[0].failed == 1
    assert source.report(engine.worker, late[:1]).result() == [late[0].lease]


def test_r9_counts_add_up_for_every_job(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.put("images", {"/a": b"1", "/b": b"bad"})
    engine.put("images", {"/c": b"1", "/a": b"2"})
    engine.put("images", {"/b": None})
    engine.settle()
    for job in engine.jobs():
        assert job.processed + job.skipped + job.failed + job.recovered == job.total
    assert [job.total for job in engine.jobs()] == [2, 3, 2]


def test_m3_a_datum_whose_files_clash_leaves_none_of_them(engine: Rig) -> None:
    engine.code["one"] = lambda task, _: (
        {"/x": b"1"} if task.inputs[0].path == "/a" else {"/k": b"2", "/x/y": b"2"}
    )
    engine.pipeline("one", pfs("images", "/*"), on_datum_failure="datum")
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    assert engine.tree("one") == {"/x": b"1"}
    with engine.store.read() as rows:
        assert commits.resolve(rows, "one", "master").files == 1
    assert engine.jobs("one")[0].failed == 1
