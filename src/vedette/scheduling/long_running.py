"""Services and spouts: which of them run here, and what they read and emit (ENGINE R10).

They have no jobs and no datums. A thread compares the pipelines that stand in the rows with the
commands that run, whenever a pipeline changed or a commit came that one of them reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import structlog
from msgspec import Struct

from vedette.decide.retry import backoff
from vedette.metadata.store import Row, Rows
from vedette.model.errors import NoSpace, NotFound, Unavailable, VedetteError
from vedette.model.events import Event
from vedette.model.files import Write
from vedette.model.glob import compile_glob
from vedette.model.ids import ObjectId
from vedette.model.inputs import leaves
from vedette.model.pipeline import PipelineSpec
from vedette.model.work import Code, Emitted, LogEntry, Task, TaskFile, TaskInput
from vedette.scheduling.loop import Loop
from vedette.scheduling.pipelines import stored_spec
from vedette.scheduling.rounds import Round
from vedette.scheduling.tasks import secrets_of
from vedette.versioning import commits, contents, files, repos
from vedette.versioning.contents import Prepared
from vedette.worker.long_running import Standing
from vedette.worker.settings import Settings, worker_folder, worker_name

MARKER_BRANCH = "marker"
MAX_FILE_BYTES = 1 << 30
KEPT_LINES = 20_000
"""Lines of log that are kept of a service or spout, the newest."""

LOOK_SECONDS = 2.0
"""How often is looked without news: a pipeline that was deleted makes none."""

_log = structlog.get_logger("vedette.standing")


class Place:
    """The server as one standing command sees it (`vedette.worker.long_running.Post`)."""

    def __init__(self, loop: Loop, row: Row, spec: PipelineSpec, ending: threading.Event) -> None:
        self._loop = loop
        self._pipeline, self._name, self._repo = row[0], row[1], row[2]
        self._spec = spec
        self._ending = ending

    def task(self) -> Task:
        """The newest commit of every input: all files that the globs match."""
        with self._loop.store.read() as rows:
            inputs = tuple(
                _input(rows, leaf.name, leaf.repo, leaf.branch, leaf.glob)
                for leaf in leaves(self._spec.input)
            )
        return Task(
            datum=0, lease=0, id="", code=self._name, job="", commit="", attempt=1, inputs=inputs
        )

    def read(self, object_id: bytes) -> bytes:
        """An object's bytes."""
        return self._loop.source.read(object_id)

    def fetch(self, object_id: bytes, size: int, descriptor: int) -> None:
        """Write an object's bytes to an open file."""
        self._loop.source.fetch(object_id, size, descriptor)

    def store(self, path: str, chunks: Iterator[bytes]) -> Emitted:
        """Keep the bytes of a file that was emitted."""
        prepared = contents.prepare_stream(self._loop.objects, chunks, MAX_FILE_BYTES)
        return Emitted(path=path, prepared=prepared)

    def emit(self, emitted: list[Emitted]) -> None:
        """Commit files in one transaction; what cannot be written now is tried again."""
        spout = self._spec.spout
        assert spout is not None, "only spouts emit"
        writes, prepared = [], []
        for file in emitted:
            assert isinstance(file.prepared, Prepared)
            marks = bool(spout.marker) and file.path.strip("/") == spout.marker
            branch = MARKER_BRANCH if marks else self._spec.output_branch
            append = not (spout.overwrite or marks)
            writes.append(
                Write(repo=self._name, path=file.path, branch=branch, data=b"", append=append)
            )
            prepared.append(file.prepared)
        failures = 0
        while True:
            try:
                self._loop.submit(
                    lambda tx: commits.commit_files(tx, writes, prepared, own_output=True)
                ).result()
            except (NoSpace, Unavailable):
                failures += 1
                if self._ending.is_set() and failures > 1:
                    raise
                time.sleep(backoff(failures, longest=10.0))
            else:
                return

    def marker(self) -> bytes | None:
        """What the spout's marker held last."""
        spout = self._spec.spout
        if spout is None:
            return None
        with self._loop.store.read() as rows:
            try:
                head = commits.resolve(rows, self._name, MARKER_BRANCH)
            except NotFound:
                return None
            found = files.stat(rows, head, f"/{spout.marker}")
            if found is None:
                return None
            return contents.read(rows, self._loop.objects, ObjectId(found.object))

    def say(self, state: str, reason: str) -> None:
        """Show how the pipeline is, unless it was stopped meanwhile."""

        def work(round: Round) -> None:
            pipeline = round.memory.pipelines.get(self._name)
            if pipeline is None or pipeline.id != self._pipeline:
                return
            if pipeline.state not in ("PAUSED", "FAILURE"):
                round.set_state(pipeline, state, reason)

        self._loop.enter(work)

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Keep lines of the log, and the newest only."""
        if not entries:
            return
        lines = [
            {"datum": 0, "job": 0, "pipeline": self._name, "at": entry.at,
             "attempt": entry.attempt, "stream": entry.stream, "text": entry.text}
            for entry in entries
        ]  # fmt: skip

        def work(round: Round) -> None:
            if self._name in round.memory.pipelines:
                round.rows.many("add_log", lines)
                round.rows.run("trim_standing_log", pipeline=self._name, keep=KEPT_LINES)

        self._loop.enter(work)


def _input(rows: Rows, name: str, repo: str, branch: str, glob: str) -> TaskInput:
    head = commits.resolve(rows, repo, branch)
    pattern = compile_glob(glob)
    found = tuple(
        TaskFile(file.path, file.object, file.size)
        for file in files.every(rows, head)
        if pattern.matches_of(file.path)
    )
    return TaskInput(name, repo, branch, head.id, "/", found)


class _Kept(Struct):
    """A standing command that runs here: its version, and the heads that it reads."""

    standing: Standing
    version: tuple[int, int]
    heads: tuple[object, ...]


class StandingPipelines:
    """Keeps the services and spouts of an installation running on this host."""

    def __init__(self, loop: Loop, settings: Settings) -> None:
        self._loop = loop
        self._settings = settings
        self._kept: dict[str, _Kept] = {}
        self._repos: frozenset[str] = frozenset()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vedette-standing", daemon=True)
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin: what stood when the server ended is started again."""
        self._forget = self._loop.listen(self._heard)
        self._news.set()
        self._thread.start()

    def stop(self) -> None:
        """End all commands. What spouts have emitted until then is committed."""
        self._forget()
        self._stopping.set()
        self._news.set()
        self._thread.join()
        for kept in self._kept.values():
            kept.standing.ask_to_stop()
        for kept in self._kept.values():
            kept.standing.stop()
        self._kept.clear()

    def _heard(self, events: list[Event]) -> None:
        for event in events:
            if event.kind == "pipeline" or (event.kind == "commit" and event.repo in self._repos):
                self._news.set()
                return

    def _run(self) -> None:
        while True:
            self._news.wait(LOOK_SECONDS)
            self._news.clear()
            if self._stopping.is_set():
                return
            try:
                self._compare()
            except VedetteError as error:  # a database that is away for a moment
                _log.warning("standing pipelines not looked at", error=error.message)
                self._stopping.wait(1.0)
                self._news.set()

    def _compare(self) -> None:
        """Start what should run, end what should not, start again what reads something new."""
        wanted = self._wanted()
        for name in [name for name, kept in self._kept.items() if _other(kept, wanted.get(name))]:
            self._kept.pop(name).standing.stop()
        for name, (row, spec, heads) in wanted.items():
            kept = self._kept.get(name)
            if kept is None:
                self._kept[name] = self._begin(row, spec, heads)
            elif kept.heads != heads:
                kept.heads = heads
                kept.standing.refresh()

    def _wanted(self) -> dict[str, tuple[Row, PipelineSpec, tuple[object, ...]]]:
        found = {}
        read: set[str] = set()
        with self._loop.store.read() as rows:
            for row in rows.all("pipelines"):
                spec = stored_spec(row[9])
                if not spec.standing or row[7] in ("PAUSED", "FAILURE"):
                    continue
                heads = []
                for leaf in leaves(spec.input):
                    read.add(leaf.repo)
                    repo = repos.get(rows, leaf.repo).id
                    head = rows.one("branch_head", repo=repo, name=leaf.branch)
                    heads.append(head[0] if head else None)
                if all(head is not None for head in heads):  # before there is input, nothing runs
                    found[str(row[1])] = (row, spec, tuple(heads))
        self._repos = frozenset(read)
        return found

    def _begin(self, row: Row, spec: PipelineSpec, heads: tuple[object, ...]) -> _Kept:
        with self._loop.store.read() as rows:
            secrets = secrets_of(rows, spec)
        name = str(row[1])
        code = Code(key=name, pool=name, pipeline=name, version=row[4], spec=spec, secrets=secrets)
        runtime = self._settings.runtime_of(spec)
        folder = worker_folder(self._settings, worker_name(f"standing-{name}"))
        place = Place(self._loop, row, spec, self._stopping)
        standing = Standing(code, runtime, folder, self._settings.hidden, place)
        standing.start()
        return _Kept(standing, (row[0], row[4]), heads)


def _other(kept: _Kept, wanted: tuple[Row, PipelineSpec, tuple[object, ...]] | None) -> bool:
    return wanted is None or (wanted[0][0], wanted[0][4]) != kept.version
