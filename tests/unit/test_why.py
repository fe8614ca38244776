"""From a file, a datum or a job back to what it came from (ENGINE T3, D8, S1 to S3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rig import Rig, path_of, pfs, rig

from vedette.model.api import DatumWhy, FileWhy, JobWhy
from vedette.model.errors import NotFound
from vedette.scheduling import datums, history, jobs, pipelines, why
from vedette.versioning import commits, repos, squash


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.repo("images")
        made.repo("model")
        yield made


def of_file(engine: Rig, repo: str, path: str, ref: str = "master") -> FileWhy:
    with engine.store.read() as rows:
        return why.of_file(rows, repo, ref, path)


def of_job(engine: Rig, name: str) -> JobWhy:
    with engine.store.read() as rows:
        return why.of_job(rows, name)


def of_datum(engine: Rig, number: int, job: str = "") -> DatumWhy:
    with engine.store.read() as rows:
        return why.of_datum(rows, number, job)


def provenance(engine: Rig, repo: str) -> tuple[str, ...]:
    with engine.store.read() as rows:
        return commits.info(rows, commits.resolve(rows, repo, "master")).provenance


def test_t3_a_job_names_the_commit_that_woke_it_and_the_input_that_is_new(engine: Rig) -> None:
    model = engine.put("model", {"/m": b"1"})
    engine.pipeline("one", {"cross": [pfs("images", "/*"), pfs("model", "/")]})
    first = engine.put("images", {"/a": b"1"})
    engine.settle()
    second = engine.put("images", {"/b": b"1"})
    engine.settle()
    newest, before = engine.jobs("one")
    found = of_job(engine, newest.id)
    assert found.roots == (f"images@{second}",)
    assert (found.base, found.changed) == (before.id, ("images",))
    assert found.told[0].endswith(f"was woken by images@{second}")
    assert found.told[2] == f"against job {before.id}, from which images differs"
    assert found.told[3].startswith("SUCCESS: of 2 datums 1 ran, 1 were skipped")
    assert of_job(engine, f"one@{first}").job.id == before.id
    assert provenance(engine, "one") == (f"images@{second}", f"model@{model}")
    assert provenance(engine, "images") == ()


def test_t3_a_job_without_a_commit_names_the_version_or_a_command(engine: Rig) -> None:
    engine.put("images", {"/a": b"1"})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    assert of_job(engine, engine.jobs("one")[0].id).told[0].endswith("version 1 was new")
    number = next(iter(datum_numbers(engine)))
    engine.loop.submit(lambda tx: datums.restart(tx, number)).result()
    engine.settle()
    assert "by a command: restart-datum" in of_job(engine, engine.jobs("one")[0].id).told[0]


def datum_numbers(engine: Rig) -> list[int]:
    with engine.store.read() as rows:
        listed = [jobs.inspect(rows, job.id) for job in reversed(engine.jobs("one"))]
        return [d.number for job in listed for d in datums.of_job(rows, job.id)]


def test_s1_a_datum_says_which_input_changed(engine: Rig) -> None:
    engine.put("model", {"/m": b"1"})
    engine.pipeline("one", {"cross": [pfs("images", "/*"), pfs("model", "/*")]})
    engine.put("images", {"/a": b"1"})
    engine.put("model", {"/m": b"2"})
    engine.settle()
    first, second = datum_numbers(engine)
    assert "it ran because it was new" in of_datum(engine, first).told[1]
    found = of_datum(engine, second)
    assert found.changed == ("model",)
    assert found.told[1] == f"it ran because model changed since datum {first} (version 1)"


def test_s2_a_datum_says_what_a_job_did_with_it(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    for content in (b"A", b"B", b"A"):
        engine.put("images", {"/a": content})
        engine.settle()
    engine.put("images", {"/b": b"C"})
    engine.settle()
    names = [job.id for job in reversed(engine.jobs("one"))]
    first, _second, again, _ = datum_numbers(engine)
    assert again == first
    assert of_datum(engine, first, names[0]).told[-1].endswith("the datum ran in it")
    assert "was skipped in it: its result was there" in of_datum(engine, first, names[2]).told[-1]
    assert "skipped unseen" in of_datum(engine, first, names[3]).told[-1]
    with pytest.raises(NotFound):
        of_datum(engine, first, "0" * 32)


def test_a_reprocessed_datum_says_that_nothing_of_before_counted(engine: Rig) -> None:
    engine.put("images", {"/a": b"1"})
    engine.pipeline("one", pfs("images", "/*"))
    engine.settle()
    engine.pipeline("one", pfs("images", "/*"), update=True, reprocess=True)
    engine.settle()
    _, second = datum_numbers(engine)
    found = of_datum(engine, second)
    assert "because nothing of before counted as done" in found.told[1]
    assert found.version == 2


def test_a_failed_datum_says_so(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    engine.put("images", {"/a": b"bad"})
    engine.settle()
    [number] = engine.failed("one")
    assert "has it FAILED in job" in of_datum(engine, number).told[2]
    assert of_datum(engine, number).told[2].endswith("bad content")


def test_a_file_names_its_commit_datum_job_version_and_inputs(engine: Rig) -> None:
    engine.pipeline("one", pfs("images", "/*"))
    made = engine.put("images", {"/a": b"1"})
    engine.put("images", {"/b": b"1"})
    engine.settle()
    found = of_file(engine, "one", "/a")
    assert found.commit == f"one@{made}", "the commit that wrote it, not the newest"
    assert found.datum is not None and found.job is not None
    assert [given.path for given in found.datum.inputs] == ["/a"]
    assert found.job.commit == made
    assert f"that job read images@{made}" in found.told
    own = of_file(engine, "images", "/a")
    assert (own.commit, own.datum, own.job) == (f"images@{made}", None, None)
    assert own.told[1] == f"it was put by commit images@{made}"
    engine.put("images", {"/d/x": b"1"})
    with pytest.raises(NotFound, match="is a directory"):
        of_file(engine, "images", "/d")
    with pytest.raises(NotFound):
        of_file(engine, "images", "/none")


def test_a_file_that_was_taken_from_a_result_names_the_job_that_made_it(engine: Rig) -> None:
    engine.code["one"] = lambda task, _: {path_of(task): b"x"}
    engine.pipeline("one", pfs("images", "/*"))
    first = engine.put("images", {"/a": b"1"})
    engine.settle()
    engine.put("images", {"/a": None})
    engine.settle()
    third = engine.put("images", {"/a": b"1"})
    engine.settle()
    found = of_file(engine, "one", "/a")
    assert found.commit == f"one@{third}"
    assert found.job is not None and found.job.commit == first


def test_k1_where_output_came_from_stays_known_when_its_job_is_forgotten(engine: Rig) -> None:
    """K1, T3: jobs and records of datums go after their time, the provenance of commits does not,
    also where the pipeline is deleted and its repo kept; with the commit it goes too."""
    engine.pipeline("one", pfs("images", "/*"))
    first = engine.put("images", {"/a": b"1"})
    engine.settle()
    second = engine.put("images", {"/a": b"2"})
    engine.settle()

    def listed() -> list[tuple[str, tuple[str, ...]]]:
        with engine.store.read() as rows:
            found = commits.listing(rows, repos.get(rows, "one").id)
            return [(each.id, commits.info(rows, each).provenance) for each in found]

    known = [(second, (f"images@{second}",)), (first, (f"images@{first}",))]
    assert listed() == known
    nothing = history.Keep(jobs=0.0, failed=0.0)
    while engine.loop.submit(lambda tx: history.forget_jobs(tx, nothing)).result():
        pass
    assert len(engine.jobs("one")) == 1
    assert listed() == known
    with engine.store.read() as rows:
        told = why.of_file(rows, "one", first, "/a").told
        assert told[-1] == f"that commit came from images@{first}"
    engine.loop.submit(lambda tx: pipelines.delete(tx, "one", keep_repo=True)).result()
    assert listed() == known
    engine.loop.submit(lambda tx: squash.squash_set(tx, first)).result()
    assert listed() == known[:1]
    with engine.store.read() as rows:
        assert rows.one("inputs_of_commit", num=commits.resolve(rows, "one", "master").num)
