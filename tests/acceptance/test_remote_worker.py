"""Workers on other hosts: real servers, real `vedette worker` processes, over HTTP."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.certificates import certificate
from tests.hosts import Worker, host_of, until, working
from tests.program import PATIENCE, Server, serving
from tests.proxy import proxied

STAGE = ("python", "-m", "vedette.stage")


def shell(server: Server, name: str, script: str, source: Any = None, **fields: Any) -> None:
    """Create a pipeline of a shell command."""
    spec = {
        "pipeline": {"name": name},
        "input": source or {"pfs": {"repo": "images", "glob": "/*"}},
        "transform": {"cmd": ["sh", "-c", script], **fields.pop("transform", {})},
        **fields,
    }
    server("create-pipeline", "-f", "-", stdin=json.dumps(spec).encode())


def test_a_command_pipeline_runs_on_a_worker_over_http(tmp_path: Path) -> None:
    """A server without workers of its own waits for one that comes over HTTP."""
    with serving(tmp_path / "data", "--workers", "0") as server:
        server("create-repo", "images")
        shell(server, "upper", "for f in /pfs/images/*; do tr a-z A-Z <$f >/pfs/out/${f##*/}; done")
        big = bytes(range(97, 123)) * 4000
        server.put("images", "/a", b"hello")
        server.put("images", "/b", big)
        with working(tmp_path / "w.log", "--server", server.address) as worker:
            server.idle()
            assert server.content("upper", "/a") == b"HELLO"
            assert server.content("upper", "/b") == big.upper()
            host = host_of(server, worker)
            assert (host["pools"], host["running"]) == (["command:upper"], 0)
            server.put("images", "/c", b"later")
            server.idle()
            assert server.content("upper", "/c") == b"LATER"
            assert "upper" in server("list-worker").out
            assert worker.stop() == 0
        assert server.get("/v1/workers") == []


def highest(process: int) -> int:
    """The most memory that a process ever had, in MB."""
    (line,) = [
        line for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]  # fmt: skip
    return int(line.split()[1]) >> 10


def test_large_files_pass_through_a_host_in_pieces(tmp_path: Path) -> None:
    """G7, DESIGN 5: what a file weighs is no matter of memory, in or out."""
    with serving(tmp_path / "data", "--workers", "0") as server:
        server("create-repo", "images")
        shell(server, "same", "cat /pfs/images/* /pfs/images/* >/pfs/out/twice")
        with working(tmp_path / "w.log", "--server", server.address) as worker:
            server.put("images", "/small", b"x")
            server.idle()
            before = highest(worker.process.pid)
            size = 150 << 20
            with (tmp_path / "large").open("wb") as file:
                file.truncate(size)
            server("delete-file", "images", "master", "/small")
            server("put-file", "images", "master", "large", "-f", tmp_path / "large")
            server.idle()
            (file_info,) = server.get("/v1/repos/same/commits/master/glob", pattern="/*")
            assert file_info["size"] == 2 * size
            assert highest(worker.process.pid) - before < 100


def test_a_large_input_is_fetched_once_by_a_host_and_not_by_each_datum(tmp_path: Path) -> None:
    """A model of many MB beside each picture; it is still there when the host comes again."""
    source = {"cross": [{"pfs": {"repo": "images", "glob": "/*"}},
                        {"pfs": {"repo": "models", "glob": "/"}}]}  # fmt: skip
    size = 12 << 20
    with serving(tmp_path / "data", "--workers", "0") as server, proxied(server.address) as line:
        server("create-repo", "images")
        server("create-repo", "models")
        server.put("models", "/m", random.Random(5).randbytes(size))
        shell(server, "p", "wc -c </pfs/models/m >/pfs/out/$(ls /pfs/images)", source)
        words = ["--server", line.address, "--data", str(tmp_path / "w"), "--slots", "2"]
        for time in (1, 2):
            with working(tmp_path / "w.log", *words):
                for number in range(3):
                    server.put("images", f"/{time}-{number}", b"x")
                server.idle()
                assert server.content("p", f"/{time}-2").strip() == str(size).encode()
            assert size < line.passed < 1.5 * size


def test_a_host_trusts_the_certificate_that_it_was_given(tmp_path: Path) -> None:
    """--ca-file: a proxy with a certificate that nobody knows stands before the server."""
    made = certificate(tmp_path)
    with (
        serving(tmp_path / "data", "--workers", "0") as server,
        proxied(server.address, tls=made) as line,
    ):
        server("create-repo", "images")
        shell(server, "copy", "cp /pfs/images/* /pfs/out")
        server.put("images", "/a", b"hello")
        assert line.address.startswith("https://")
        with working(tmp_path / "no.log", "--server", line.address) as worker:
            until(lambda: "is not trusted" in worker.said(), worker)
            assert "takes the file of one with --ca-file" in worker.said()
            assert server.get("/v1/workers") == []
        words = ["--server", line.address, "--ca-file", str(made[0])]
        with working(tmp_path / "w.log", *words) as worker:
            server.idle()
            assert server.content("copy", "/a") == b"hello"
            assert host_of(server, worker)["running"] == 0
    missing = Worker(tmp_path / "m.log", ["--server", line.address, "--ca-file", "/no/such.pem"])
    assert missing.process.wait(PATIENCE) != 0
    assert "/no/such.pem" in missing.said()
    assert "Traceback" not in missing.said()


def ended(server: Server, pipeline: str) -> str:
    """The state of the newest job of a pipeline."""
    return str(server.get("/v1/jobs", pipeline=pipeline)[0]["state"])


def test_a_host_may_know_images_that_the_server_does_not(tmp_path: Path) -> None:
    """C3: the pipeline is CRASHING while there is no host that can run it, and RUNNING as soon as
    one begins, before it has done anything."""
    (tmp_path / "gate").mkdir()
    (tmp_path / "runtimes.toml").write_text(
        f'["special"]\nruntime = "process"\nmount = {{"/gate" = "{tmp_path / "gate"}"}}\n'
    )
    script = "while ! test -e /gate/open; do sleep 0.05; done; cp /pfs/images/* /pfs/out"
    none = "no host that serves image 'special:1' is connected: start `vedette worker` on one"
    with serving(tmp_path / "data") as server:
        server("create-repo", "images")
        shell(server, "copy", script, transform={"image": "special:1"})
        server.put("images", "/a", b"hello")
        reason = server.pipeline("copy", "CRASHING")["reason"]
        assert none in reason
        assert "not known on this host" in reason
        words = ["--server", server.address, "--runtimes", str(tmp_path / "runtimes.toml")]
        with working(tmp_path / "w.log", *words) as worker:
            assert server.pipeline("copy", "RUNNING")["reason"] == ""
            worker.kill()
            # After the lease has lapsed its datum waits for another host, which is said.
            assert none in server.pipeline("copy", "CRASHING")["reason"]
        with working(tmp_path / "w.log", *words):
            server.pipeline("copy", "RUNNING")
            (tmp_path / "gate" / "open").touch()
            server.idle()
            assert server.content("copy", "/a") == b"hello"
            assert server.get("/v1/pipelines/copy")["state"] in ("RUNNING", "STANDBY")


def test_a_host_serves_the_pipelines_that_it_was_told_to(tmp_path: Path) -> None:
    """Python stages share a pool: each host has its own part of it, and secrets arrive."""
    with serving(tmp_path / "data", "--workers", "0") as server:
        server("create-repo", "images")
        server("create-secret", "mail", "key=s3cret")
        server.put("images", "/a", b"hello")
        for name in ("left", "right"):
            spec = {
                "pipeline": {"name": name},
                "input": {"pfs": {"repo": "images", "glob": "/*"}},
                "transform": {
                    "cmd": ["python", "-m", "vedette.stage", "vedette.testing.stages:link"]
                },
            }
            server("create-pipeline", "-f", "-", stdin=json.dumps(spec).encode())
        secret = [{"name": "mail", "env_var": "KEY", "key": "key"}]
        shell(server, "left-secret", "echo $KEY >/pfs/out/key", transform={"secrets": secret})
        words = ["--server", server.address, "--slots", "1"]
        with working(tmp_path / "l.log", *words, "--pipelines", "left*") as one:
            until(lambda: {ended(server, "left"), ended(server, "left-secret")} == {"SUCCESS"}, one)
            assert server.content("left-secret", "/key") == b"s3cret\n"
            assert ended(server, "right") == "RUNNING"
            with working(tmp_path / "r.log", *words, "--pipelines", "[!l]*"):
                server.idle()
            assert server.files("left") == server.files("right") != {}
