"""Commands that run on and on: services and spouts (ENGINE R10), by the real server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.processes import below, kill, words
from tests.program import PATIENCE, Server, serving

WEB = """
import http.server, os
os.chdir("/pfs/site")
handler = http.server.SimpleHTTPRequestHandler
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), handler).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data") as made:
        yield made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(what: Callable[[], Any]) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, "it never happens"
        time.sleep(0.02)
    return found


def create(server: Server, folder: Path, name: str, **spec: Any) -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"pipeline": {"name": name}, **spec}))
    done = server.tell("create-pipeline", "-f", path)
    assert done.code == 0, done.err


def state(server: Server, name: str) -> tuple[str, str]:
    row = server.get(f"/v1/pipelines/{name}")
    return row["state"], row.get("reason", "")


def page(port: int, path: str) -> str:
    try:
        with httpx2.Client(trust_env=False, timeout=10) as client:
            answer = client.get(f"http://127.0.0.1:{port}/{path}")
    except httpx2.HTTPError:
        return ""
    return answer.text if answer.status_code == 200 else ""


def test_r10_a_service_answers_from_the_newest_commit(server: Server, tmp_path: Path) -> None:
    """R10: also after new commits, its own death, the server's death, and stop and start."""
    port = free_port()
    server.tell("create-repo", "site")
    create(
        server, tmp_path, "web", input={"pfs": {"repo": "site", "glob": "/*.txt"}},
        transform={"cmd": ["python", "-c", WEB]},
        service={"internal_port": 8000, "external_port": port},
    )  # fmt: skip
    server.put("site", "/a.txt", b"one")
    server.put("site", "/hidden.html", b"no match")
    assert until(lambda: page(port, "a.txt")) == "one"
    assert page(port, "hidden.html") == ""
    assert state(server, "web") == ("RUNNING", "")
    server.put("site", "/a.txt", b"two")
    until(lambda: page(port, "a.txt") == "two")
    kill(pid for pid in below(server.process.pid) if any(b"http.server" in w for w in words(pid)))
    until(lambda: page(port, "a.txt") == "two")
    server.kill()
    assert page(port, "a.txt") == ""
    server.again()
    until(lambda: page(port, "a.txt") == "two")
    assert server.tell("stop-pipeline", "web").code == 0
    until(lambda: not page(port, "a.txt"))
    assert state(server, "web")[0] == "PAUSED"
    assert server.tell("start-pipeline", "web").code == 0
    until(lambda: page(port, "a.txt") == "two")
    assert server.tell("delete-pipeline", "web").code == 0
    until(lambda: not page(port, "a.txt"))
    assert not [pid for pid in below(server.process.pid) if b"http.server" in b"".join(words(pid))]


def test_r10_a_service_that_ends_is_crashing_and_says_why(server: Server, tmp_path: Path) -> None:
    """R10, C3: and what it printed is in the log."""
    server.tell("create-repo", "site")
    create(
        server, tmp_path, "web", input={"pfs": {"repo": "site", "glob": "/"}},
        transform={"cmd": ["sh", "-c", "echo no luck >&2; exit 3"]},
        service={"internal_port": free_port()},
    )  # fmt: skip
    server.put("site", "/a", b"one")
    until(lambda: state(server, "web")[0] == "CRASHING")
    assert state(server, "web")[1] == "the service ended with exit code 3"
    until(lambda: "no luck" in server.tell("get-logs", "--pipeline", "web").out)


EMIT = """
import io, os, tarfile, time
done = int(open("/pfs/mark").read()) if os.path.exists("/pfs/mark") else 0
while done < {count}:
    done += 1
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        said = {{"a/%03d" % done: b"x" * done, "b/%03d" % done: b"y", "mark": b"%d" % done}}
        for name, data in said.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with open("/pfs/out", "wb") as out:
        out.write(made.getvalue())
time.sleep(1000)
"""


def files(server: Server, repo: str) -> list[str]:
    """The files at the head of master; none while it has no commit."""
    where = f"/v1/repos/{repo}/commits/master/glob?pattern=/**&limit=1000"
    answer = server.http.get(server.address + where)
    return (
        [row["path"] for row in answer.json() if row["type"] == "file"] if answer.is_success else []
    )


def test_r10_a_spout_commits_each_archive_whole_and_goes_on_where_it_was(
    server: Server, tmp_path: Path
) -> None:
    """R10, C1: through the deaths of the spout and of the server nothing is half, lost or twice."""
    create(
        server, tmp_path, "source", spout={"overwrite": True, "marker": "mark"},
        transform={"cmd": ["python", "-c", EMIT.format(count=60)]},
    )  # fmt: skip
    create(
        server, tmp_path, "copy", input={"pfs": {"repo": "source", "glob": "/a/*"}},
        transform={"cmd": ["sh", "-c", "cp -r /pfs/source/a /pfs/out/"]},
    )  # fmt: skip
    until(lambda: len(files(server, "source")) >= 10)
    kill(pid for pid in below(server.process.pid) if b"python" in (words(pid) or [b""])[0][-6:]
         and b"tarfile" in b"".join(words(pid)))  # fmt: skip
    until(lambda: len(files(server, "source")) >= 30)
    server.kill()
    server.again()
    until(lambda: len(files(server, "source")) == 120)
    for row in server.tell("list-commit", "source", "--raw").rows:
        if row["branch"] == "master" and row["state"] == "finished":
            assert row["files"] % 2 == 0, "an archive was committed in part"
    until(lambda: len(files(server, "copy")) == 60)
    assert state(server, "source") == ("RUNNING", "")


HALF = """
import io, os, sys, tarfile, time
def archive(**files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()
again = os.path.exists("/pfs/mark")
with open("/pfs/out", "wb") as out:
    if not again:
        out.write(archive(mark=b"1", x=b"z" * 3000))
        out.write(archive(y=b"z" * 9000)[:5000])
    else:
        out.write(archive(x=b"z" * 3000) + archive(x=b"z" * 3000))
if not again:
    sys.exit(1)
time.sleep(1000)
"""


def test_r10_half_an_archive_is_dropped_and_two_in_a_row_are_two_commits(
    server: Server, tmp_path: Path
) -> None:
    """R10: and without `overwrite` a file grows, as in 1.x."""
    create(server, tmp_path, "source", spout={"marker": "mark"},
           transform={"cmd": ["python", "-c", HALF]})  # fmt: skip

    def sizes() -> list[int]:
        rows = server.get("/v1/repos/source/commits")
        return [row["size"] for row in reversed(rows) if row["branch"] == "master"]

    until(lambda: len(sizes()) >= 3)
    assert sizes() == [3000, 6000, 9000]
    assert files(server, "source") == ["/x"]
    assert "an archive on /pfs/out was dropped" in server("get-logs", "--pipeline", "source").out


def test_r10_a_spout_is_walled_in_like_any_command(server: Server, tmp_path: Path) -> None:
    """R6: no network, no data folder, and nothing of the host by a link in the pipe's place."""
    script = (
        "import os, socket, time\n"
        "try: socket.create_connection(('127.0.0.1', %d), 2); print('reached')\n"
        "except OSError: print('no network')\n"
        "print('data', os.path.exists(%r))\n"
        "os.unlink('/pfs/out'); os.symlink('/etc/shadow', '/pfs/out'); time.sleep(1000)\n"
    )
    port = int(server.address.rpartition(":")[2])
    create(server, tmp_path, "source", spout={},
           transform={"cmd": ["python", "-uc", script % (port, str(server.data))]})  # fmt: skip
    until(lambda: "data" in server.tell("get-logs", "--pipeline", "source").out)
    said = server.tell("get-logs", "--pipeline", "source").out
    assert "no network" in said
    assert "data False" in said
    assert server.tell("list-commit", "source", "--raw").rows == []
