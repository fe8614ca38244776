"""One machine for good: copies are made while the server works, and are whole (ENGINE C1, K3)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.program import PROGRAM, Server, environment, run, serving

from vedette.backends import keep
from vedette.metadata.sqlite import SqliteStore
from vedette.model.errors import Conflict, Corrupt, Invalid
from vedette.versioning.backup import backup, copying, deleting, restore

SPEC = {
    "pipeline": {"name": "noted"},
    "transform": {"cmd": ["python", "-m", "vedette.stage", "vedette.testing.stages:note"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}
SIZES = (100, 20_000, 70_000, 1_100_000)


@contextmanager
def writing(server: Server) -> Iterator[dict[str, bytes]]:
    """Files are put all the time meanwhile; those that were acknowledged."""
    kept: dict[str, bytes] = {}
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            data = os.urandom(SIZES[number % len(SIZES)])
            server.put("images", f"/w{number}", data)
            kept[f"/w{number}"] = data
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield kept
    finally:
        stop.set()
        thread.join()


def begun(server: Server, tmp_path: Path) -> None:
    server("create-repo", "images")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    server("create-pipeline", "-f", tmp_path / "spec.json")


def test_a_copy_made_under_load_is_the_installation_at_one_instant(tmp_path: Path) -> None:
    copy, again = tmp_path / "copy", tmp_path / "again"
    with serving(tmp_path / "data") as server:
        begun(server, tmp_path)
        for number, size in enumerate(SIZES):
            server.put("images", f"/{number}", os.urandom(size))
        with writing(server) as kept:
            while len(kept) < 8:
                server.get("/v1/version")
            before = dict(kept)
            first = server("backup", copy, "--data", server.data)
            between = dict(kept)
            second = server("backup", copy, "--data", server.data)
        assert "objects" in first.out and "of it new" in second.out
        assert server("backup", copy, "--data", server.data).code == 0
        third = server("backup", copy, "--data", server.data)
        assert third.out.rstrip().endswith("0B of it new")
        server.idle()
        expected = server.files("images")
        outputs = server.files("noted")
        assert server("backup", copy, "--data", server.data).code == 0
    done = run(["restore", copy, "--data", again])
    assert done.code == 0, done
    with serving(again) as server:
        assert server.files("images") == expected
        assert server.files("noted") == outputs
        for path, data in {**before, **between}.items():
            assert server.content("images", path) == data
        assert server("fsck", "--deep").out.endswith(" 0 faults\n")
        server.put("images", "/next", b"next")
        server.idle()
        assert server.content("noted", "/next.txt") == b"4\n"
    refused = run(["restore", copy, "--data", again])
    assert refused.code == 4 and "is not empty" in refused.err


def test_a_copy_that_was_killed_leaves_the_one_before_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with serving(tmp_path / "data") as server:
        server("create-repo", "images")
        first = {f"/{n}": os.urandom(SIZES[n % 4]) for n in range(12)}
        for path, data in first.items():
            server.put("images", path, data)
        server("backup", copy, "--data", server.data)
        for number in range(30):
            server.put("images", f"/more{number}", os.urandom(SIZES[number % 4]))
        words = [str(PROGRAM), "backup", str(copy), "--data", str(server.data)]
        for _ in range(4):
            process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL)
            begins = copy / "metadata.sqlite.new"
            while process.poll() is None and not begins.exists():
                pass
            process.send_signal(signal.SIGKILL)
            process.wait()
        files = server.files("images")
    assert run(["restore", copy, "--data", tmp_path / "old"]).code == 0
    with serving(tmp_path / "old") as server:
        found = server.files("images")
        assert set(first) <= set(found) <= set(files)
        for path, data in first.items():
            assert server.content("images", path) == data
        assert server("fsck", "--deep").code == 0


def test_nothing_is_deleted_while_a_copy_is_made_and_then_it_is_and_from_the_copy_too(
    tmp_path: Path,
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    data.mkdir()
    (data / "vedette.toml").write_text("grace = 0.05\n")
    with serving(data) as server:
        server("create-repo", "images")
        server.put("images", "/a", os.urandom(1_200_000))
        server("backup", copy, "--data", data)
        with copying(data):
            server("delete-repo", "images")
            for _ in range(3):
                done = server("garbage-collect", "--raw").rows[0]
                assert done["busy"] and done["objects"] == 0
        while server("garbage-collect", "--raw").rows[0]["suspects"]:
            pass
        assert list(data.glob("objects/??/*")) == []
        assert len(list(copy.glob("objects/??/*"))) == 1
        server("backup", copy, "--data", data)
        assert list(copy.glob("objects/??/*")) == []
        assert (copy / "vedette.toml").read_text() == "grace = 0.05\n"
    with deleting(data) as free:
        assert free


def test_a_damaged_object_is_named_and_the_copy_before_it_stays(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    with serving(data) as server:
        server("create-repo", "images")
        server.put("images", "/a", b"a" * 1_200_000)
        server("backup", copy, "--data", data)
        rows = (copy / "metadata.sqlite").read_bytes()
        server.put("images", "/b", b"b" * 1_200_000)
        (file,) = [f for f in data.glob("objects/??/*") if f.read_bytes()[:1] == b"b"]
        file.write_bytes(b"x" * 1_200_000)
        with pytest.raises(Corrupt, match="is damaged"):
            backup(data, copy)
        assert (copy / "metadata.sqlite").read_bytes() == rows


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("dear")
        refused = server("backup", tmp_path / "mine", "--data", server.data, code=4)
        assert "is not empty and holds no backup" in refused.err
        missing = server("backup", tmp_path / "copy", "--data", tmp_path / "nowhere", code=3)
        assert "there is no installation in" in missing.err
    refused = run(["restore", tmp_path / "mine", "--data", tmp_path / "again"])
    assert refused.code == 3 and not (tmp_path / "again").exists()


def test_a_copy_inside_of_what_is_copied_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data):
        pass
    with pytest.raises(Invalid, match="is inside"):
        backup(data, data / "copy")
    backup(data, tmp_path / "copy")
    with pytest.raises(Invalid, match="is inside"):
        restore(tmp_path / "copy", tmp_path / "copy" / "again")
    assert not (data / "copy").exists() and not (tmp_path / "copy" / "again").exists()


def test_of_two_restores_one_is_refused_and_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    data, copy, again = tmp_path / "data", tmp_path / "copy", tmp_path / "again"
    with serving(data) as server:
        server("create-repo", "images")
        server.put("images", "/a", os.urandom(SIZES[2]))
    backup(data, copy)
    (tmp_path / "again.restoring" / "packs").mkdir(parents=True)  # one was killed
    other = os.open(tmp_path / "again.restoring", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(Conflict, match="another restore is writing"):
        restore(copy, again)
    assert (tmp_path / "again.restoring" / "packs").is_dir(), "what the other makes is its own"
    os.close(other)
    (file,) = [f for f in (*copy.glob("packs/*"), *copy.glob("objects/*/*")) if f.is_file()]
    kept = file.read_bytes()
    file.write_bytes(b"x" * len(kept))
    with pytest.raises(Corrupt):
        restore(copy, again)
    assert not list(tmp_path.glob("again*"))
    file.write_bytes(kept)
    (copy / "lock").unlink()
    assert restore(copy, again).objects == 1
    assert not (copy / "lock").exists(), "a backup may be on a disk that is only to be read"


@pytest.mark.parametrize(
    ("name", "place"), [("moved", "database x at h:1"), ("objects", "s3://bucket/site")]
)
def test_a_folder_whose_rows_or_objects_have_moved_is_refused(
    tmp_path: Path, name: str, place: str
) -> None:
    """Else it would be backed up day after day as it was when they moved."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    with serving(data):
        pass
    backup(data, copy)
    before = (copy / "metadata.sqlite").read_bytes()
    with closing(SqliteStore(data / "metadata.sqlite")) as store:
        keep(store, name, place)
    refused = run(["backup", copy, "--data", data])
    assert refused.code == 2 and f"of {data} are in " in refused.err and place in refused.err
    assert refused.err.count("\n") == 1
    assert (copy / "metadata.sqlite").read_bytes() == before
    assert not (copy / "metadata.sqlite.new").exists()


def test_objects_in_another_folder_are_missed_at_once_by_a_server_and_a_backup(
    tmp_path: Path,
) -> None:
    data, objects, copy = tmp_path / "data", tmp_path / "objects", tmp_path / "copy"
    with serving(data, "--objects", str(objects)) as server:
        server("create-repo", "images")
        server.put("images", "/a", os.urandom(SIZES[2]))
    for words in (["serve", "--listen", "127.0.0.1:0"], ["backup", copy]):
        refused = run([*words, "--data", data])
        assert refused.code in (2, 4) and "folder" in refused.err and "--objects" in refused.err
        assert refused.err.count("\n") == 1
    with serving(data, "--objects", str(objects)) as server:
        assert len(server.content("images", "/a")) == SIZES[2]
