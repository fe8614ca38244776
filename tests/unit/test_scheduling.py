"""What the engine does with commits, datums and jobs, by the numbers of its semantics."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.rig import Rig, path_of, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model.errors import Conflict, InvalidSpec, NotFound
from vedette.scheduling import jobs, loop, pipelines


@pytest.fixture
def engine(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    with rig(tmp_path, rows) as made:
        made.repo("images")
        yield made


def test_t1_no_job_until_every_input_has_a_commit(engine: Rig) -> None:
    engine.repo("model")
    engine.pipeline("detect", {"cross": [pfs("images", "/*"), pfs("model", "/")]})
    engine.put("images", {"/a": b"1"})
    engine.settle()
    assert engine.jobs("detect") == []
    engine.put("model", {"/m": b"2"})
    engine.settle()
    assert [job.state for job in engine.jobs("detect")] == ["SUCCESS"]
    assert engine.tree("detect") == {"/a+all": b"images/a=1;model/m=2"}


def test_t2_a_diamond_reads_each_root_at_one_commit(engine: Rig) -> None:
    engine.pipeline("edges", pfs("images", "/*"))
    engine.pipeline("montage", {"cross": [pfs("edges", "/"), pfs("images", "/")]})
    ids = [engine.put("images", {f"/{n}": b"x"}) for n in range(8)]
    engine.settle()
    found = engine.jobs("montage")
    assert [job.commit for job in reversed(found)] == ids
    for job in found:
        assert {given.commit for given in job.inputs} == {job.commit}


def test_t3_one_global_id_ties_a_commit_to_all_that_it_causes(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    name = engine.put("images", {"/a": b"1"})
    engine.settle()
    with engine.store.read() as rows:
        assert [job.pipeline for job in jobs.of_commit(rows, name)] == ["one", "two"]
    assert engine.heads("two")[0] == name


def test_t4_creating_a_pipeline_on_existing_data_processes_the_head(engine: Rig) -> None:
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert len(engine.jobs("one")) == 1
    assert sorted(engine.tree("one")) == ["/a", "/b"]


def test_t4_since_a_commit_history_is_replayed_one_job_a_commit(engine: Rig) -> None:
    ids = [engine.put("images", {f"/{n}": b"x"}) for n in range(4)]
    document = {
        "pipeline": {"name": "one"}, "input": pfs("images", "/*"),
        "transform": {"image": "x", "cmd": ["x"]},
    }  # fmt: skip
    engine.loop.submit(partial(pipelines.create, document=document, since=ids[1])).result()
    engine.settle()
    assert [(job.commit, job.total) for job in reversed(engine.jobs("one"))] == [
        (ids[1], 2), (ids[2], 3), (ids[3], 4),
    ]  # fmt: skip
    assert len(engine.ran) == 4
    document["pipeline"] = {"name": "two"}
    with pytest.raises(NotFound, match="no input of pipeline two has a commit"):
        engine.loop.submit(partial(pipelines.create, document=document, since="0" * 32)).result()


def test_t4_history_is_that_of_the_branch_however_it_came_to_its_commits(engine: Rig) -> None:
    """T4, P8: of a branch that is only moved too, without what it was moved away from."""
    ids = [engine.put("images", {f"/{n}": b"x"}) for n in range(4)]
    engine.move("images", "master", ids[1])
    ids.append(engine.put("images", {"/other": b"x"}))
    engine.move("images", "staging", "master")
    document = {
        "pipeline": {"name": "one"}, "input": pfs("images", "/*", branch="staging"),
        "transform": {"image": "x", "cmd": ["x"]},
    }  # fmt: skip
    create = partial(pipelines.create, document=document)
    with pytest.raises(NotFound, match=f"no input of pipeline one has a commit {ids[2]}"):
        engine.loop.submit(partial(create, since=ids[2])).result()
    engine.loop.submit(partial(create, since="staging^2")).result()
    engine.settle()
    assert [(job.commit, job.total) for job in reversed(engine.jobs("one"))] == [
        (ids[0], 1), (ids[1], 2), (ids[4], 3),
    ]  # fmt: skip


def test_t5_a_commit_outside_the_glob_still_makes_a_job_that_skips_all(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/a/*"))
    engine.put("images", {"/a/x": b"1"})
    engine.put("images", {"/b/y": b"1"})
    engine.settle()
    newest = engine.jobs("one")[0]
    assert (newest.total, newest.processed, newest.skipped) == (1, 0, 1)


def test_t7_a_failed_job_makes_those_below_unrunnable_and_the_next_starts_from_the_good_one(
    engine: Rig,
) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.put("images", {"/b": b"bad"})
    engine.settle()
    assert engine.jobs("one")[0].state == "FAILURE"
    below = engine.jobs("two")[0]
    assert below.state == "UNRUNNABLE"
    assert "one@" in below.reason
    engine.put("images", {"/b": b"2", "/c": b"3"})
    engine.settle()
    newest = engine.jobs("one")[0]
    assert (newest.state, newest.total, newest.processed) == ("SUCCESS", 3, 2)
    assert sorted(engine.tree("two")) == ["/a", "/b", "/c"]


def test_s1_a_deleted_file_takes_its_datum_and_its_output_with_it(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.put("images", {"/a": None})
    engine.settle()
    assert engine.tree("one") == {"/b": b"images/b=2"}
    assert engine.jobs("one")[0].total == 1


def test_s2_content_that_comes_back_is_not_computed_again(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    for content in (b"A", b"B", b"A"):
        engine.put("images", {"/a": content})
        engine.settle()
    assert engine.ran == [("one", "/a"), ("one", "/a")]
    assert engine.jobs("one")[0].skipped == 1
    assert engine.tree("one") == {"/a": b"images/a=A"}


def test_s3_equal_output_runs_nothing_below(engine: Rig) -> None:
    engine.code["one"] = lambda task, _: {path_of(task): b"same"}
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    engine.put("images", {"/a": b"1"})
    engine.put("images", {"/a": b"2"})
    engine.settle()
    assert engine.ran.count(("two", "/a")) == 1
    assert engine.jobs("two")[0].skipped == 1


def test_s5_a_new_model_runs_all_pictures_and_a_new_picture_one(engine: Rig) -> None:
    engine.repo("model")
    engine.put("model", {"/m": b"1"})
    engine.pipeline("detect", {"cross": [pfs("images", "/*"), pfs("model", "/")]})
    engine.put("images", {f"/{n}": b"x" for n in range(5)})
    engine.put("images", {"/new": b"x"})
    engine.settle()
    assert len(engine.ran) == 6
    engine.put("model", {"/m": b"2"})
    engine.settle()
    assert len(engine.ran) == 12
    assert engine.jobs("detect")[0].processed == 6


def test_s5_a_model_by_reference_applies_from_the_next_picture_on(engine: Rig) -> None:
    engine.repo("model")
    engine.put("model", {"/m": b"1"})
    engine.pipeline("detect", {"cross": [pfs("images", "/*"), pfs("model", "/", reference=True)]})
    engine.put("images", {"/a": b"x"})
    engine.put("model", {"/m": b"2"})
    engine.put("images", {"/b": b"x"})
    engine.settle()
    assert engine.tree("detect") == {
        "/a+all": b"images/a=x;model/m=1",
        "/b+all": b"images/b=x;model/m=2",
    }


def test_u1_an_update_keeps_what_is_done_and_reprocess_runs_all_again(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    assert engine.pipeline("one", pfs("images", "/*"), update=True).version == 2
    engine.settle()
    assert (len(engine.ran), engine.jobs("one")[0].skipped) == (2, 2)
    engine.pipeline("one", pfs("images", "/*"), update=True, reprocess=True)
    engine.settle()
    assert (len(engine.ran), engine.jobs("one")[0].processed) == (4, 2)


def test_u1_an_update_of_the_glob_drops_what_no_longer_belongs(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"1", "/b": b"2"})
    engine.settle()
    engine.pipeline("one", pfs("images", "/a"), update=True)
    engine.settle()
    assert sorted(engine.tree("one")) == ["/a"]
    assert len(engine.ran) == 2


def test_d8_a_pipeline_deleted_and_created_again_inherits_nothing(engine: Rig) -> None:
    engine.put("images", {"/a": b"1"})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one")).result()
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert len(engine.ran) == 2


def test_d8_numbers_of_deleted_jobs_do_not_come_back(engine: Rig) -> None:
    engine.put("images", {"/a": b"1"})
    engine.pipeline("p", pfs("images", "/*"))
    engine.settle()
    (first,) = [job.number for job in engine.jobs("p")]
    engine.loop.submit(lambda tx: pipelines.delete(tx, "p")).result()
    engine.end()
    engine.begin()
    engine.pipeline("q", pfs("images", "/*"))
    engine.settle()
    assert [job.number for job in engine.jobs("q")] == [first + 1]


def test_u2_u4_u6_creation_and_deletion_are_checked(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.pipeline("two", pfs("one", "/*"))
    with pytest.raises(Conflict, match="update-pipeline"):
        engine.pipeline("one", pfs("images", "/*"))
    with pytest.raises(Conflict, match="two"):
        engine.loop.submit(lambda tx: pipelines.delete(tx, "one")).result()
    with pytest.raises(InvalidSpec, match="did you mean images"):
        engine.pipeline("three", pfs("imagse", "/*"))
    with pytest.raises(InvalidSpec, match="own output"):
        engine.pipeline("one", pfs("two", "/*"), update=True)


def test_t6_a_rate_trigger_follows_a_stream_at_its_own_pace(engine: Rig) -> None:
    engine.pipeline("slow", pfs("images", "/", trigger={"rate": "1s"}))
    for n in range(10):
        engine.put("images", {f"/{n}": b"x"})
    engine.settle()
    assert len(engine.jobs("slow")) == 2
    assert engine.heads("slow")[0] == engine.heads("images")[0]
    assert engine.tree("slow")["/all"].count(b"=x") == 10


def test_g3_a_directory_match_is_one_datum_and_runs_again_when_something_below_changes(
    engine: Rig,
) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/d/a": b"1", "/e/b": b"2"})
    engine.put("images", {"/d/c": b"3"})
    engine.settle()
    assert engine.ran == [("one", "/d"), ("one", "/e"), ("one", "/d")]
    assert engine.tree("one")["/d"] == b"images/d/a=1;images/d/c=3"
    engine.put("images", {"/e/b": None})
    engine.settle()
    assert sorted(engine.tree("one")) == ["/d"]


def test_s6_every_job_skips_nothing(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"), reprocess_spec="every_job")
    engine.put("images", {"/a": b"1"})
    engine.put("images", {"/b": b"2"})
    engine.settle()
    assert len(engine.ran) == 3
    assert engine.jobs("one")[0].processed == 2
    assert sorted(engine.tree("one")) == ["/a", "/b"]


def test_s6_code_counts_only_where_the_spec_asks(engine: Rig) -> None:
    """S6, S2: and code that ran once need not run again when it is taken back."""
    engine.put("images", {"/a": b"1"})
    for asks, runs in ((True, 5), (False, 1)):
        name = f"asks-{asks}"
        for version, more in (
            ("x:1", {}), ("x:2", {}), ("x:1", {}), ("x:1", {"env": {"A": "1"}}),
            ("x:1", {"stdin": ["y"]}), ("x:1", {"cmd": ["y"]}), ("x:1", {"env": {"A": "1"}}),
        ):  # fmt: skip
            document = {
                "pipeline": {"name": name}, "input": pfs("images", "/*"),
                "transform": {"image": version, "cmd": ["x"], **more},
                **({"reprocess": "on_code_change"} if asks else {}),
            }  # fmt: skip
            engine.loop.submit(partial(pipelines.create, document=document, update=True)).result()
            engine.settle()
        assert [pipeline for pipeline, _ in engine.ran].count(name) == runs


def test_d3_a_job_of_many_datums_is_found_over_several_rounds(
    engine: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BUDGET", 50)
    engine.put("images", {f"/{n}": b"x" for n in range(320)})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert engine.jobs("one")[0].processed == 320
    engine.pipeline("one", pfs("images", "/*"), update=True)
    engine.settle()
    assert (engine.jobs("one")[0].total, engine.jobs("one")[0].skipped) == (320, 320)


def test_g3_the_root_is_one_datum_even_of_a_commit_without_files(engine: Rig) -> None:
    engine.repo("devices")
    engine.put("devices", {"/a": b"1"})
    engine.put("devices", {"/a": None})
    engine.pipeline("plot", {"cross": [pfs("images", "/"), pfs("devices", "/")]})
    engine.put("images", {"/x": b"1"})
    engine.settle()
    assert engine.tree("plot") == {"/all+all": b"images/x=1"}
    engine.put("images", {"/x": None})
    engine.settle()
    assert engine.tree("plot") == {"/all+all": b""}
