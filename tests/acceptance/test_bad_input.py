"""Whatever is wrong with what people give: one clear line, and nothing accepted is lost."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from PIL import Image
from tests.program import PROGRAM, Server, environment, run, serving

from vedette_cameras.demo.scenes import jpeg
from vedette_cameras.detect.load import bundled_model

INVALID, NOT_FOUND, CONFLICT, UNAVAILABLE = 2, 3, 4, 7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a repo `images` that holds one file."""
    with serving(tmp_path_factory.mktemp("server") / "data") as running:
        running("create-repo", "images")
        running("put-file", "images", "master", "/a.jpg", "-f", "-", stdin=b"a")
        yield running


def one_line(server: Server, code: int, *words: str | Path, stdin: bytes = b"") -> str:
    """The only line that a command has to say, which fails with this code."""
    done = server(*words, stdin=stdin, code=code)
    assert done.out == ""
    assert done.err.startswith("vedette: ")
    assert done.err.count("\n") == 1, done.err
    return done.err.removeprefix("vedette: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("put-file images --wrong", "No such option '--wrong'."),
        ("put-fil images master", "no command 'put-fil': did you mean put-file?"),
        ("put flie", "'put flie' is not a command: put goes with put-file"),
        ("frobnicate", "no command 'frobnicate': see `vedette --help`"),
        ("put-file images", "'images': write REPO BRANCH [PATH], or REPO@BRANCH:/PATH"),
        ("list-job -n many", "Invalid value for '-n' / '--number': 'many' is not a valid integer"),
    ],
)
def test_a_command_that_cannot_be_meant_is_one_line(server: Server, words: str, line: str) -> None:
    assert one_line(server, INVALID, *words.split()).startswith(line)


def test_what_is_not_there_is_one_line(server: Server, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    put = ("put-file", "images", "master")
    assert "no file below" in one_line(server, NOT_FOUND, *put, "-r", "-f", empty)
    assert "use -r" in one_line(server, INVALID, *put, "-f", empty)
    missing = one_line(server, NOT_FOUND, *put, "-f", tmp_path / "missing.jpg")
    assert "missing.jpg: name one that is there" in missing
    assert "did you mean images?" in one_line(server, NOT_FOUND, "list-file", "imagse", "master")
    assert "no repo zzz" in one_line(server, NOT_FOUND, "list-file", "zzz", "master")
    assert "/b.jpg" in one_line(server, NOT_FOUND, "get-file", "images", "master", "/b.jpg")
    assert "no job" in one_line(server, NOT_FOUND, "inspect-job", "zz")
    assert "exists already" in one_line(server, CONFLICT, "create-repo", "images")
    assert "ftp://x" in one_line(server, UNAVAILABLE, "--address", "ftp://x", "list-repo")


def test_what_this_machine_refuses_is_one_line_with_a_way_out(
    server: Server, tmp_path: Path
) -> None:
    spec, file = tmp_path / "spec.json", tmp_path / "file"
    file.touch()
    validate, get = ("validate-pipeline", "-f"), ("get-file", "images", "master", "/")
    assert "spec.json: No such file" in one_line(server, NOT_FOUND, *validate, spec)
    assert "is a folder: name a file" in one_line(server, INVALID, *validate, tmp_path)
    assert "no folder: name another" in one_line(server, INVALID, *get, "-r", "-o", file)
    worker = ("worker", "--server", server.address, "--token-file")
    assert "--token-file" in one_line(server, INVALID, *worker, tmp_path / "missing")
    done = server(*worker, file, code=INVALID)
    assert done.err == f"vedette: --token-file {file} is empty: write the token into it\n"
    with open("/dev/full", "wb") as full:
        told = subprocess.run(
            [PROGRAM, "--address", server.address, "list-repo"],
            stdout=full, stderr=subprocess.PIPE, env=environment(), check=False,
        )  # fmt: skip
    assert told.returncode == UNAVAILABLE
    assert told.stderr == b"vedette: the output: the disk is full: make room, then again\n"
    assert "'a b'" in one_line(server, INVALID, "create-repo", "a b")


def test_what_was_said_before_a_failure_is_not_lost_in_a_pipe() -> None:
    program = (
        "import vedette.cli.main as main;"
        "main.outcome = lambda words: print('the half that went well') or 3; main.run()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (NOT_FOUND, b"the half that went well\n")


def test_paths_that_cannot_be_are_refused_by_name(server: Server) -> None:
    """ENGINE P1, P4."""
    put = ("put-file", "images", "master")
    line = one_line(server, INVALID, *put, "/x/../y", "-f", "-", stdin=b"x")
    assert line == "path '/x/../y' holds the element '..': write it without"
    line = one_line(server, CONFLICT, *put, "/a.jpg/y", "-f", "-", stdin=b"x")
    assert line.startswith("/a.jpg in repo images is a file")
    assert list(server.files("images")) == ["/a.jpg"]


SPEC: dict[str, Any] = {
    "pipeline": {"name": "p"},
    "transform": {"image": "", "cmd": ["cp", "-r", "/pfs/images/.", "/pfs/out"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}


@pytest.mark.parametrize(
    ("over", "line"),
    [
        ({"paralelism_spec": {"constant": 1}},
         "paralelism_spec: unknown field; did you mean 'parallelism_spec'?"),
        ({"transform": {"image": "", "cmd": ["x"], "sdtin": ["a"]}},
         "transform.sdtin: unknown field; did you mean 'stdin'?"),
        ({"input": {"pfs": {"repo": "imagse", "glob": "/*"}}},
         "repo imagse does not exist; did you mean images?"),
        ({"datum_tries": 0}, "datum_tries: 0 is not from 1 to 100"),
    ],
)  # fmt: skip
def test_a_spec_with_a_fault_is_refused_and_the_nearest_word_named(
    server: Server, over: dict[str, Any], line: str
) -> None:
    text = json.dumps({**SPEC, **over}).encode()
    assert one_line(server, INVALID, "create-pipeline", "-f", "-", stdin=text).endswith(line)
    assert server("list-pipeline", "--raw").rows == []


def test_a_glob_has_a_caret_under_its_fault_and_all_faults_are_told_at_once(
    server: Server,
) -> None:
    """ENGINE G5, U6."""
    done = server("glob-file", "images", "master", "/[a", code=INVALID)
    assert done.err.splitlines() == [
        "vedette: glob '/[a': this '[' is never closed",
        "vedette:   /[a",
        "vedette:    ^",
    ]
    bad = {**SPEC, "transform": {"cmd": []}, "input": {"pfs": {"repo": "images", "glob": "/{a"}}}
    done = server("create-pipeline", "-f", "-", stdin=json.dumps(bad).encode(), code=INVALID)
    assert "has 2 faults" in done.err
    assert "transform.cmd" in done.err
    assert "input.pfs.glob" in done.err
    sides = [{"pfs": {"repo": repo, "glob": glob, "name": "n"}}
             for repo, glob in (("images", "/{a"), ("imagse", "/*"), ("other", "/("))]  # fmt: skip
    bad["input"] = {"cross": sides}
    done = server("create-pipeline", "-f", "-", stdin=json.dumps(bad).encode(), code=INVALID)
    assert "has 6 faults" in done.err
    for line in (
        "transform.cmd: missing: what is run?",
        "input.cross: two inputs are named 'n': give one of them another name",
        "input.cross[1].pfs.repo: repo imagse does not exist; did you mean images?",
        "input.cross[2].pfs.repo: repo other does not exist; create it: create-repo other",
    ):
        assert line in done.err
    assert server("list-pipeline", "--raw").rows == []


def test_a_spec_that_is_no_json_is_told_with_the_place(server: Server, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text('{"pipeline": {"name": "p"},\n "input" {}}')
    line = one_line(server, INVALID, "create-pipeline", "-f", spec)
    assert "spec.json" in line
    assert "line 2" in line
    done = server("create-pipeline", "-f", tmp_path / "none.json", code=NOT_FOUND)
    assert done.err.startswith(f"vedette: {tmp_path / 'none.json'}: No such file or directory: ")


def test_a_port_in_use_and_a_folder_in_use_are_one_line_each(
    server: Server, tmp_path: Path
) -> None:
    place = server.address.removeprefix("http://")
    words = ["serve", "--data", str(tmp_path / "other"), "--listen", place]
    done = run(words)
    assert done.code == CONFLICT
    port = place.rpartition(":")[2]
    assert done.err.startswith(f"vedette: port {port} on 127.0.0.1 is in use")
    assert done.err.count("\n") == 1
    done = run(["serve", "--data", str(server.data), "--listen", "127.0.0.1:0"])
    assert done.code == CONFLICT
    assert f"is held by another server (process {server.process.pid})" in done.err
    assert done.err.count("\n") == 1
    assert list(server.files("images")) == ["/a.jpg"], "the first server is not disturbed"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--listen", "nonsense"], "--listen 'nonsense': use HOST:PORT"),
        (["--runtimes", "missing.toml"], "--runtimes missing.toml: No such file"),
        (["--workers", "-1"], "workers is -1: use 1 to 1024, or 0 to leave"),
    ],
)
def test_a_server_that_cannot_start_says_so_in_one_line(
    tmp_path: Path, words: list[str], line: str
) -> None:
    done = run(["serve", "--data", "d", "--listen", "127.0.0.1:0", *words], cwd=tmp_path)
    assert done.code == INVALID
    assert line in done.err
    assert done.err.count("\n") == 1


def test_no_server_is_one_line_and_a_failure(tmp_path: Path) -> None:
    done = run(["version"], env={"VEDETTE_ADDRESS": "http://127.0.0.1:9"})
    assert done.code == UNAVAILABLE
    assert "vedette" in done.out
    assert done.err == (
        "vedette: no server answers at http://127.0.0.1:9: start one with `vedette serve`\n"
    )


def test_an_unknown_image_makes_the_pipeline_crash_with_the_line_to_add(
    server: Server,
) -> None:
    """ENGINE C3: it recovers when that is mended."""
    spec = {**SPEC, "pipeline": {"name": "u"}}
    unknown = {**spec, "transform": {**SPEC["transform"], "image": "some/unknown:1"}}
    server("create-pipeline", "-f", "-", stdin=json.dumps(unknown).encode())
    reason = server.pipeline("u", "CRASHING")["reason"]
    assert 'add ["some/unknown"] runtime = "process" to the file given by --runtimes' in reason
    line = one_line(server, UNAVAILABLE, "wait", "--idle", "--timeout", "0.1")
    assert line.startswith("not idle after 0.1 s: 1 jobs unfinished")
    server("update-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
    server.idle()
    assert server.files("u") == server.files("images")
    server("delete-pipeline", "u")


def picture(seed: int = 0) -> bytes:
    """A valid JPEG that shows nothing."""
    import numpy as np

    noise = np.random.default_rng(seed).integers(90, 120, (240, 320, 3), np.uint8)
    return jpeg(noise)


def post(server: Server, device: str, data: bytes, **query: str) -> httpx2.Response:
    address = f"{server.address}/v1/devices/{quote(device)}/images"
    return server.http.post(address, params=query, content=data)


def summary(server: Server) -> dict[str, int]:
    """The counts, which must add up at all times."""
    counts: dict[str, int] = server.get("/v1/cameras/summary")
    assert counts["received"] == sum(counts.values()) - counts["received"]
    return counts


def test_damaged_and_misnamed_pictures_are_recorded_with_their_reason(tmp_path: Path) -> None:
    whole = picture()
    half = len(whole) // 2
    large = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(large, "PNG")
    bad = {
        "cam_1511891101.jpg": (whole[:half], "truncated"),
        "cam_1511891102.jpg": (whole[:half] + bytes(1024) + whole[half + 1024 :], "truncated"),
        "cam_1511891103.jpg": (b"these are words\n", "not_an_image"),
        "cam_1511891104.jpg": (b"", "not_an_image"),
        "cam_1511891105.png": (large.getvalue(), "too_many_pixels"),
        "a_b_1511891106.jpg": (whole, "bad_name"),
        "_1511891107.jpg": (whole, "bad_name"),
        "cam_151189110.jpg": (whole, "bad_timestamp"),
    }
    good = {
        "cam_1511891110.jpg": whole,
        "cam_1511891111123.jpg": picture(1),
        "摄像头_1511891112.jpg": picture(2),
    }
    with serving(tmp_path / "data") as server:
        server("cameras", "init")
        folder = tmp_path / "pictures"
        folder.mkdir()
        for name, (data, _) in bad.items():
            (folder / name).write_bytes(data)
        for name, data in good.items():
            (folder / name).write_bytes(data)
        server("put-file", "images", "master", "/", "-r", "-f", folder)
        server.idle()
        held = server.files("images")
        assert set(held) == {f"/{name}" for name in (*bad, *good)}
        found = server.files("validate")
        for name, (_, reason) in bad.items():
            assert found[f"/invalid/{name}"] == held[f"/{name}"], "kept by reference"
            told = server.json("validate", quote(f"/reasons/{name}.json"))
            assert told["reason"] == reason, told
            assert told["image"] == f"/{name}"
            assert told["detail"]
            assert "\n" not in told["detail"]
        assert {path for path in found if path.startswith("/valid/")} == {
            f"/valid/{name}" for name in good
        }
        assert set(server.files("judge")) == {
            f"/{name.replace('_', '/').rpartition('.')[0]}.json" for name in good
        }
        assert summary(server) == {
            "received": 11, "invalid": 8, "clean": 3, "suppressed": 0, "alerted": 0,
            "failed": 0, "in_flight": 0,
        }  # fmt: skip

        check_the_door(server)


def check_the_door(server: Server) -> None:
    """What ingest says at once: duplicates, device names that cannot be, bodies over the limit."""
    data = picture(3)
    first = post(server, "cam", data, captured_at="1511891120").json()
    again = post(server, "cam", data, captured_at="1511891120").json()
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert (first["path"], first["commit"]) == (again["path"], again["commit"])
    other = post(server, "cam", picture(4), captured_at="1511891120").json()
    assert other["path"] == "/cam_1511891120000.jpg", "other bytes in one second overwrite nothing"
    refused = post(server, "back_door", data, captured_at="1511891121")
    assert refused.status_code == 400
    assert "use 'back-door'" in refused.json()["detail"]
    refused = post(server, "cam", bytes(32 * 1024 * 1024 + 1), captured_at="1511891122")
    assert refused.status_code == 413
    refused = post(server, "cam", data, captured_at="yesterday")
    assert refused.status_code == 400
    assert "'yesterday' is no time" in refused.json()["detail"]
    taken = post(server, "摄像头", data, captured_at="1511891123")
    assert taken.json()["path"] == "/摄像头_1511891123.jpg"
    server.idle()
    assert summary(server)["received"] == 14
    assert summary(server)["clean"] == 6


def test_rules_that_do_not_resolve_and_models_that_do_not_load_stop_nobody_for_good(
    tmp_path: Path,
) -> None:
    """The pipeline is CRASHING with one line, and recovers when a good file is committed."""
    rule = {"from_email": "a@example.org", "to_email": "b@example.org"}
    with serving(tmp_path / "data") as server:
        server("cameras", "init")
        for name in ("plot", "counts"):  # every ten seconds is too seldom to wait for
            server("delete-pipeline", name)
        for number, (classes, reason) in enumerate(
            [([1, 999], "class id 999 is not in label map coco-90"), (["preson"], "'preson'")]
        ):
            put_json(server, "rules", "/rule.json", {**rule, "threat_classes": classes})
            stamp = 1511891200 + number
            assert post(server, "cam", picture(), captured_at=str(stamp)).status_code == 201
            crashing = server.pipeline("judge", "CRASHING")
            assert "/rule.json" in crashing["reason"]
            assert reason in crashing["reason"]
            assert "\n" not in crashing["reason"]
            assert summary(server)["in_flight"] == 1
            put_json(server, "rules", "/rule.json", {**rule, "threat_classes": [1]})
            server.idle()
            assert server.get("/v1/pipelines/judge")["state"] == "STANDBY"
            assert summary(server)["clean"] == number + 1

        put_json(server, "rules", "/rule.json", {**rule, "threat_clases": [1]})
        post(server, "cam", picture(), captured_at="1511891210")
        crashing = server.pipeline("judge", "CRASHING")
        assert "did you mean 'threat_classes'?" in crashing["reason"]
        put_json(server, "rules", "/rule.json", {**rule, "threat_classes": ["person"]})
        server.idle()

        model = "/nanodet_g_416.onnx"
        server.put("model", model, b"this is no model")
        post(server, "cam", picture(), captured_at="1511891220")
        crashing = server.pipeline("object-detect", "CRASHING")
        assert crashing["reason"].startswith("model ")
        assert model in crashing["reason"]
        server.put("model", model, bundled_model())
        server.idle()
        assert summary(server) == {
            "received": 4, "invalid": 0, "clean": 4, "suppressed": 0, "alerted": 0,
            "failed": 0, "in_flight": 0,
        }  # fmt: skip
        tries = [
            datum["tries"]
            for job in server.get("/v1/jobs?pipeline=judge")
            for datum in server.get(f"/v1/jobs/{job['id']}/datums")
            if datum["state"] == "SUCCESS"
        ]
        assert set(tries) <= {0, 1}, "what was not ready used up no try"
        assert {pipeline["state"] for pipeline in server.get("/v1/pipelines")} == {"STANDBY"}


def put_json(server: Server, repo: str, path: str, value: object) -> None:
    server.put(repo, path, json.dumps(value).encode())
