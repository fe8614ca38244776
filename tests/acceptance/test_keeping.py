"""Keeping and deleting as it is typed, on the real server (ENGINE K1 to K3)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.program import Server, serving

from vedette.cli.keeping import read_rule
from vedette.model.errors import Invalid

BIG = os.urandom(1_200_000)
SMALL = os.urandom(30_000)


def on_disk(server: Server) -> int:
    files = [*server.data.glob("packs/*"), *server.data.glob("objects/??/*")]
    return sum(file.stat().st_size for file in files)


def swept(server: Server) -> None:
    """Collect until nothing is suspected any more; files of the last moment are young."""
    limit = 200
    while True:
        rows = server("garbage-collect", "--full", "--raw").rows
        if not rows[0]["suspects"] and not server("fsck", "--raw").rows[:-1]:
            server("garbage-collect")
            return
        limit -= 1
        assert limit, rows


def test_what_is_deleted_goes_from_the_disk_and_what_is_shared_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "vedette.toml").write_text("grace = 0.05\n")
    with serving(data) as server:
        for repo in ("one", "two"):
            server("create-repo", repo)
            server.put(repo, "/shared", BIG)
        server.put("one", "/own", SMALL)
        server("delete-repo", "one")
        swept(server)
        assert on_disk(server) == len(BIG)
        assert server.content("two", "/shared") == BIG
        server.put("two", "/face.jpg", SMALL)
        server.put("two", "/face.jpg", b"nobody")
        done = server("delete-file", "two@master:/face.jpg", "--for-good", "--reason", "asked to")
        assert done.out == "2 versions of files are deleted for good\n"
        gone = server("get-file", "two@master:/face.jpg", code=3)
        assert "two:/face.jpg was deleted for good on 20" in gone.err
        assert gone.err.endswith("UTC: asked to\n")
        answer = server.http.get(f"{server.address}/v1/repos/two/commits/master/files/face.jpg")
        assert (answer.status_code, answer.json()["kind"]) == (410, "gone")
        swept(server)
        assert on_disk(server) == len(BIG)
        shown = json.loads(server("inspect-file", "two@master:/face.jpg", "--raw").out)
        assert shown["size"] == 6 and shown["gone"].startswith("20")
        server("update-repo", "two", "--retain", "last:1")
        server.put("two", "/last", b"last")
        swept(server)
        assert on_disk(server) == 0
        assert server.content("two", "/last") == b"last"
        assert server.stop() == 0
        server.again()
        checked = server("fsck", "--deep")
        assert checked.out.endswith("3 files: 0 faults\n")
        server("get-file", "two@master:/shared", code=3)


def test_a_check_that_finds_something_says_so_and_fails(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        server("create-repo", "one")
        server.put("one", "/a", BIG)
        (file,) = server.data.glob("objects/??/*")
        file.write_bytes(b"x" * len(BIG))
        assert server("fsck").code == 0
        told = server("fsck", "--deep", code=8)
        assert told.out.startswith("damaged: object ")
        file.unlink()
        told = server("fsck", "--raw", code=8)
        assert [row["fault"]["kind"] for row in told.rows if row["fault"]] == ["missing"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("all", (None, None)), ("30d", (30 * 86400.0, None)), ("12h", (43200.0, None)),
        ("last:10", (None, 10)), ("30d,last:10", (30 * 86400.0, 10)),
    ],
)  # fmt: skip
def test_rules_are_typed_as_ages_and_counts(
    text: str, rule: tuple[float | None, int | None]
) -> None:
    assert read_rule(text) == rule


@pytest.mark.parametrize("text", ["", "30", "last:", "last:-1", "30d,12h", "last:1,last:2", "x:1"])
def test_a_rule_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="--retain"):
        read_rule(text)


def test_du_of_a_commit_says_what_it_brought_and_what_only_it_has(tmp_path: Path) -> None:
    """P11: what sharing saves is the difference between a commit's size and what it brought."""
    with serving(tmp_path / "data") as server:
        for repo in ("one", "two"):
            server("create-repo", repo)
        server.put("one", "a", b"a" * 100)
        second = server.put("one", "b", b"b" * 50)
        third = server.put("one", "again", b"a" * 100)
        server.put("two", "elsewhere", b"b" * 50)
        words = ("du", "one@master", f"one@{second}", "two@master", "--raw")
        newest, middle, other = server(*words).rows
        assert newest["commit"] == third
        assert (newest["files"], newest["size"]) == (3, 250)
        assert (newest["brought"], newest["own"]) == (100, 0)
        assert (middle["files"], middle["size"], middle["brought"], middle["own"]) == (
            2, 150, 50, 0,
        )  # fmt: skip
        assert (other["brought"], other["own"]) == (50, 0)
        server.put("one", "new", b"c" * 7)
        (row,) = server("du", "one@master", "--raw").rows
        assert (row["contents"], row["brought"], row["own"]) == (1, 7, 7)
        server("start-commit", "one", "master")
        done = server.tell("du", "nowhere@master")
        assert done.code != 0
        assert len(done.err.splitlines()) == 1
