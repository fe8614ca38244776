"""A million datums through one pipeline of a Python stage that does nothing: how many a second, and
how much memory the server takes while it does, beside what it took before.

The files are there before the pipeline is: its first job finds, runs and finishes all of them.
`--write` takes a stage that writes one small file a datum instead.
"""

from __future__ import annotations

import io
import tarfile
import threading
import time

from clients import Connection
from measure import IMAGE, Report, Server, arguments, cpu, scratch, server, tree

BATCH = 10_000
SPARE = 60.0
"""Megabytes that may come on top at ten times the datums: caches, no more."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--datums", type=int, default=1_000_000, help="files in the input")
    parser.add_argument("--write", action="store_true", help="write one small file a datum")
    options = parser.parse_args()
    report = Report("fanout", options.json)
    stage = "note" if options.write else "nothing"
    with scratch(options.scratch) as folder, server(folder / "data") as serving:
        begin = time.perf_counter()
        fill(serving, "numbers", options.datums)
        took = time.perf_counter() - begin
        report.add("files put, 10,000 a commit", options.datums / took, "/s")
        memory, usage = watched(serving), cpu(serving.pid)
        begin = time.perf_counter()
        create(serving, "fan", "numbers", f"vedette.testing.stages:{stage}")
        serving.wait_idle(limit=24 * 3600)
        took = time.perf_counter() - begin
        memory.end.set()
        (job,) = serving.get("/v1/jobs?pipeline=fan&limit=1")
        if (job["state"], job["processed"]) != ("SUCCESS", options.datums):
            raise SystemExit(f"the job did not process all: {job}")
        report.goal("datums", options.datums / took, "/s", least=3000)
        after = cpu(serving.pid)
        for role in ("server", "workers"):
            each = (after[role] - usage[role]) / options.datums * 1e6
            report.add(f"processor per datum, {role}", each, "us")
        report.add("server's memory before", memory.first, "MB")
        report.add("server's memory at a tenth of the time", memory.tenth(), "MB")
        report.goal("server's memory at most", memory.most, "MB", most=500)
    report.end()


class Watch:
    """The server's memory, in megabytes, looked at twice a second until `end`."""

    def __init__(self, serving: Server) -> None:
        self.end = threading.Event()
        self.seen: list[float] = []
        self._pid = serving.pid
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.first = self._now()
        self._thread.start()

    def _now(self) -> float:
        return next(p.memory for p in tree(self._pid) if p.role == "server") / 1e6

    def _look(self) -> None:
        while not self.end.wait(0.5):
            self.seen.append(self._now())

    @property
    def most(self) -> float:
        """The highest."""
        return max([self.first, *self.seen])

    def tenth(self) -> float:
        """What it was when a tenth of the time had passed."""
        return max([self.first, *self.seen[: max(1, len(self.seen) // 10)]])


def watched(serving: Server) -> Watch:
    """Begin to watch a server's memory."""
    return Watch(serving)


def fill(serving: Server, repo: str, count: int, folder: int = 1000) -> None:
    """A repo with `count` small files of different bytes, `folder` of them in each folder."""
    serving.send("POST", "/v1/repos", {"name": repo})
    connection = Connection(serving.port, "application/x-tar")
    for start in range(0, count, BATCH):
        body = archive(range(start, min(start + BATCH, count)), folder)
        _, status, answer = connection.exchange(
            "POST", f"/v1/repos/{repo}/branches/master/files", body
        )
        if status >= 300:
            raise SystemExit(f"put: {status} {answer[:300]!r}")


def archive(numbers: range, folder: int) -> bytes:
    """A tar of small files, one a number."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in numbers:
            content = b"%d" % number
            entry = tarfile.TarInfo(f"{number // folder:04}/{number:07}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def create(serving: Server, pipeline: str, repo: str, target: str, *, update: bool = False) -> None:
    """A pipeline with one datum a file, or a new version of it."""
    spec = {
        "pipeline": {"name": pipeline},
        "transform": {"image": IMAGE, "cmd": ["python", "-m", "vedette.stage", target]},
        "input": {"pfs": {"repo": repo, "glob": "/*/*"}},
    }
    serving.send("POST", f"/v1/pipelines?update={str(update).lower()}", spec)


if __name__ == "__main__":
    main()
