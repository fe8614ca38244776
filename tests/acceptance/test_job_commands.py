"""run-pipeline, wait-job and delete-job as typed (ENGINE U3, U5, S3)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.program import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("jobs")
    with serving(folder / "data") as found:
        spec = folder / "copy.json"
        spec.write_text(
            json.dumps(
                {
                    "pipeline": {"name": "copy"},
                    "transform": {"cmd": ["sh"], "stdin": ["echo said; cp /pfs/in/* /pfs/out/"]},
                    "input": {"pfs": {"repo": "in", "glob": "/*"}},
                }
            )
        )
        found("create-repo", "in")
        found("create-pipeline", "-f", spec)
        yield found


def one_line(server: Server, *words: str) -> str:
    done = server.tell(*words)
    assert done.code != 0
    (line,) = done.err.splitlines()
    return line


def test_a_pipeline_without_input_cannot_run(server: Server) -> None:
    server("create-repo", "void")
    document = {
        "pipeline": {"name": "waiting"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "void", "glob": "/*"}},
    }
    server("create-pipeline", "-f", "-", stdin=json.dumps(document).encode())
    assert "void@master has no commit yet" in one_line(server, "run-pipeline", "waiting")
    assert "nowhere" in one_line(server, "run-pipeline", "nowhere")


def test_a_job_is_made_waited_for_and_forgotten(server: Server) -> None:
    server.put("in", "a", b"1")
    server.idle()
    first = server("run-pipeline", "copy").out.strip()
    job = server("wait-job", first, "--raw").rows[0]
    assert (job["state"], job["skipped"], job["total"]) == ("SUCCESS", 1, 1)
    assert "newest good one" in one_line(server, "delete-job", first)
    second = server("run-pipeline", "copy").out.strip()
    server("wait-job", second)
    commit = server("inspect-job", first, "--raw").rows[0]["commit"]
    server("delete", "job", first)
    assert first in one_line(server, "inspect-job", first)
    assert [row["id"] for row in server("list-job", "-p", "copy", "--raw").rows].count(second) == 1
    assert server.content("copy", "a", commit) == b"1"
    assert server("fsck").code == 0


def test_waiting_for_what_does_not_end_is_one_line(server: Server) -> None:
    document = {
        "pipeline": {"name": "slow"},
        "transform": {"cmd": ["sleep", "60"]},
        "input": {"pfs": {"repo": "in", "glob": "/"}},
    }
    server("create-pipeline", "-f", "-", stdin=json.dumps(document).encode())
    (job,) = server("list-job", "-p", "slow", "--raw").rows
    assert "has not ended after" in one_line(server, "wait-job", job["id"], "--timeout", "0.2")
    assert "stop it first" in one_line(server, "delete-job", job["id"])
    server("stop-job", job["id"])
    assert server("wait-job", job["id"], "--raw").rows[0]["state"] == "KILLED"
    server("delete-job", job["id"])
    assert server("list-job", "-p", "slow", "--raw").rows == []


def test_both_spellings_where_the_verb_is_a_command_of_its_own(server: Server) -> None:
    """`wait job`, `wait commit`, `extract pipeline` and `list job ID`, as in 2.x."""
    commit = server.put("in", "b", b"2")
    server("wait", "commit", f"in@{commit}")
    server("wait", "commit", "in@master")
    server("wait", "job", f"copy@{commit}")
    server("wait", commit)
    found = server("list", "job", commit, "--raw").rows
    (listed,) = [job for job in found if job["pipeline"] == "copy"]
    assert (listed["pipeline"], listed["commit"], listed["state"]) == ("copy", commit, "SUCCESS")
    assert server("list-job", commit, "-p", "copy", "--raw").rows == [listed]
    assert server("list-job", commit, "-p", "waiting", "--raw").rows == []
    assert "No" not in server("list-job", commit).err
    assert server("extract", "pipeline", "copy").out == server("extract-pipeline", "copy").out


def test_a_secret_is_made_of_a_manifest_as_in_pachyderm(server: Server) -> None:
    """`create secret -f FILE`: `data` in base64, `stringData` as it is; faults tell no value."""
    manifest = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        "data": {"coded": "czNjcmV0"}, "stringData": {"plain": "word"},
    }  # fmt: skip
    server("create", "secret", "-f", "-", stdin=json.dumps(manifest).encode())
    (listed,) = [row for row in server("list-secret", "--raw").rows if row["name"] == "keys"]
    assert sorted(listed["keys"]) == ["coded", "plain"]
    spec = {
        "pipeline": {"name": "tells"},
        "transform": {
            "cmd": ["sh", "-c", "echo -n $V > /pfs/out/v"],
            "secrets": [{"name": "keys", "key": "coded", "env_var": "V"}],
        },
        "input": {"pfs": {"repo": "in", "glob": "/"}},
    }
    server.put("in", "a", b"1")
    server("create-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
    server.idle()
    assert server.content("tells", "/v") == b"s3cret"
    for wrong, said in (
        ({**manifest, "data": {"k": "???"}}, "data.k is not text in base64"),
        ({**manifest, "data": None, "stringData": None}, "there are no values"),
        ({**manifest, "metadata": {}}, "this is no Secret"),
    ):
        done = server.tell("create-secret", "-f", "-", stdin=json.dumps(wrong).encode())
        assert done.code != 0
        assert said in done.err and "???" not in done.err
    assert "or use -f FILE" in one_line(server, "create-secret")
