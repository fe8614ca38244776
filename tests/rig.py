"""A scheduler with real stores and workers that are Python functions, for tests of the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from vedette.metadata.sqlite import SqliteStore
from vedette.metadata.store import MetadataStore
from vedette.model.files import Write
from vedette.model.ids import object_id
from vedette.model.job import JobInfo
from vedette.model.pipeline import PipelineInfo, PipelineSpec
from vedette.model.work import Output, Pool, Result, Task
from vedette.objects.local import LocalObjects
from vedette.objects.store import ObjectStore
from vedette.scheduling import datums, jobs, pipelines, state
from vedette.scheduling.intents import BranchMoved, intend
from vedette.scheduling.loop import Loop
from vedette.versioning import branches, commits, files, repos
from vedette.versioning.transaction import Transaction

Run = Callable[[Task, dict[str, dict[str, bytes]]], dict[str, bytes]]


class NotReadyError(Exception):
    """What a stage raises that cannot work yet."""


class RecoveredError(Exception):
    """What a stage raises for a datum whose `err_cmd` said that all is well."""


class OnePool:
    """Every image but `unknown` runs in one pool."""

    idle = False

    def problem(self, spec: PipelineSpec) -> str | None:
        """Why a spec cannot run."""
        return 'add ["unknown"]' if spec.transform.image == "unknown" else None

    def pool_of(self, spec: PipelineSpec) -> Pool:
        """The pool."""
        return Pool(key="pool", kind="python", slots=2)


def path_of(task: Task) -> str:
    """One output path a datum, made of the matches."""
    return "/" + "+".join(i.path.strip("/").replace("/", "-") or "all" for i in task.inputs)


def copy(task: Task, inputs: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """Writes all that a datum reads to one file named after it; content `bad` fails."""
    found = b";".join(
        name.encode() + path.encode() + b"=" + data
        for name in sorted(inputs)
        for path, data in sorted(inputs[name].items())
    )
    if b"bad" in found:
        raise ValueError("bad content")
    return {path_of(task): found}


class Rig:
    """Repos, pipelines and workers in one process. `ran` lists (pipeline, paths) in order."""

    def __init__(
        self,
        folder: Path,
        store: MetadataStore | None = None,
        objects: ObjectStore | None = None,
    ) -> None:
        self.folder = folder
        self.store: MetadataStore = store or SqliteStore(folder / "m.sqlite")
        self.objects: ObjectStore = objects or LocalObjects(folder)
        self.code: dict[str, Run] = {}
        self.ran: list[tuple[str, str]] = []
        self.commits_read: list[tuple[str, tuple[str, ...]]] = []
        self.begin()

    def begin(self) -> None:
        """Start a loop and a worker over the stores."""
        self.loop = Loop(
            self.store, self.objects, None, OnePool(), lambda: time.time_ns() // 1000,
            lambda: uuid4().hex,
        )  # fmt: skip
        self.loop.start()
        self.working = True
        self.worker = f"w-{uuid4().hex[:6]}"
        self.loop.source.register(self.worker, "pool")
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def end(self) -> None:
        """Stop the loop; what is unfinished stays so."""
        self.working = False
        self.loop.stop()
        self.thread.join()

    def close(self) -> None:
        """Let go of the stores too."""
        self.end()
        self.objects.close()
        self.store.close()

    def _work(self) -> None:
        source = self.loop.source
        while self.working:
            given = source.claim(self.worker, 8).result()
            if given:
                source.report(self.worker, [self._run(task) for task in given])

    def _run(self, task: Task) -> Result:
        pipeline = task.code.split(":")[0]
        self.ran.append((pipeline, path_of(task)))
        self.commits_read.append((pipeline, tuple(i.commit for i in task.inputs)))
        inputs = {
            i.name: {f.path: self.loop.source.read(f.object) for f in i.files} for i in task.inputs
        }
        try:
            written = self.code.get(pipeline, copy)(task, inputs)
        except NotReadyError as error:
            return Result(datum=task.datum, lease=task.lease, state="not_ready", reason=str(error))
        except RecoveredError as error:
            return Result(datum=task.datum, lease=task.lease, state="recovered", reason=str(error))
        except ValueError as error:
            return Result(datum=task.datum, lease=task.lease, state="failed", reason=str(error))
        outputs = tuple(Output(p, object_id(d), len(d), d) for p, d in sorted(written.items()))
        return Result(datum=task.datum, lease=task.lease, state="success", outputs=outputs)

    def repo(self, name: str) -> None:
        """Create a repo."""
        self.loop.submit(lambda tx: repos.create(tx, name)).result()

    def put(self, repo: str, content: dict[str, bytes | None]) -> str:
        """Commit files (None deletes) in one commit; its global id."""
        writes = [
            Write(repo=repo, path=path, data=data, delete=data is None)
            for path, data in content.items()
        ]
        return self.loop.submit(lambda tx: commits.commit_files(tx, writes)).result().id

    def put_all(self, changes: Mapping[str, Mapping[str, bytes | None]]) -> str:
        """Commit to several repos in one call; the global id."""
        writes = [
            Write(repo=repo, path=path, data=data, delete=data is None)
            for repo, content in changes.items()
            for path, data in content.items()
        ]
        return self.loop.submit(lambda tx: commits.commit_files(tx, writes)).result().id

    def move(self, repo: str, branch: str, to: str) -> None:
        """Give a branch another head."""

        def work(tx: Transaction) -> None:
            head = commits.resolve(tx.rows, repo, to).num
            branches.move(tx, repo, branch, head)
            intend(tx, BranchMoved(repos.get(tx.rows, repo).id, branch, head))

        self.loop.submit(work).result()

    def history(self, repo: str) -> list[str]:
        """The ids of the finished commits of a repo, oldest first."""
        return list(reversed(self.heads(repo)))

    def pipeline(
        self, name: str, source: dict[str, Any], update: bool = False, reprocess: bool = False,
        **fields: Any,
    ) -> PipelineInfo:  # fmt: skip
        """Create or update a pipeline."""
        transform = {"image": fields.pop("image", "x"), "cmd": ["x"]}
        document = {"pipeline": {"name": name}, "input": source, "transform": transform, **fields}
        return self.loop.submit(
            lambda tx: pipelines.create(tx, document, update=update, reprocess=reprocess)
        ).result()

    def settle(self, seconds: float = 20.0) -> None:
        """Wait until nothing is left to do."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self.store.read() as rows:
                now = state.idle(rows)
            if now.jobs == 0 and now.triggers == 0:
                return
            time.sleep(0.005)
        raise AssertionError(f"still busy: {now}, {self.jobs()[:3]}")

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something has come about; what comes by the clock is not unfinished."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, self.jobs()[:3]
            time.sleep(0.005)

    def tree(self, repo: str, ref: str = "master") -> dict[str, bytes]:
        """The files of a commit; nothing where there is none."""
        with self.store.read() as rows:
            head = commits.resolve(rows, repo, ref) if self.heads(repo) else None
            if head is None:
                return {}
            found = list(files.walk(rows, head, "/", limit=10_000))
        return {f.path: self.loop.source.read(f.object) for f in found}

    def heads(self, repo: str) -> list[str]:
        """The ids of the finished commits of a repo, newest first."""
        with self.store.read() as rows:
            key = repos.get(rows, repo).id
            return [c.id for c in commits.listing(rows, key) if c.state == "finished"]

    def jobs(self, pipeline: str | None = None) -> list[JobInfo]:
        """Jobs, newest first."""
        with self.store.read() as rows:
            return jobs.listing(rows, pipeline, limit=1000)

    def failed(self, pipeline: str) -> list[int]:
        """The numbers of failed datums."""
        with self.store.read() as rows:
            return [datum.number for datum in datums.failed(rows, pipeline)]


@contextmanager
def rig(
    folder: Path, store: MetadataStore | None = None, objects: ObjectStore | None = None
) -> Iterator[Rig]:
    """A rig that ends with the block, over SQLite and the folder unless there are other stores."""
    made = Rig(folder, store, objects)
    try:
        yield made
    finally:
        made.close()


def pfs(repo: str, glob: str, **fields: Any) -> dict[str, Any]:
    """A leaf of an input tree."""
    return {"pfs": {"repo": repo, "glob": glob, **fields}}
