"""`put-file --wait`: a put and the wait for what it causes, as one command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.typed import Run, typing

from vedette.wiring import running_server


@pytest.fixture
def run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    with running_server(tmp_path / "data", apps=[]) as address:
        typed = typing(address, capfd, monkeypatch)
        typed("create-repo", "in")
        typed("create-pipeline", "-f", "-", stdin=json.dumps(SPEC).encode())
        yield typed


SPEC = {
    "pipeline": {"name": "copy"},
    "transform": {"cmd": ["sh"], "stdin": ["cp -r /pfs/in/* /pfs/out/", "test ! -e /pfs/in/bad"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
    "datum_tries": 1,
}


def test_all_that_a_put_causes_is_there_when_it_has_ended(run: Run, tmp_path: Path) -> None:
    """T3: of one file, of a folder, and of standard input that is cut."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    one = tmp_path / "a"
    run("put-file", "in", "master", "/a", "-f", str(one), "--wait")
    assert run("get-file", "copy@master:/a").out == "a"
    run("put-file", "in@master", "-f", str(one), "-f", str(tmp_path / "b"), "--wait")
    assert run("get-file", "copy@master:/b").out == "b"
    run("put-file", "in@master:/c", "--split", "line", "--wait", stdin=b"1\n2\n")
    assert "/c" in run("list-file", "copy@master").out


def test_a_put_whose_job_fails_fails_too(run: Run, tmp_path: Path) -> None:
    said = run("put-file", "in@master:/bad", "--wait", stdin=b"1", code=1)
    (job,) = run("list-job", "--raw").objects()
    assert said.err.startswith(f"vedette: job {job['id']} of copy: FAILURE")
    assert run("list-file", "in@master", "--raw").objects()[0]["path"] == "/bad"


def test_there_is_no_wait_for_an_open_commit(run: Run) -> None:
    run("start-commit", "in@master")
    said = run("put-file", "in@master:/a", "--wait", stdin=b"1", code=2)
    assert "in the open commit of in@master" in said.err
    run("finish-commit", "in@master")
    run("wait", "--idle")
    assert run("get-file", "copy@master:/a").out == "1"
