"""Outputs that are copied outside: spec field `egress`."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from tests.object_servers import KEY, SECRET, ObjectServer
from tests.rig import Rig, pfs, rig

from vedette.metadata.store import MetadataStore
from vedette.model import egress
from vedette.model.errors import Conflict, Invalid, InvalidSpec
from vedette.model.pipeline import Egress
from vedette.model.spec import parse_spec
from vedette.objects.bucket import Bucket
from vedette.objects.outside import Fill, OutsideFolder
from vedette.scheduling import history, jobs, life
from vedette.scheduling.egress import TRIES, Carriers
from vedette.versioning import squash
from vedette.versioning.refs import resolve
from vedette.worker.pieces import PIECE


@pytest.fixture
def engine(tmp_path: Path, rows: MetadataStore) -> Iterator[Rig]:
    (tmp_path / "engine").mkdir()
    with rig(tmp_path / "engine", rows) as made:
        yield made


def carried(engine: Rig, *roots: str) -> Carriers:
    made = Carriers(engine.loop, roots, engine.folder / "egress", pause=lambda _: None)
    made.start()
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_new_output_is_copied_and_what_is_there_already_is_not(engine: Rig, tmp_path: Path) -> None:
    """A job is EGRESSING until its files are outside; a deleted file stays outside."""
    out = tmp_path / "out"
    carriers = carried(engine, str(tmp_path))
    try:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": f"file://{out}/deep"})
        engine.put("images", {"/a": b"1", "/b": b"2"})
        engine.settle()
        assert tree(out / "deep") == {path[1:]: data for path, data in engine.tree("p").items()}
        (out / "deep" / "a").unlink()
        engine.put("images", {"/b": b"3", "/c": b"4"})
        engine.put("images", {"/b": None})
        engine.settle()
        assert sorted(tree(out / "deep")) == ["b", "c"]
        assert {job.state for job in engine.jobs("p")} == {"SUCCESS"}
        assert all(job.finished is not None for job in engine.jobs("p"))
    finally:
        carriers.stop()


def test_what_cannot_be_copied_fails_the_job_and_later_comes_with_the_next(
    engine: Rig, tmp_path: Path
) -> None:
    """The output commit stays and the pipelines below have read it; the next job copies both."""
    out = tmp_path / "out"
    out.write_bytes(b"a file where a folder should be")
    carriers = carried(engine, str(tmp_path))
    try:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": f"file://{out}"})
        engine.pipeline("below", pfs("p", "/*"))
        engine.put("images", {"/a": b"1"})
        engine.settle()
        (job,) = engine.jobs("p")
        assert (job.state, job.processed) == ("FAILURE", 1)
        assert (
            f"egress failed {TRIES} times, its output commit stays: egress to file://" in job.reason
        )
        assert list(engine.tree("below")) == ["/a"]
        out.unlink()
        engine.end()
        carriers.stop()
        engine.begin()
        carriers = carried(engine, str(tmp_path))
        engine.put("images", {"/b": b"2"})
        engine.settle()
        assert sorted(tree(out)) == ["a", "b"]
        newest = engine.jobs("p")[0]
        assert (newest.state, newest.processed, newest.skipped, newest.total) == (
            "SUCCESS",
            1,
            1,
            2,
        )
    finally:
        carriers.stop()


@pytest.mark.parametrize("how", ["failed", "stopped"])
def test_k1_a_job_whose_output_was_not_copied_is_kept_while_the_next_is_compared_with_it(
    engine: Rig, tmp_path: Path, how: str
) -> None:
    """K1: its output commit is finished, so it is the newest good one, FAILURE or KILLED; the
    SUCCESS before it may go, and what it read may not be squashed."""
    out = tmp_path / "out"
    waits, goes = threading.Event(), threading.Event()

    def pause(_: float) -> None:
        waits.set()
        assert goes.wait(60)

    carriers = Carriers(engine.loop, [str(tmp_path)], engine.folder / "egress", pause=pause)
    carriers.start()
    try:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": f"file://{out}"})
        engine.put("images", {"/a": b"1"})
        engine.settle()
        (out / "a").unlink()
        out.rmdir()
        out.write_bytes(b"a file where a folder should be")
        read = engine.put("images", {"/b": b"2"})
        assert waits.wait(60)
        parent = engine.jobs("p")[0]
        if how == "stopped":
            engine.loop.submit(lambda tx: jobs.stop(tx, parent.id)).result()
        goes.set()
        engine.settle()
        assert [job.state for job in engine.jobs("p")] == [
            "KILLED" if how == "stopped" else "FAILURE", "SUCCESS",
        ]  # fmt: skip
        with pytest.raises(Conflict, match="with which the next is compared"):
            engine.loop.submit(lambda tx: history.forget_job(tx, parent.id)).result()
        nothing = history.Keep(jobs=0.0, failed=0.0)
        while engine.loop.submit(lambda tx: history.forget_jobs(tx, nothing)).result():
            pass
        assert [job.id for job in engine.jobs("p")] == [parent.id]
        engine.loop.submit(lambda tx: life.stop(tx, "p")).result()
        engine.put("images", {"/c": b"3"})
        with pytest.raises(Conflict, match=f"job {parent.id} of pipeline p"):
            engine.loop.submit(
                lambda tx: squash.squash(tx, resolve(tx.rows, "images", read))
            ).result()
    finally:
        goes.set()
        carriers.stop()


def test_u5_stopping_a_job_ends_its_copying_and_its_output_stays(
    engine: Rig, tmp_path: Path
) -> None:
    """U5: the job is KILLED, its output commit is what the next builds on and copies with its own;
    what waited behind it goes on at once."""
    out = tmp_path / "out"
    out.write_bytes(b"a file where a folder should be")
    waits, goes = threading.Event(), threading.Event()

    def pause(_: float) -> None:
        waits.set()
        assert goes.wait(60)

    carriers = Carriers(engine.loop, [str(tmp_path)], engine.folder / "egress", pause=pause)
    carriers.start()
    try:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": f"file://{out}"})
        engine.put("images", {"/a": b"1"})
        assert waits.wait(60)
        (job,) = engine.jobs("p")
        assert job.state == "EGRESSING"
        engine.loop.submit(lambda tx: jobs.stop(tx, job.id)).result()
        (job,) = engine.jobs("p")
        assert (job.state, job.finished is not None) == ("KILLED", True)
        assert job.reason.endswith("while its output was copied; its output commit stays")
        assert list(engine.tree("p")) == ["/a"]
        with pytest.raises(Conflict, match="has ended already"):
            engine.loop.submit(lambda tx: jobs.stop(tx, job.id)).result()
        out.unlink()
        goes.set()
        engine.put("images", {"/b": b"2"})
        engine.settle()
        assert sorted(tree(out)) == ["a", "b"]
        newest, old = engine.jobs("p")
        assert (newest.state, newest.processed, newest.skipped) == ("SUCCESS", 1, 1)
        assert old == job
    finally:
        goes.set()
        carriers.stop()


def test_u5_a_job_that_is_stopped_copies_no_further_file(
    engine: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U5: it ends after the file under way, and leaves the rest to the next job."""
    first, goes = threading.Event(), threading.Event()
    put = OutsideFolder.put

    def slow(self: OutsideFolder, path: str, fill: Fill) -> None:
        put(self, path, fill)
        if path == "/a":
            first.set()
            assert goes.wait(60)

    monkeypatch.setattr(OutsideFolder, "put", slow)
    out = tmp_path / "out"
    carriers = carried(engine, str(tmp_path))
    try:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": f"file://{out}"})
        engine.put("images", {"/a": b"1", "/b": b"2"})
        assert first.wait(60)
        engine.loop.submit(lambda tx: jobs.stop(tx, engine.jobs("p")[0].id)).result()
        goes.set()
        engine.settle()
    finally:
        goes.set()
        carriers.stop()
    assert sorted(tree(out)) == ["a"]
    assert engine.jobs("p")[0].state == "KILLED"


def test_c1_copying_goes_on_where_the_server_ended(engine: Rig, tmp_path: Path) -> None:
    """C1: the job is EGRESSING meanwhile, and datums do not run again."""
    out = tmp_path / "out"
    engine.repo("images")
    engine.pipeline("p", pfs("images", "/*"), egress={"URL": f"file://{out}"})
    engine.put("images", {f"/{n:03}": b"x" for n in range(450)})
    reached = threading.Event()
    engine.loop.listen(
        lambda events: reached.set() if any(e.state == "EGRESSING" for e in events) else None
    )
    assert reached.wait(60)
    ran = len(engine.ran)
    assert engine.jobs("p")[0].state == "EGRESSING"
    engine.end()
    engine.begin()
    carriers = carried(engine, str(tmp_path))
    try:
        engine.settle()
        assert len(tree(out)) == 450
        assert (engine.jobs("p")[0].state, len(engine.ran)) == ("SUCCESS", ran)
    finally:
        carriers.stop()


def test_a_bucket_takes_outputs_with_the_credentials_of_a_secret(
    engine: Rig, tmp_path: Path, moto: ObjectServer
) -> None:
    """What the spec, the rows and the log hold has no credentials."""
    place = moto.place()
    values = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
              "AWS_ENDPOINT_URL": moto.endpoint, "AWS_REGION": "us-east-1"}  # fmt: skip
    for name, value in values.items():
        engine.loop.submit(
            lambda tx, name=name, value=value: tx.rows.run(  # type: ignore[misc]
                "secret_put", name="mine", key=name, value=value.encode(), created=tx.now
            )
        ).result()
    carriers = carried(engine)
    try:
        engine.repo("images")
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": place, "secret": "mine"})
        engine.put("images", {"/a": b"1", "/b": b"2" * 50_000})
        engine.settle()
        assert [job.state for job in engine.jobs("p")] == ["SUCCESS"], engine.jobs("p")[0].reason
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        store = S3Store(
            bucket, prefix=prefix, endpoint=moto.endpoint, access_key_id=KEY,
            secret_access_key=SECRET, region="us-east-1", client_options={"allow_http": True},
        )  # fmt: skip
        found = {each["path"]: each["size"] for page in obstore.list(store) for each in page}
        assert {name: size > 0 for name, size in found.items()} == {"a": True, "b": True}
    finally:
        carriers.stop()


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_large_file_is_copied_in_pieces(
    engine: Rig, tmp_path: Path, moto: ObjectServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Whatever its size, no more than a piece of it is in memory (issue: bounded everywhere)."""
    place = f"file://{tmp_path}/out" if kind == "folder" else moto.place()
    for key, value in moto.environ.items():
        monkeypatch.setenv(key, value)
    data = random.Random(7).randbytes(20 << 20)
    asked: list[int | None] = []
    read = engine.objects.read

    def watched(*given: Any) -> bytes:
        if threading.current_thread().name == "vedette-egress":
            asked.append(given[4] if len(given) > 4 else None)
        return read(*given)

    monkeypatch.setattr(engine.objects, "read", watched)
    carriers = carried(engine, str(tmp_path), place)
    try:
        engine.repo("images")
        engine.code["p"] = lambda task, inputs: {"/large": data}
        engine.pipeline("p", pfs("images", "/*"), egress={"URL": place})
        engine.put("images", {"/a": b"1"})
        engine.settle()
        assert [job.state for job in engine.jobs("p")] == ["SUCCESS"], engine.jobs("p")[0].reason
    finally:
        carriers.stop()
    assert len(asked) == 20
    assert set(asked) == {PIECE}
    if kind == "folder":
        assert (tmp_path / "out" / "large").read_bytes() == data
    else:
        assert Bucket(place).read("large", 0, len(data) + 1) == data


@pytest.mark.parametrize(("url", "secret", "roots", "fits"), [
    ("file:///srv/out/a", "", ["/srv/out"], True),
    ("file:///srv/out", "", ["/srv/out/"], True),
    ("file:///srv/outside", "", ["/srv/out"], False),
    ("file:///srv/out/a", "", [], False),
    ("file:///srv/out/a", "", ["s3://srv/out"], False),
    ("s3://b/x/y", "", ["s3://b/x"], True),
    ("s3://b/xy", "", ["s3://b/x"], False),
    ("s3://b/x", "", [], False),
    ("s3://b/x", "mine", [], True),
])  # fmt: skip
def test_only_places_that_the_settings_name_are_written_to(
    url: str, secret: str, roots: list[str], fits: bool
) -> None:
    target = Egress(url=url, secret=secret)
    if fits:
        egress.check(target, roots)
    else:
        with pytest.raises(Invalid, match=r"none of egress_roots|for egress_roots"):
            egress.check(target, roots)


@pytest.mark.parametrize("url", [
    "gs://b/x", "file://host/x", "file:///", "file:///a/../b", "file:///a/%2e%2e/b", "s3://",
    "s3://key:secret@b/x", "s3://b/x?key=1", "/srv/out", 7,
])  # fmt: skip
def test_an_address_that_is_no_place_is_refused(url: object) -> None:
    """U6."""
    document = {"pipeline": {"name": "p"}, "transform": {"cmd": ["x"]}, "egress": {"URL": url},
                "input": {"pfs": {"repo": "r", "glob": "/"}}}  # fmt: skip
    with pytest.raises(InvalidSpec, match=r"egress\.URL"):
        parse_spec(document)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere" / "x", tmp_path / "out" / "f")
    place = OutsideFolder(str(tmp_path / "out"))

    def one(descriptor: int) -> None:
        os.write(descriptor, b"1")

    with pytest.raises(Invalid, match="leads out"):
        place.put("/d/x", one)
    place.put("/f", one)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "out" / "f").read_bytes() == b"1"
