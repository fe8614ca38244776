"""vedette.testing: a spec and its code are tried without a server, a disk or time."""

from __future__ import annotations

from typing import Any

import pytest

from vedette.model.errors import Conflict, NotFound, PathConflict
from vedette.stage import Datum
from vedette.testing.model import Inputs, Model, Recovered, of_stage


def spec(name: str, source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    transform = {"cmd": ["any"]}
    return {"pipeline": {"name": name}, "transform": transform, "input": source, **fields}


def pfs(repo: str, glob: str = "/*", **fields: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": glob, **fields}}


def upper(datum: Datum) -> None:
    for given in datum.inputs.values():
        for file in given.files:
            if not file.read():
                raise ValueError("an empty file")
            datum.write(file.path, file.read().upper())


def together(inputs: Inputs) -> dict[str, bytes]:
    found = sorted((name, path, data) for name, files in inputs.items()
                   for path, data in files.items())  # fmt: skip
    name = "-".join(f"{name}{path.replace('/', '.')}" for name, path, _ in found)
    return {f"/{name}": b"+".join(data for _, _, data in found)}


def test_a_commit_has_caused_everything_when_the_call_returns() -> None:
    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec("edges", pfs("images")), of_stage(upper))
    world.create_pipeline(
        spec("montage", {"cross": [pfs("images", "/"), pfs("edges", "/")]}), together
    )
    first = world.commit({"images": {"/a": b"x", "/b": b"y"}})
    assert world.files("edges") == {"/a": b"X", "/b": b"Y"}
    world.commit({"images": {"/a": b"z"}})
    # T2: through the diamond each commit gives one job, which reads one commit of the root.
    jobs = world.jobs("montage")
    assert jobs[0].id == first
    assert len(jobs) == 2
    for job in jobs:
        images, edges = job.inputs
        assert images.id == edges.id
    # S1: only the changed picture ran again.
    job = world.jobs("edges")[-1]
    assert (job.processed, job.skipped, job.total) == (1, 1, 2)
    assert world.ran["edges"] == 3


def test_a_failure_is_seen_below_and_the_next_good_commit_goes_on() -> None:
    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec("edges", pfs("images")), of_stage(upper))
    world.create_pipeline(spec("copies", pfs("edges")), together)
    world.commit({"images": {"/a": b"x"}})
    world.commit({"images": {"/b": b""}})
    assert [job.state for job in world.jobs("edges")] == ["SUCCESS", "FAILURE"]
    assert [job.state for job in world.jobs("copies")] == ["SUCCESS", "UNRUNNABLE"]
    assert world.files("edges") == {"/a": b"X"}
    world.commit({"images": {"/b": b"y"}})
    assert world.files("copies") == {"/edges.a": b"X", "/edges.b": b"Y"}


def test_what_was_done_once_is_not_done_again_after_a_revert() -> None:
    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec("edges", pfs("images")), of_stage(upper))
    for data in (b"one", b"two", b"one"):
        world.commit({"images": {"/a": data}})
    assert world.ran["edges"] == 2
    assert world.jobs("edges")[-1].skipped == 1


def test_a_recovered_datum_has_no_output_and_runs_again_next_time() -> None:
    def code(_: Inputs) -> dict[str, bytes]:
        raise Recovered

    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec("edges", pfs("images")), code)
    world.commit({"images": {"/a": b"x"}})
    world.commit({"images": {"/b": b"x"}})
    assert [(job.recovered, job.total) for job in world.jobs("edges")] == [(1, 1), (2, 2)]
    assert world.files("edges") == {}


def test_two_datums_that_write_one_path_fail_the_job_unless_the_spec_says_how() -> None:
    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec("error", pfs("images")), lambda _: {"/one": b"1"})
    world.create_pipeline(
        spec("concat", pfs("images"), output_conflict="concat"), lambda _: {"/one": b"1"}
    )
    world.commit({"images": {"/a": b"x", "/b": b"x"}})
    assert world.jobs("error")[-1].state == "FAILURE"
    assert "two datums" in world.jobs("error")[-1].reason
    assert world.files("concat") == {"/one": b"11"}


def test_a_join_meets_on_its_key_and_an_outer_side_stands_alone() -> None:
    world = Model()
    for name in ("left", "right"):
        world.create_repo(name)
    sides = [pfs("left", "/(*).a", join_on="$1", outer_join=True),
             pfs("right", "/(*).b", join_on="$1")]  # fmt: skip
    world.create_pipeline(spec("both", {"join": sides}), together)
    world.commit({"left": {"/1.a": b"l1", "/2.a": b"l2"}, "right": {"/1.b": b"r1", "/3.b": b"r3"}})
    assert world.files("both") == {"/left.1.a-right.1.b": b"l1+r1", "/left.2.a": b"l2"}


def test_faults_are_those_of_the_platform() -> None:
    world = Model()
    world.create_repo("images")
    with pytest.raises(Conflict):
        world.create_repo("images")
    with pytest.raises(NotFound, match="nowhere"):
        world.commit({"nowhere": {"/a": b""}})
    with pytest.raises(NotFound, match="nowhere"):
        world.create_pipeline(spec("p", pfs("nowhere")), together)
    world.commit({"images": {"/a/b": b""}})
    with pytest.raises(PathConflict, match="/a would be"):
        world.commit({"images": {"/a": b""}})
    world.create_pipeline(spec("p", pfs("images")), together)
    with pytest.raises(Conflict, match="output of a pipeline"):
        world.commit({"p": {"/a": b""}})


def test_a_stopped_pipeline_makes_one_job_when_it_goes_on() -> None:
    world = Model()
    world.create_repo("images")
    world.create_pipeline(spec("edges", pfs("images")), of_stage(upper))
    world.stop_pipeline("edges")
    for number in range(3):
        world.commit({"images": {f"/{number}": b"x"}})
    assert world.jobs("edges") == []
    world.start_pipeline("edges")
    assert [job.total for job in world.jobs("edges")] == [3]
