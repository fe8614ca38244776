"""How fast files come in and are durable, beside write + fsync of the same files one by one.

And whether one new file costs the same in a repo of a hundred as in one of a hundred thousand.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from clients import Connection, run
from measure import IMAGE, Report, Server, arguments, cpu, fsync_floor, median, scratch, server

SIZE = 100_000
ROUNDS = 3
NEW_FILES = 15
BATCH = 2_000
STAGE = ["python", "-m", "vedette.stage", "vedette.testing.stages:link"]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--files", type=int, default=400, help="files in each put measurement")
    parser.add_argument(
        "--repos",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[100, 10_000, 100_000],
        help="sizes of repos to put one new file into (default: 100,10000,100000)",
    )
    options = parser.parse_args()
    report = Report("store", options.json)
    with scratch(options.scratch) as folder:
        report.say(f"Putting files of {SIZE // 1000} KB, durable, over HTTP")
        puts(report, folder, options)
        report.say("One new file until its output exists, worker warm")
        growth(report, folder, options)
    report.end()


def puts(report: Report, folder: Path, options: Namespace) -> None:
    """Streamed, one by one, from sixteen clients; each round beside its own floor."""
    measured: dict[str, list[float]] = {"floor": [], "streamed": [], "one": [], "sixteen": []}
    processor: dict[str, float] = {}
    with server(folder / "puts") as serving:
        for repo in ("streamed", "one", "sixteen"):
            serving.send("POST", "/v1/repos", {"name": repo})
        for number in range(ROUNDS):
            contents = [os.urandom(SIZE) for _ in range(options.files)]
            source = folder / f"source-{number}"
            floors = [fsync_floor(source, contents)]
            paths = sorted(source.iterdir())
            rates = {}
            rates["streamed"], spent = streamed(serving, number, contents)
            processor["streamed"] = spent / options.files
            for name, count in (("one", 1), ("sixteen", 16)):
                # Other bytes for each way: what is stored already would not be written again.
                for path in paths:
                    path.write_bytes(os.urandom(SIZE))
                rates[name], spent = singly(serving, name, number, paths, count)
                processor[name] = spent / options.files
            floors.append(fsync_floor(folder / f"again-{number}", contents))
            floor = sum(floors) / 2
            measured["floor"].append(floor)
            for name, rate in rates.items():
                measured[name].append(rate / floor)
    report.add("write + fsync, one by one", median(measured["floor"]), "files/s")
    goals = (("streamed", "one streamed body", 1.0), ("sixteen", "a request each, 16 clients", 0.3))
    for key, name, least in goals:
        report.goal(f"{name}: ratio to write + fsync", median(measured[key]), "", least=least)
    report.add("a request each, 1 client: ratio", median(measured["one"]), "")
    for name, spent in processor.items():
        report.add(f"server processor per file, {name}", spent * 1000, "ms")


def streamed(serving: Server, number: int, contents: list[bytes]) -> tuple[float, float]:
    """Files a second, and the server's processor seconds, for one body of many files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for index, content in enumerate(contents):
            entry = tarfile.TarInfo(f"{number}/{index:06}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    body = buffer.getvalue()
    connection = Connection(serving.port, "application/x-tar")
    before = cpu(serving.pid)["server"]
    begin = time.perf_counter()
    _, status, answer = connection.exchange(
        "POST", "/v1/repos/streamed/branches/master/files", body
    )
    seconds = time.perf_counter() - begin
    if status >= 300:
        raise SystemExit(f"streamed: {status} {answer[:300]!r}")
    return len(contents) / seconds, cpu(serving.pid)["server"] - before


def singly(
    serving: Server, repo: str, number: int, paths: list[Path], count: int
) -> tuple[float, float]:
    """The same with a request for each file, from `count` clients."""
    processes = min(count, 2)
    before = cpu(serving.pid)["server"]
    seconds, _, _ = run(
        serving.port,
        "PUT",
        [(f"/v1/repos/{repo}/branches/master/files/{number}/{path.name}", path) for path in paths],
        processes=processes,
        threads=count // processes,
    )
    return len(paths) / seconds, cpu(serving.pid)["server"] - before


def growth(report: Report, folder: Path, options: Namespace) -> None:
    """Milliseconds from the first byte of a put until the commit below it is finished."""
    found: list[float] = []
    for size in options.repos:
        with server(folder / f"repo-{size}") as serving:
            serving.send("POST", "/v1/repos", {"name": "files"})
            begin = time.perf_counter()
            for body in filling(size):
                connection = Connection(serving.port, "application/x-tar")
                path = "/v1/repos/files/branches/master/files"
                _, status, answer = connection.exchange("POST", path, body)
                if status >= 300:
                    raise SystemExit(f"filling: {status} {answer[:300]!r}")
            spec = {
                "pipeline": {"name": "copies"},
                "transform": {"image": IMAGE, "cmd": STAGE},
                "input": {"pfs": {"repo": "files", "glob": "/*/*"}},
            }
            serving.send("POST", "/v1/pipelines", spec)
            serving.wait_idle()
            report.add(f"{size} files put and processed", time.perf_counter() - begin, "s")
            times = []
            for number in range(NEW_FILES):
                at = time.perf_counter()
                target = f"/v1/repos/files/branches/master/files/new/{number}"
                commit = put_here(serving, target, os.urandom(1000))
                serving.get(f"/v1/commits/{commit}/flush?timeout=60")
                times.append((time.perf_counter() - at) * 1000)
            found.append(median(times))
            report.add(f"one new file into {size}", found[-1], "ms")
    report.goal("largest beside smallest", max(found) / min(found), "", most=1.3)


def put_here(serving: Server, target: str, content: bytes) -> str:
    """The global id of one PUT from this process."""
    _, status, answer = Connection(serving.port).exchange("PUT", target, content)
    if status >= 300:
        raise SystemExit(f"PUT {target}: {status} {answer[:300]!r}")
    return str(json.loads(answer)["id"])


def filling(count: int) -> Iterator[bytes]:
    """Tar streams that make `count` small files, a thousand a folder."""
    for start in range(0, count, BATCH):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for number in range(start, min(start + BATCH, count)):
                content = os.urandom(200)
                entry = tarfile.TarInfo(f"{number // 1000:03}/{number:06}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        yield buffer.getvalue()


if __name__ == "__main__":
    main()
