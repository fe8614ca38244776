"""The real server with its objects in a bucket."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.hosts import working
from tests.object_servers import ObjectServer
from tests.postgres import Postgres
from tests.program import run, serving
from tests.proxy import proxied

COPY = {
    "pipeline": {"name": "copy"},
    "transform": {"cmd": ["sh", "-c", "cp /pfs/r/* /pfs/out"]},
    "input": {"pfs": {"repo": "r", "glob": "/*"}},
}


@pytest.fixture
def bucket(weed: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in a bucket, for the processes that the test starts."""
    for name, value in weed.environ.items():
        monkeypatch.setenv(name, value)
    return weed.place()


def refused(data: Path, *words: str) -> str:
    """Why a server does not start: one line."""
    done = run(["serve", "--data", data, "--listen", "127.0.0.1:0", *words])
    assert done.code != 0 and done.out == ""
    lines = [line for line in done.err.splitlines() if line]
    assert len(lines) == 1, done.err
    return lines[0]


def test_files_outlive_the_server_and_its_data_folder_but_for_the_rows(
    tmp_path: Path, bucket: str
) -> None:
    """C1: what was accepted is in the bucket, even if the server is killed at once."""
    small, large = os.urandom(100_000), os.urandom(3_000_000)
    with serving(tmp_path / "data", "--objects", bucket) as server:
        server("create-repo", "r")
        server.put("r", "/small", small)
        server.put("r", "/large", large)
        spec = tmp_path / "copy.json"
        spec.write_text(json.dumps(COPY))
        server("create-pipeline", "-f", spec)
        server.idle()
        server.kill()
        for folder in ("staging", "cache"):
            for file in (tmp_path / "data" / "remote" / folder).rglob("*"):
                if file.is_file():
                    file.unlink()
        server.again()
        for name, data in (("small", small), ("large", large)):
            assert server.content("r", f"/{name}") == data
            assert server.content("copy", f"/{name}") == data
    assert not list((tmp_path / "data" / "packs").glob("*"))


def test_a_server_with_the_wrong_store_beside_its_rows_does_not_start(
    tmp_path: Path, bucket: str
) -> None:
    with serving(tmp_path / "near") as server:
        server("create-repo", "r")
        server.put("r", "/x", os.urandom(50_000))
    assert "migrate-store" in refused(tmp_path / "near", "--objects", bucket)
    with serving(tmp_path / "far", "--objects", bucket):
        pass
    assert f"say --objects {bucket}" in refused(tmp_path / "far")
    assert "does not hold the objects" in refused(tmp_path / "far", "--objects", f"{bucket}-other")
    assert "another installation" in refused(tmp_path / "third", "--objects", bucket)


def test_a_server_that_follows_needs_the_objects_too(
    tmp_path: Path, bucket: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would find out when it has to lead."""
    url = postgres.empty()
    second = tmp_path / "second"
    with serving(tmp_path / "first", "--database", url, "--objects", bucket):
        there = ["--database", url, "--objects"]
        assert f"say --objects {bucket}" in refused(second, "--database", url)
        assert "does not hold the objects" in refused(second, *there, f"{bucket}-other")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of another")
        assert "AWS_SECRET_ACCESS_KEY" in refused(second, *there, bucket)


def test_a_database_whose_objects_are_in_a_folder_is_not_given_a_bucket(
    tmp_path: Path, bucket: str, postgres: Postgres
) -> None:
    url = postgres.empty()
    with serving(tmp_path / "a", "--database", url, "--objects", str(tmp_path / "shared")):
        pass
    said = refused(tmp_path / "b", "--database", url, "--objects", bucket)
    assert "are in a folder" in said and "migrate-store" in said


def test_a_store_that_lies_is_refused_at_the_start(
    tmp_path: Path, rclone: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rclone.environ.items():
        monkeypatch.setenv(name, value)
    said = refused(tmp_path / "data", "--objects", rclone.place())
    assert "it ignores If-None-Match" in said
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    said = refused(tmp_path / "data", "--objects", rclone.place())
    assert "refused (SignatureDoesNotMatch)" in said and "wrong" not in said


def test_a_host_moves_large_files_straight_to_the_store_and_back(
    tmp_path: Path, bucket: str
) -> None:
    """Only what lies with the rows passes through the server; no keys leave it."""
    large = os.urandom(9_000_000)
    with serving(tmp_path / "data", "--objects", bucket, "--workers", "0") as server:
        server("create-repo", "r")
        server.put("r", "/large", large)
        server.put("r", "/picture", large[:100_000])
        script = "cat /pfs/r/* >/pfs/out/all; head -c 50000 /pfs/r/* >/pfs/out/head"
        spec = {**COPY, "transform": {"cmd": ["sh", "-c", script]}}
        spec["input"] = {"pfs": {"repo": "r", "glob": "/"}}
        server("create-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
        keys = {name: "" for name in os.environ if name.startswith("AWS_")}
        with (
            proxied(server.address) as line,
            working(tmp_path / "w.log", "--server", line.address, env=keys),
        ):
            server.idle()
            assert server.content("copy", "/all") == large + large[:100_000]
            assert line.passed < 300_000
