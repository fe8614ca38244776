"""The life of pipelines by the command line: versions, extracts, clocks, stopping, rerunning."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.typed import Run, Said, typing


@pytest.fixture
def run(
    address: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Runs a command line. Everything is gone afterwards."""
    typed = typing(address, capfd, monkeypatch)

    def said(*words: str, stdin: bytes = b"", code: int = 0) -> Said:
        return typed(*words, stdin=stdin, code=code)

    yield said
    said("delete-all", "--yes")
    assert said("list-repo", "--raw").objects() == []


def spec(name: str, source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    transform = {"cmd": ["sh"], "stdin": ["cp -r /pfs/*/* /pfs/out/ || true"]}
    return {"pipeline": {"name": name}, "transform": transform, "input": source, **fields}


def pfs(repo: str, glob: str = "/*", **fields: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": glob, **fields}}


def create(run: Run, *specs: dict[str, Any], verb: str = "create-pipeline") -> Said:
    return run(verb, "-f", "-", stdin="".join(map(json.dumps, specs)).encode())


def test_u1_versions_are_kept_and_listed(run: Run) -> None:
    run("create-repo", "images")
    create(run, spec("one", pfs("images")))
    create(run, spec("one", pfs("images", "/a*"), description="fewer"), verb="update-pipeline")
    run("rerun-pipeline", "one", "--all")
    found = run("list-pipeline", "one", "--history", "--raw").objects()
    assert [each["version"] for each in found] == [3, 2, 1]
    assert found[1]["changed"] == ["description", "input"]
    assert (found[0]["reprocess"], found[0]["changed"]) == (True, [])
    assert [line.split()[1] for line in run("list", "pipeline", "--history").out.splitlines()] == [
        "VERSION", "3", "2", "1"
    ]  # fmt: skip
    [first] = run("inspect-pipeline", "one", "--version", "1", "--raw").objects()
    assert first["spec"] == spec("one", pfs("images"))
    assert "it has 1 to 3" in run("inspect-pipeline", "one", "--version", "4", code=3).err
    assert json.loads(run("extract-pipeline", "one", "--version", "1").out) == first["spec"]


def test_an_extract_makes_the_same_repos_and_pipelines_again(run: Run) -> None:
    run("create-repo", "images", "--description", "pictures")
    run("create-repo", "model")
    env = {"SGKEY": "s3cret", "LEVEL": "3"}
    alert = spec("alert", pfs("edges"))
    alert["transform"]["env"] = env
    late = {"cross": [pfs("alert", "/"), {"cron": {"name": "t", "spec": "@yearly"}}]}
    create(run, spec("edges", {"cross": [pfs("images"), pfs("model", "/", reference=True)]}))
    create(run, alert, spec("report", late), spec("ticks", pfs("report_t")))
    create(run, spec("edges", pfs("images", trigger={"commits": 3})), verb="update-pipeline")
    before = run("extract", "--raw")
    assert "secrets to create there: pipeline-alert" in before.err
    assert "s3cret" not in before.out
    run("delete-all", "--yes")
    run("create-secret", "pipeline-alert", "SGKEY=s3cret")
    made = run("recreate", "-f", "-", stdin=before.out.encode())
    assert made.err.splitlines()[:2] == ["repo images", "repo model"]
    assert run("extract", "--raw").out == before.out
    assert run("recreate", "-f", "-", stdin=before.out.encode()).err == "", "twice changes nothing"
    assert json.loads(run("extract-pipeline", "alert").out)["transform"]["env"] == {"LEVEL": "3"}


def test_specs_come_from_yaml_and_from_web_addresses(run: Run, tmp_path: Path) -> None:
    run("create-repo", "images")
    (tmp_path / "two.yaml").write_text(
        "pipeline: {name: one}\ntransform: {cmd: [sh]}\n"
        "input: {pfs: {repo: images, glob: /*}}\n---\n"
        "pipeline: {name: two}\ntransform: {cmd: [sh]}\ninput: {pfs: {repo: one, glob: /}}\n"
    )

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(tmp_path))

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever).start()
        at = f"http://127.0.0.1:{web.server_port}"
        run("create-pipeline", "-f", f"{at}/two.yaml")
        assert "answers 404" in run("create-pipeline", "-f", f"{at}/none.yaml", code=3).err
        web.shutdown()
    assert [p["name"] for p in run("list-pipeline", "--raw").objects()] == ["one", "two"]


def test_u3_pipelines_stop_and_start(run: Run) -> None:
    run("create-repo", "images")
    create(run, spec("one", pfs("images")))
    run("stop", "pipeline", "one")
    run("put-file", "images@master:/a", "-f", "-", stdin=b"x")
    [shown] = run("list-pipeline", "one", "--raw").objects()
    assert shown["state"] == "PAUSED"
    assert run("list-job", "--raw").objects() == []
    run("start-pipeline", "one")
    run("wait", "--idle")
    assert run("get-file", "one@master:/a").out == "x"


def test_u5_rerun_says_what_it_will_do(run: Run) -> None:
    run("create-repo", "images")
    create(run, spec("one", pfs("images")))
    run("put-file", "images@master:/a", "-f", "-", stdin=b"x")
    run("wait", "--idle")
    assert run("rerun-pipeline", "one", "--dry-run").out.startswith("pipeline one: 0 run")
    assert ": 1 run because" in run("rerun-pipeline", "one", "--all", "--dry-run").out
    run("rerun", "pipeline", "one", "--all")
    run("wait", "--idle")
    found = run("list-job", "--raw").objects()
    assert [job["processed"] for job in found] == [1, 1]
    assert run("rerun-pipeline", "one", "--all", "--failed", code=2).err.startswith("vedette: use")


def test_s5_history_is_run_again_into_a_branch_that_the_live_one_moves_to(run: Run) -> None:
    run("create-repo", "images")
    create(run, spec("one", pfs("images")))
    run("put-file", "images@master:/a", "-f", "-", stdin=b"x")
    run("wait", "--idle")
    told = run("rerun-pipeline", "one", "--all", "--branch", "try").err
    assert told.endswith("into branch try; live work does not wait\n")
    run("wait", "--idle")
    live = run("inspect-commit", "one@master", "--raw").objects()[0]["id"]
    assert run("get-file", "one@try:/a").out == "x"
    beside = run("inspect-commit", "one@try", "--raw").objects()[0]["id"]
    assert beside != live
    run("create-branch", "one@master", "--head", "try")
    run("put-file", "images@master:/b", "-f", "-", stdin=b"y")
    run("wait", "--idle")
    assert run("inspect-commit", "one@master^", "--raw").objects()[0]["id"] == beside
    assert run("list-job", "-p", "one", "--raw").objects()[0]["skipped"] == 1
    assert "branch goes with all" in run("rerun-pipeline", "one", "--branch", "x", code=2).err


def test_t7_waiting_ends_also_where_jobs_fail_and_tells_what_became_of_them(run: Run) -> None:
    run("create-repo", "images")
    broken = spec("one", pfs("images"))
    broken["transform"]["stdin"] = ["test -e /pfs/images/good && cp /pfs/images/* /pfs/out/"]
    create(run, {**broken, "datum_tries": 1}, spec("two", pfs("one")))
    run("put-file", "images@master:/bad", "-f", "-", stdin=b"x")
    flushed = run("flush-commit", "images@master", "--raw").objects()
    assert {each["repo"]: each["state"] for each in flushed} == {
        "images": "finished", "one": "errored", "two": "errored"
    }  # fmt: skip
    run("wait", "--idle")
    assert {j["pipeline"]: j["state"] for j in run("list-job", "--raw").objects()} == {
        "one": "FAILURE", "two": "UNRUNNABLE"
    }  # fmt: skip
    run("delete-file", "images@master:/bad")
    run("put-file", "images@master:/good", "-f", "-", stdin=b"y")
    run("flush-commit", "images@master")
    assert run("get-file", "two@master:/good").out == "y"


def test_d6_run_cron_ticks(run: Run) -> None:
    create(run, spec("clock", {"cron": {"name": "tick", "spec": "CRON_TZ=Asia/Tokyo @yearly"}}))
    told = run("run-cron", "clock").out
    assert told.startswith("clock_tick@")
    run("wait", "--idle")
    [file] = run("list-file", "clock@master:/", "--raw").objects()
    assert told.endswith(f":{file['path']}\n")


def test_why_names_what_made_a_file_woke_a_job_and_ran_a_datum(run: Run) -> None:
    run("create-repo", "images")
    create(run, spec("one", pfs("images")))
    run("put-file", "images@master:/a", "-f", "-", stdin=b"x")
    run("wait", "--idle")
    [job] = run("list-job", "--raw").objects()
    [datum] = run("list-datum", job["id"], "--raw").objects()
    by_file = run("why", "one@master:/a").out
    assert f"by datum {datum['number']} of pipeline one: images@master:/a" in by_file
    assert run("why", "one", "master", "/a").out == by_file
    woken = f"was woken by images@{job['commit']}\n"
    for name in (job["id"], "one@master", f"one@{job['commit']}"):
        assert run("why", name).out.splitlines(keepends=True)[0].endswith(woken)
    for name in (str(datum["number"]), datum["id"]):
        said = run("why", name, "--job", job["id"]).out
        assert "it ran because " in said
        assert said.endswith("the datum ran in it\n")
    [told] = run("why", "one@master:/a", "--raw").objects()
    assert told["job"]["id"] == job["id"]
    assert run("inspect-commit", "one@master", "--raw").objects()[0]["provenance"] == [
        f"images@{job['commit']}"
    ]
    assert "no datum 12345" in run("why", "12345", code=3).err


def test_delete_all_asks_first(run: Run) -> None:
    run("create-repo", "images")
    assert "use --yes" in run("delete-all", code=2).err
    assert len(run("list-repo", "--raw").objects()) == 1
