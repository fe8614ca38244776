"""What the platform adds to a datum: a Python stage alone and with sixteen in flight, a command
beside the bare fork and exec of the same command, and what is left running at rest.

A put costs the same whether a pipeline reads the repo or not, so it is measured by itself and taken
off: what remains is trigger, job, lease, run, report and the output's commit.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

from claims import claims
from clients import Connection, run
from measure import (
    COMMAND_IMAGE,
    IMAGE,
    Report,
    Server,
    arguments,
    cpu,
    fsync_floor,
    median,
    scratch,
    server,
    tree,
)

IN_FLIGHT = 16
COMMAND = ["/bin/cat", "/dev/null"]
BATCHING = ["sh", "-c", "while pachctl next datum; do :; done"]
REST = 75.0


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--datums", type=int, default=300, help="datums in each measurement")
    parser.add_argument("--no-rest", action="store_true", help="skip the minute of waiting at rest")
    options = parser.parse_args()
    report = Report("datum", options.json)
    with scratch(options.scratch) as folder, server(folder / "data") as serving:
        files = small_files(folder / "files", options.datums)
        floor = fsync_floor(folder / "floor", [os.urandom(4096)] * options.datums)
        report.add("write + fsync of 4 KB", 1000 / floor, "ms", "which each commit waits for")
        report.say("A Python stage that writes one small file")
        python_stage(report, serving, files)
        report.say(f"A command stage, {' '.join(COMMAND)}")
        command_stage(report, serving, options.datums)
        report.say("The same as a batch: one shell that calls `pachctl next datum`")
        batching_stage(report, serving, options.datums)
        report.say("The scheduler alone, 8 workers that claim and report in batches of 16")
        claims(report, folder, 20_000)
        if not options.no_rest:
            at_rest(report, serving)
    report.end()


def small_files(folder: Path, count: int) -> list[Path]:
    """Files of other bytes each."""
    folder.mkdir()
    paths = [folder / f"{number:06}" for number in range(count)]
    for path in paths:
        path.write_bytes(os.urandom(1000))
    return paths


def create(
    serving: Server, name: str, cmd: list[str], *, read: bool, batching: bool = False
) -> None:
    """A repo `NAME-in` and, if it is to be read, a pipeline `NAME` over its files."""
    serving.send("POST", "/v1/repos", {"name": f"{name}-in"})
    if read:
        spec: dict[str, Any] = {
            "pipeline": {"name": name},
            "transform": {"image": IMAGE if "vedette.stage" in cmd else COMMAND_IMAGE, "cmd": cmd},
            "input": {"pfs": {"repo": f"{name}-in", "glob": "/*"}},
        }
        if batching:
            spec["transform"]["datum_batching"] = True
        serving.send("POST", "/v1/pipelines", spec)


def python_stage(report: Report, serving: Server, files: list[Path]) -> None:
    """One at a time, sixteen at a time, and many in one job."""
    cmd = ["python", "-m", "vedette.stage", "vedette.testing.stages:note"]
    for name, read in (("unread", False), ("read", True), ("single", True)):
        create(serving, name, cmd, read=read)
    warm(serving, ("read", "single"))
    unread = one_by_one(serving, "unread", files)
    single = one_by_one(serving, "single", files)
    report.add("a put and the question whether all is done, no pipeline", unread * 1000, "ms")
    report.add("a put until the output's commit", single * 1000, "ms")
    report.goal("Python stage alone, above the put", (single - unread) * 1000, "ms", most=2.0)
    before = cpu(serving.pid)
    put_only = together(serving, "unread", files, "b")
    between = cpu(serving.pid)
    with_stage = together(serving, "read", files, "b")
    after = cpu(serving.pid)
    report.add(f"a put, {IN_FLIGHT} in flight, no pipeline", put_only * 1000, "ms")
    report.add(f"the same until all outputs, {IN_FLIGHT} in flight", with_stage * 1000, "ms")
    overhead = (with_stage - put_only) * 1000
    report.goal(f"Python stage, {IN_FLIGHT} in flight, above the put", overhead, "ms", most=0.6)
    for role in ("server", "workers"):
        added = (after[role] - between[role]) - (between[role] - before[role])
        report.add(f"processor per datum above the put, {role}", added / len(files) * 1000, "ms")
    report.add("Python stage, many datums in one job", one_job(serving, "read") * 1000, "ms")


def command_stage(report: Report, serving: Server, count: int) -> None:
    """One job of many datums with one slot, beside the bare process."""
    create(serving, "command", COMMAND, read=True)
    warm(serving, ("command",))
    bare = forked(count)
    platform = one_job(serving, "command", count)
    again = forked(count)
    bare = (bare + again) / 2
    report.add("bare fork, exec and wait", bare * 1000, "ms")
    report.add("command stage, many datums in one job", platform * 1000, "ms")
    report.goal("command stage above bare", (platform - bare) * 1000, "ms", most=5.0)


def batching_stage(report: Report, serving: Server, count: int) -> None:
    """The same work by one process that asks for its datums."""
    create(serving, "batch", BATCHING, read=True, batching=True)
    warm(serving, ("batch",))
    each = one_job(serving, "batch", count)
    report.add("batching stage, many datums in one job", each * 1000, "ms")


def warm(serving: Server, names: tuple[str, ...]) -> None:
    """One datum each, so that workers are up."""
    for name in names:
        put(serving, name, "warm", os.urandom(100))
    serving.wait_idle()


def put(serving: Server, name: str, path: str, content: bytes) -> str:
    """The global id of one put."""
    target = f"/v1/repos/{name}-in/branches/master/files/{path}"
    _, status, answer = Connection(serving.port).exchange("PUT", target, content)
    if status >= 300:
        raise SystemExit(f"PUT {target}: {status} {answer[:300]!r}")
    return str(json.loads(answer)["id"])


def one_by_one(serving: Server, name: str, files: list[Path]) -> float:
    """Seconds from a put until all that it caused is finished, the middle one of many.

    Where no pipeline reads the repo that is asked for too, so that the two differ by the datum.
    """
    connection = Connection(serving.port)
    times = []
    for path in files:
        content = path.read_bytes()
        at = time.perf_counter()
        target = f"/v1/repos/{name}-in/branches/master/files/a{path.name}"
        _, _, answer = connection.exchange("PUT", target, content)
        commit = json.loads(answer)["id"]
        connection.exchange("GET", f"/v1/commits/{commit}/flush?timeout=60", b"")
        times.append(time.perf_counter() - at)
    return median(times)


def together(serving: Server, name: str, files: list[Path], prefix: str) -> float:
    """Seconds a file, with sixteen requests in flight, until nothing is left to do."""
    requests = [
        (f"/v1/repos/{name}-in/branches/master/files/{prefix}{path.name}", path) for path in files
    ]
    begin = time.perf_counter()
    run(serving.port, "PUT", requests, processes=2, threads=IN_FLIGHT // 2)
    serving.wait_idle()
    return (time.perf_counter() - begin) / len(files)


def one_job(serving: Server, name: str, count: int = 2000) -> float:
    """Seconds a datum of a job that has many."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(count):
            content = os.urandom(200)
            entry = tarfile.TarInfo(f"job-{number:06}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    connection = Connection(serving.port, "application/x-tar")
    path = f"/v1/repos/{name}-in/branches/master/files"
    _, status, answer = connection.exchange("POST", path, buffer.getvalue())
    if status >= 300:
        raise SystemExit(f"POST {path}: {status} {answer[:300]!r}")
    begin = time.perf_counter()
    serving.wait_idle()
    return (time.perf_counter() - begin) / count


def forked(count: int) -> float:
    """Seconds for one bare run of the command."""
    begin = time.perf_counter()
    for _ in range(count):
        subprocess.run(COMMAND, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - begin) / count


def at_rest(report: Report, serving: Server) -> None:
    """Memory and processes when there has been nothing to do for a minute."""
    report.say(f"At rest ({REST:.0f} s with nothing to do)")
    end = time.monotonic() + REST
    while time.monotonic() < end and len(tree(serving.pid)) > 1:
        time.sleep(1)
    processes = tree(serving.pid)
    memory = sum(process.memory for process in processes) / 1e6
    report.goal("memory at rest", memory, "MB", most=150.0)
    report.add("processes at rest, the server too", len(processes), "")
    if len(processes) > 1:
        report.missed.append(f"{len(processes) - 1} processes beside the server at rest")


if __name__ == "__main__":
    main()
