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
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from clients import Connection
from fanout import create, fill, watched
from measure import Report, Server, arguments, median, scratch, server

REPEATS = 60
WARM = 5
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
    parser.add_argument("--repeats", type=int, default=REPEATS, help="times each thing is done")
    options = parser.parse_args()
    report = Report("scale", options.json)
    with ExitStack() as stack:
        sized = []
        for count in options.files:
            report.say(f"{count:,} files in the input, as many in the output")
            folder = stack.enter_context(scratch(options.scratch))
            serving = stack.enter_context(server(folder / "data"))
            sized.append(Sized(serving, count, report))
        report.say("small things, each done with all sizes in turn")
        for one in sized:
            one.connect()
        alternate(sized, options.repeats)
        for name in sized[0].acts:
            least = sized[0].milliseconds(name), sized[0].processor(name)
            for one in sized:
                label = f"{name}, {one.count:,}"
                told(report, label, one.milliseconds(name), least[0])
                spent = one.processor(name)
                note = f"x {spent / least[1]:.2f} by processor time, not judged"
                report.add(f"  of it the server's processor, {one.count:,}", spent, "ms", note)
        for one in sized:
            one.skip_all()
    report.end()


def told(report: Report, name: str, value: float, least: float) -> None:
    """Print a time beside the first one, and whether it is flat."""
    flat = value <= max(least * FLAT, least + SLACK)
    report.add(name, value, "ms", f"x {value / least:.2f}{'' if flat else ' MISSED (<= 1.3)'}")
    if not flat:
        report.missed.append(f"{name}: {value:.4g} ms, {value / least:.2f} times the first")


class Sized:
    """A server with so many files, whose pipeline has run over all, and what is done with it."""

    def __init__(self, serving: Server, count: int, report: Report) -> None:
        self.count = count
        self._serving, self._report = serving, report
        fill(serving, "input", count)
        fill(serving, "alone", count, folder=10)
        begin = time.perf_counter()
        create(serving, "reader", "input", "vedette.testing.stages:note")
        serving.wait_idle(limit=24 * 3600)
        rate = count / (time.perf_counter() - begin)
        report.add(f"first run, {count:,}", rate, "datums/s")
        # So that there are two commits to compare.
        put(Connection(serving.port), "input", 0)
        serving.wait_idle()
        self.acts: dict[str, Callable[[int], object]] = {}
        self._times: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def connect(self) -> None:
        """Ready for what is measured; a connection that waits long would be closed."""
        serving, count = self._serving, self.count
        connection = Connection(serving.port)
        self.acts = {
            "one new file until its output is there": partial(through, connection, count),
            "a commit of one file": partial(put, connection, "alone"),
            "a page of 100 of a list": partial(get, connection, listing(count)),
            "the first 100 directories": partial(get, connection, DIRECTORIES),
            "a page of 100 of a glob": partial(get, connection, globbed(count)),
            "a diff of two commits": partial(get, connection, difference(serving)),
        }

    def do(self, name: str, number: int) -> None:
        """Do it once, and note how long it took and how long the server's processors."""
        used = processor_of(self._serving.pid)
        begin = time.perf_counter()
        self.acts[name](number)
        took = time.perf_counter() - begin
        self._times[name].append((took * 1000, (processor_of(self._serving.pid) - used) * 1000))

    def warm(self, name: str) -> None:
        """Forget the first ones, which filled caches."""
        del self._times[name][:WARM]

    def milliseconds(self, name: str) -> float:
        """How long it took, the middle one of many."""
        return median([took for took, _ in self._times[name]])

    def processor(self, name: str) -> float:
        """Milliseconds of processor that the server took, the middle one of many."""
        return median([used for _, used in self._times[name]])

    def skip_all(self) -> None:
        """A new version that finds everything done; what memory that takes."""
        serving, count, report = self._serving, self.count, self._report
        memory = watched(serving)
        begin = time.perf_counter()
        create_again(serving)
        serving.wait_idle(limit=24 * 3600)
        (job,) = serving.get("/v1/jobs?pipeline=reader&limit=1")
        if job["processed"] or job["skipped"] != job["total"] or job["total"] < count:
            raise SystemExit(f"a new version did not skip all: {job}")
        took = time.perf_counter() - begin
        note = f"{count / took:.0f} a second"
        report.add(f"a new version that skips all, {count:,}", took, "s", note)
        memory.end.set()
        report.goal(f"server's memory at most, {count:,}", memory.most, "MB", most=500)
        report.add(f"bytes on disk a file, {count:,}", on_disk(serving) / count / 3, "B")


def alternate(sized: list[Sized], repeats: int) -> None:
    """Each thing with all sizes in turn, now from the fewest and now from the most: what the
    machine does beside it falls on all of them."""
    for name in sized[0].acts:
        for number in range(repeats + WARM):
            for one in sized if number % 2 else sized[::-1]:
                one.do(name, number)
        for one in sized:
            one.warm(name)


def processor_of(pid: int) -> float:
    """Processor seconds of a process so far, to the nanosecond: its clock by its number."""
    return time.clock_gettime((~pid << 3) | 2)


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
