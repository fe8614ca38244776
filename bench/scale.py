"""Does cost follow the change? The same small things done beside a thousand files and beside a
million: a put until its output is there, a put alone, a page of a list, of a glob, a diff, and what
the server's memory is. Each figure is printed beside that with the fewest files.

The input has N files in folders of a thousand, a repo beside it as many in folders of ten; a
pipeline of a Python stage has written one small file for each file of the input before anything is
measured, and its worker is warm.
"""

from __future__ import annotations

import json
import os
import time
import urllib.parse
from collections.abc import Callable
from functools import partial

from clients import Connection
from fanout import create, fill, watched
from measure import Report, Server, arguments, median, scratch, server

REPEATS = 40
FLAT = 1.3
DIRECTORIES = "/v1/repos/alone/commits/master/list/?limit=100"
SLACK = 0.6
"""Milliseconds that a figure may be above, whatever the ratio: below that a ratio is noise."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "--files", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000],
        help="files in the input, the fewest first",
    )  # fmt: skip
    options = parser.parse_args()
    report = Report("scale", options.json)
    first: dict[str, float] = {}
    for count in options.files:
        report.say(f"{count:,} files in the input, as many in the output")
        with scratch(options.scratch) as folder, server(folder / "data") as serving:
            found = measured(serving, count, report)
        for name, value in found.items():
            first.setdefault(name, value)
            told(report, f"{name}, {count:,}", value, first[name])
    report.end()


def told(report: Report, name: str, value: float, least: float) -> None:
    """Print a time beside the first one, and whether it is flat."""
    flat = value <= max(least * FLAT, least + SLACK)
    report.add(name, value, "ms", f"x {value / least:.2f}{'' if flat else ' MISSED (<= 1.3)'}")
    if not flat:
        report.missed.append(f"{name}: {value:.4g} ms, {value / least:.2f} times the first")


def measured(serving: Server, count: int, report: Report) -> dict[str, float]:
    """Milliseconds of each small thing, the middle ones of many."""
    fill(serving, "input", count)
    fill(serving, "alone", count, folder=10)
    begin = time.perf_counter()
    create(serving, "reader", "input", "vedette.testing.stages:note")
    serving.wait_idle(limit=24 * 3600)
    report.add(f"first run, {count:,}", count / (time.perf_counter() - begin), "datums/s")
    memory = watched(serving)
    connection = Connection(serving.port)
    found = {
        "one new file until its output is there": timed(partial(through, connection, count)),
        "a commit of one file": timed(partial(put, connection, "alone")),
        "a page of 100 of a list": timed(partial(get, connection, listing(count))),
        "the first 100 directories": timed(partial(get, connection, DIRECTORIES)),
        "a page of 100 of a glob": timed(partial(get, connection, globbed(count))),
        "a diff of two commits": timed(partial(get, connection, difference(serving))),
    }
    begin = time.perf_counter()
    create_again(serving)
    serving.wait_idle(limit=24 * 3600)
    (job,) = serving.get("/v1/jobs?pipeline=reader&limit=1")
    if job["processed"] or job["skipped"] != job["total"] or job["total"] < count:
        raise SystemExit(f"a new version did not skip all: {job}")
    took = time.perf_counter() - begin
    report.add(
        f"a new version that skips all, {count:,}", took, "s", f"{count / took:.0f} a second"
    )
    memory.end.set()
    report.goal(f"server's memory at most, {count:,}", memory.most, "MB", most=500)
    report.add(f"bytes on disk a file, {count:,}", on_disk(serving) / count / 3, "B")
    return found


def timed(act: Callable[[int], object]) -> float:
    """Milliseconds of doing it once, the middle one of many."""
    times = []
    for number in range(REPEATS):
        begin = time.perf_counter()
        act(number)
        times.append((time.perf_counter() - begin) * 1000)
    return median(times)


def put(connection: Connection, repo: str, number: int) -> str:
    """Commit one new file; the global id."""
    path = f"/v1/repos/{repo}/branches/master/files/0000/x{number:04}-{os.urandom(4).hex()}"
    _, status, answer = connection.exchange("PUT", path, os.urandom(100))
    if status >= 300:
        raise SystemExit(f"PUT {path}: {status} {answer[:300]!r}")
    return str(json.loads(answer)["id"])


def through(connection: Connection, count: int, number: int) -> None:
    """Commit one new file and wait until the pipeline has skipped all the others."""
    commit = put(connection, "input", number)
    _, _, answer = connection.exchange("GET", f"/v1/commits/{commit}/flush?timeout=60", b"")
    if b"reader" not in answer or count < 0:
        raise SystemExit(f"flush: {answer[:300]!r}")


def get(connection: Connection, path: str, number: int) -> None:
    """Ask for something that must be there."""
    _, status, answer = connection.exchange("GET", path, b"")
    if status >= 300 or len(answer) < 10:
        raise SystemExit(f"GET {path} ({number}): {status} {answer[:300]!r}")


def listing(count: int) -> str:
    """A page of what is in a folder of the input, from the middle of those there are."""
    return f"/v1/repos/input/commits/master/list/{count // 2000:04}?limit=100"


def globbed(count: int) -> str:
    """A page of what a pattern finds in all folders."""
    pattern = urllib.parse.quote("/*/*7")
    return f"/v1/repos/input/commits/master/glob?pattern={pattern}&limit=100"


def difference(serving: Server) -> str:
    """The diff of the newest two commits of the input."""
    newest, before = serving.get("/v1/repos/input/commits?limit=2")
    return f"/v1/repos/input/commits/{newest['id']}/diff/?against={before['id']}"


def create_again(serving: Server) -> None:
    """Give the pipeline a new version of the same meaning."""
    create(serving, "reader", "input", "vedette.testing.stages:note", update=True)


def on_disk(serving: Server) -> int:
    """Bytes of the data folder."""
    return sum(path.stat().st_size for path in serving.data.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
