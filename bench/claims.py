"""How many datums a second the scheduler can hand out and take back: eight workers that do nothing
claim and report in batches of sixteen, beside one another in the scheduler's own process, on SQLite
and on PostgreSQL. What is left is planning, leases, rows and commits.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

from measure import ROOT, Report, arguments, scratch
from vedette.metadata.postgres import PostgresStore
from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import MetadataStore
from vedette.model.files import Write
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Pool, Result
from vedette.objects.local import LocalObjects
from vedette.scheduling import pipelines, state
from vedette.scheduling.loop import Loop
from vedette.versioning import commits, repos

sys.path.insert(0, str(ROOT))
from tests import postgres as servers

WORKERS, BATCH, FILES = 8, 16, 5_000


class _Anywhere:
    """Every spec runs in one pool."""

    idle = False

    def problem(self, spec: PipelineSpec) -> str | None:
        """Nothing is wrong."""
        return None

    def pool_of(self, spec: PipelineSpec) -> Pool:
        """The pool."""
        return Pool(key="pool", kind="python", slots=WORKERS)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--datums", type=int, default=20_000, help="datums in one job")
    options = parser.parse_args()
    report = Report("claims", options.json)
    with scratch(options.scratch) as folder:
        claims(report, folder, options.datums)
    report.end()


def claims(report: Report, folder: Path, datums: int) -> None:
    """Both stores, each made durable at every commit."""
    store: MetadataStore = SqliteStore(folder / "claims.sqlite")
    rate = measured(store, folder / "sqlite", datums)
    report.goal("datums claimed and reported, SQLite", rate, "/s", least=3000)
    with postgres(folder / "postgres") as url:
        rate = measured(PostgresStore(url), folder / "beside", datums)
    report.goal("datums claimed and reported, PostgreSQL", rate, "/s", least=3000)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A server of our own that syncs, and a database on it."""
    folder = folder.resolve()
    folder.mkdir()
    folder.parent.chmod(0o755)  # PostgreSQL does not run as root, so another user goes there
    settings = dict(servers._SETTINGS)
    servers._SETTINGS.update(fsync="on", full_page_writes="on")
    try:
        server = servers.Postgres(folder)
    finally:
        servers._SETTINGS.update(settings)
    try:
        yield server.empty()
    finally:
        server.stop()


def measured(store: MetadataStore, folder: Path, datums: int) -> float:
    """Datums a second of one job, from its creation to its end."""
    folder.mkdir()
    objects = LocalObjects(folder)
    loop = Loop(
        store, objects, None, _Anywhere(), lambda: time.time_ns() // 1000, lambda: uuid4().hex
    )
    loop.start()
    workers = [threading.Thread(target=work, args=(loop, n), daemon=True) for n in range(WORKERS)]
    try:
        loop.submit(lambda tx: repos.create(tx, "numbers")).result()
        for start in range(0, datums, FILES):
            writes = [
                Write(repo="numbers", path=f"/{n:07}", data=b"%d" % n)
                for n in range(start, min(start + FILES, datums))
            ]
            loop.submit(partial(commits.commit_files, writes=writes)).result()
        for worker in workers:
            worker.start()
        begin = time.perf_counter()
        spec = {
            "pipeline": {"name": "fan"},
            "transform": {"image": "x", "cmd": ["x"]},
            "input": {"pfs": {"repo": "numbers", "glob": "/*"}},
        }
        loop.submit(lambda tx: pipelines.create(tx, spec)).result()
        wait(store)
        return datums / (time.perf_counter() - begin)
    finally:
        loop.stop()
        objects.close()
        store.close()


def wait(store: MetadataStore) -> None:
    """Until no job is left."""
    while True:
        with store.read() as rows:
            if not state.idle(rows).jobs:
                return
        time.sleep(0.05)


def work(loop: Loop, number: int) -> None:
    """One worker that does nothing, as fast as it gets datums."""
    name = f"worker-{number}"
    loop.source.register(name, "pool")
    while tasks := loop.source.claim(name, BATCH).result():
        results = [Result(datum=t.datum, lease=t.lease, state="success") for t in tasks]
        loop.source.report(name, results)


if __name__ == "__main__":
    main()
